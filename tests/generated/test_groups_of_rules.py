"""Every optimizer with two parameter groups, whose parameters do not all take part in every step.

Where tensors go their own ways that is, bit for bit, what two optimizers do. Where something is made of the whole
model, it is made of all that take part.
"""

from __future__ import annotations

import numpy as np
import pytest

from optgen.verify import reference
from optgen.verify.settings import is_of_tensors

SHAPES = [[(4, 3), (5,)], [(2, 3, 2), ()]]
TAKING = [(0, 1), (0,), (1,), (0, 1)]
"""Which groups have gradients, a step each."""


def different(program):
    """Hyperparameters of a group that are not the defaults, but for those that all groups share."""
    found = {}
    for name, hyper in program.hypers.items():
        if hyper.default is None or name in (*program.shared, *program.seeds):
            continue
        tried = [hyper.default + 1] if hyper.domain.integer else [hyper.default / 2, 0.25, (hyper.default + 1) / 2]
        tried = tried[::-1] if program.derived else tried  # from a small one another might follow that cannot be
        fitting = [x for x in tried if hyper.domain.holds(x) and x != hyper.default]
        found[name] = fitting[0] if fitting else hyper.default
    return found


def arrays(seed, dtype):
    rng = np.random.default_rng(seed)
    return [[np.asarray(rng.standard_normal(shape), dtype) for shape in shapes] for shapes in SHAPES]


def apart(generated):
    return is_of_tensors(generated.optimizer)


def test_tensors_that_go_their_own_ways(generated):
    if not apart(generated):
        pytest.skip("something is made of the whole model")
    program = generated.module.PROGRAM
    hypers = [{}, different(program)]
    mine, others = arrays(0, np.float32), arrays(0, np.float32)
    groups = [{"params": params, **its} for params, its in zip(mine, hypers, strict=True)]
    together = generated.kind(groups)
    alone = [generated.kind(params, **its) for params, its in zip(others, hypers, strict=True)]
    for step, taking in enumerate(TAKING):
        grads = arrays(step + 1, np.float32)
        together.step([g if k in taking else None for k in (0, 1) for g in grads[k]], missing="skip")
        for k in taking:
            alone[k].step(grads[k])
    compared = 1 if program.seeds else 2  # what is drawn for a tensor depends on how many are before it
    for k in range(compared):
        for one, other in zip(mine[k], others[k], strict=True):
            assert one.tobytes() == other.tobytes()
        for name in (*program.states, *program.reduced_states):
            for one, other in zip(together.state[name][2 * k : 2 * k + 2], alone[k].state[name], strict=True):
                assert one.tobytes() == other.tobytes(), name
        for one, other in zip(together.eval_params()[2 * k : 2 * k + 2], alone[k].eval_params(), strict=True):
            assert one.tobytes() == other.tobytes()


def test_what_is_made_of_the_whole_model(reducing):
    if apart(reducing):
        pytest.skip("tensors go their own ways")
    optimizer, program = reducing.optimizer, reducing.module.PROGRAM
    params, one = arrays(0, np.float64), different(program)
    hypers = [dict(reducing.kind(params[0], **its).hypers) for its in ({}, one)]
    together = reducing.kind([{"params": params[0]}, {"params": params[1], **one}])
    thetas = [x.copy() for x in (*params[0], *params[1])]
    starts = [reference.start(optimizer, thetas, hypers=its) for its in hypers]
    states = {name: [starts[k // 2][name][k] for k in range(4)] for name in starts[0]}
    counts = [0, 0]
    for step, taking in enumerate(TAKING):
        grads = [x for each in arrays(step + 1, np.float64) for x in each]
        given = [x if k // 2 in taking else None for k, x in enumerate(grads)]
        there = [k for k in range(4) if k // 2 in taking]
        if len({counts[k] for k in taking}) > 1 and "t" in program.shared:
            with pytest.raises(ValueError, match="all parameters must take part in the same steps"):
                together.step(given, missing="skip")
            break
        together.step(given, missing="skip")
        of = [[each[k] for k in there] for each in (thetas, grads)]
        old = {name: [values[k] for k in there] for name, values in states.items()}
        new = {k: reference.step(optimizer, *of, old, counts[k] + 1, hypers=hypers[k]) for k in taking}
        for place, k in enumerate(there):
            its_thetas, its_states = new[k // 2]
            thetas[k] = its_thetas[place]
            for name, values in its_states.items():
                states[name][k] = values[place]
        for name, kind in program.reduced_states.items():
            if kind == "model":
                states[name] = [states[name][there[0]]] * 4
        for k in taking:
            counts[k] += 1
    for theta, expected in zip(together.params, thetas, strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-9, atol=1e-12)


def test_groups_that_differ_in_what_the_whole_model_shares(reducing):
    program = reducing.module.PROGRAM
    names = [name for name in program.shared if name in program.hypers]
    if not names:
        pytest.skip("nothing is made of the whole model and of hyperparameters")
    name, (one, other) = names[-1], arrays(0, np.float64)
    hyper = program.hypers[name]
    value = hyper.default + 1 if hyper.domain.integer else hyper.default / 2 or 0.5
    with pytest.raises(ValueError, match=f"{name} = .* in group 0 and .* in group 1.*expected the same in all groups"):
        reducing.kind([{"params": one}, {"params": other, name: value}])
    optimizer = reducing.kind([{"params": one}, {"params": other}])
    optimizer.set(group=1, **{name: value})
    before = [x.tobytes() for x in (*one, *other)]
    with pytest.raises(ValueError, match="expected the same in all groups"):
        optimizer.step([x.copy() for x in (*one, *other)])
    assert [x.tobytes() for x in (*one, *other)] == before
    assert optimizer.t == 0
