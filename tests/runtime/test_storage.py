"""Slots are stored as somebody wants them: what is computed is the same, and rounded once."""

import copy
import io
import pickle

import numpy as np
import pytest

import optgen
from optgen.generated.cpu import adafactor, adamw, lamb, nadam, sgd, sgdm
from optgen.runtime.core.storage import computed_for, dtype_of

HALF = ["f16", "bf16"]
NAMES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32"}


def dtype(short):
    if short == "bf16":
        pytest.importorskip("ml_dtypes")
    return dtype_of(NAMES[short])


def drawn(seed, *shapes, of=np.float32):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(of) for shape in shapes]


SHAPES = ((40, 7), (), (0, 3), (1001,))


@pytest.mark.parametrize("short", HALF)
@pytest.mark.parametrize("kind", [adamw.AdamW, sgdm.SGDM, nadam.NAdam, sgd.SGD], ids=lambda kind: kind.__name__)
def test_a_step_is_that_in_float32_rounded_once(kind, short):
    half = dtype(short)
    params, wide = drawn(0, *SHAPES, of=half), [x.astype(np.float32) for x in drawn(0, *SHAPES, of=half)]
    opt, other = kind(params, lr=0.1), kind(wide, lr=0.1)
    for t in range(3):
        grads = drawn(t + 1, *SHAPES, of=half)
        for name, states in opt.state.items():
            for mine, its in zip(states, other.state[name], strict=True) if isinstance(states, tuple) else ():
                its[...] = mine
        for mine, its in zip(params, wide, strict=True):
            its[...] = mine
        opt.step(grads)
        other.step([g.astype(np.float32) for g in grads])
        for mine, its in zip(params, wide, strict=True):
            np.testing.assert_array_equal(mine, its.astype(half), strict=True)
        for name, states in opt.state.items():
            for mine, its in zip(states, other.state[name], strict=True) if isinstance(states, tuple) else ():
                np.testing.assert_array_equal(mine, its.astype(half), strict=True)


@pytest.mark.parametrize("short", HALF)
def test_states_alone_can_be_shorter_each_by_itself(short):
    half, params, wide = dtype(short), drawn(0, *SHAPES), drawn(0, *SHAPES)
    opt, other = adamw.AdamW(params, store={"v": short}), adamw.AdamW(wide)
    assert [x.dtype for x in opt.state["m"]] == [np.float32] * 4
    assert [x.dtype for x in opt.state["v"]] == [half] * 4
    grads = drawn(1, *SHAPES)
    opt.step(grads)
    other.step(grads)
    for mine, its in zip((*params, *opt.state["m"]), (*wide, *other.state["m"]), strict=True):
        np.testing.assert_array_equal(mine, its)
    for mine, its in zip(opt.state["v"], other.state["v"], strict=True):
        np.testing.assert_array_equal(mine, its.astype(half))


def test_a_parameter_in_float64_is_computed_in_that_and_its_states_are_rounded_once():
    params, wide = drawn(0, *SHAPES, of=np.float64), drawn(0, *SHAPES, of=np.float64)
    opt, other = adamw.AdamW(params, store={"m": "f32", "v": "f16"}), adamw.AdamW(wide)
    grads = drawn(1, *SHAPES, of=np.float64)
    opt.step(grads)
    other.step(grads)
    np.testing.assert_array_equal(params[0], wide[0])
    np.testing.assert_array_equal(opt.state["m"][3], other.state["m"][3].astype(np.float32), strict=True)
    np.testing.assert_array_equal(opt.state["v"][3], other.state["v"][3].astype(np.float16), strict=True)
    assert computed_for("float64") == "float64"


@pytest.mark.parametrize("short", HALF)
def test_gradients_may_be_shorter_than_parameters_and_the_reverse(short):
    half = dtype(short)
    for of_params, of_grads in ((np.float32, half), (half, np.float32), (np.float64, half)):
        params, grads = drawn(0, (9, 5), of=of_params), drawn(1, (9, 5), of=of_grads)
        computed = np.float64 if of_params == np.float64 else np.float32
        wide = [params[0].astype(computed)]
        store = {"m": "f32", "v": "f32"}
        opt, other = adamw.AdamW(params, store=store), adamw.AdamW(wide, store=store)
        for each in (grads, [grads[0].astype(of_params)], grads):  # they may change from step to step
            wide[0][...] = params[0]
            opt.step(each)
            other.step([each[0].astype(computed)])
            np.testing.assert_array_equal(params[0], wide[0].astype(of_params))


@pytest.mark.parametrize("kind", [adafactor.Adafactor, lamb.LAMB], ids=lambda kind: kind.__name__)
def test_rules_with_totals_take_what_is_stored(kind):
    params, wide = drawn(0, (40, 30), (50,), of=np.float16), drawn(0, (40, 30), (50,), of=np.float16)
    wide = [x.astype(np.float32) for x in wide]
    store = dict.fromkeys(kind.program.states, "f32")
    opt, other = kind(params, store=store), kind(wide)
    before = [x.copy() for x in params]
    for t in range(3):
        grads = drawn(t + 1, (40, 30), (50,), of=np.float16)
        opt.step(grads)
        other.step([g.astype(np.float32) for g in grads])
    for mine, its, was in zip(params, wide, before, strict=True):
        assert (mine != was).any()
        np.testing.assert_allclose(mine.astype(np.float32), its, rtol=2e-2, atol=4e-3)


@pytest.mark.parametrize("short", HALF)
def test_one_array_at_a_time_is_taken_as_it_is_stored(short):
    half = dtype(short)
    theta, g, m, v = (x for seed in range(4) for x in drawn(seed, (30, 9)))
    v **= 2
    for formats in ((half, half, half, half), (np.float32, half, half, np.float32), (half, np.float32, half, half)):
        mine = [x.astype(its) for x, its in zip((theta, g, m, v), formats, strict=True)]
        wide = [x.astype(np.float32) for x in mine]
        adamw.step(*mine, t=2)
        adamw.step(*wide, t=2)
        for x, its, of in zip(mine, wide, formats, strict=True):
            np.testing.assert_array_equal(x, its.astype(of), strict=True)
    with pytest.raises(TypeError, match="v: expected dtype float32 or bfloat16 or float16, got float64"):
        adamw.step(theta, g, m, v.astype(float), t=2)


# By chance -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", HALF)
def test_rounding_by_chance_has_the_right_mean(short):
    """A million draws, within five standard errors."""
    half, size = dtype(short), 10**6
    params, grads = [np.zeros(size, np.float32)], [np.full(size, 0.3, np.float32)]
    opt = sgdm.SGDM(params, lr=0.0, momentum=0.0, store={"b": short}, rounding="stochastic")
    opt.step(grads)
    found = np.asarray(opt.state["b"][0], np.float64)
    low, high = np.unique(found)
    part = (float(np.float32(0.3)) - low) / (high - low)
    assert abs((found == high).mean() - part) <= 5 * np.sqrt(part * (1 - part) / size)
    together = (found[1:] == high) & (found[:-1] == high)  # neighbours are independent
    assert abs(together.mean() - part**2) <= 5 * np.sqrt(part**2 / size)
    assert half == opt.state["b"][0].dtype


@pytest.mark.parametrize("last", [0, 1])
def test_rounding_float64_to_float32_by_chance_has_the_right_mean(last):
    """Within five standard errors, whatever the last bit is that stays."""
    size, below = 10**6, 1 + last * 2.0**-23
    params, grads = [np.zeros(size)], [np.full(size, -below - 2.0**-25)]
    opt = sgdm.SGDM(params, lr=0.0, momentum=0.0, store={"b": "f32"}, rounding="stochastic")
    opt.step(grads)
    low, high = -np.float32(below), -np.nextafter(np.float32(below), np.float32(2))
    found = opt.state["b"][0]
    assert np.isin(found, [low, high]).all()
    assert abs((found == high).mean() - 0.25) <= 5 * np.sqrt(0.25 * 0.75 / size)


def test_chances_follow_from_step_seed_slot_and_place_alone():
    def states(seed=0, cut=(3000,), threads_enough=1):
        params = [np.zeros(size * threads_enough, np.float32) for size in cut]
        opt = adamw.AdamW(params, store={"m": "f16", "v": "f16"}, rounding="stochastic", rounding_seed=seed)
        for t in range(2):
            opt.step([np.full_like(p, 0.1 + t) for p in params])
        return [np.concatenate([x.ravel() for x in opt.state[name]]) for name in "mv"]

    usual = states()
    for one, other in zip(usual, states(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (usual[0] != states(seed=1)[0]).any()
    longer = states(threads_enough=40)  # on all threads, in several chunks
    np.testing.assert_array_equal(longer[0][:3000], usual[0])
    assert (longer[0][3000:6000] != usual[0]).any()


def test_where_nothing_is_lost_chance_changes_nothing():
    params, wide = drawn(0, (300,)), drawn(0, (300,))
    opt, other = adamw.AdamW(params, rounding="stochastic"), adamw.AdamW(wide)
    opt.step(drawn(1, (300,)))
    other.step(drawn(1, (300,)))
    np.testing.assert_array_equal(params[0], wide[0])


# Beside parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", HALF)
def test_a_master_is_what_parameters_in_float32_would_be(short):
    half = dtype(short)
    params, wide = drawn(0, (500,), of=half), [drawn(0, (500,), of=half)[0].astype(np.float32)]
    opt = adamw.AdamW(params, lr=1e-4, master=True, store={"m": "f32", "v": "f32"})
    other = adamw.AdamW(wide, lr=1e-4)
    for t in range(20):
        grads = drawn(t + 1, (500,), of=half)
        opt.step(grads)
        other.step([grads[0].astype(np.float32)])
    np.testing.assert_array_equal(opt.state_dict()["master.0"], wide[0], strict=True)
    np.testing.assert_array_equal(params[0], wide[0].astype(half), strict=True)


def test_a_parameter_that_somebody_has_written_is_taken_as_it_is():
    params = [np.ones(5, np.float16)]
    opt = sgd.SGD(params, lr=0.5, master=True)
    params[0][2] = 7
    opt.step([np.ones(5, np.float16)])
    np.testing.assert_array_equal(params[0], np.array([0.5, 0.5, 6.5, 0.5, 0.5], np.float16))


@pytest.mark.parametrize("short", HALF)
def test_kahan_keeps_steps_too_small_for_a_word(short):
    half = dtype(short)
    params, plain = [np.ones(3, half)], [np.ones(3, half)]
    opt, other = sgd.SGD(params, lr=1e-4, kahan=True), sgd.SGD(plain, lr=1e-4)
    for _ in range(500):
        opt.step([np.ones(3, half)])
        other.step([np.ones(3, half)])
    assert (plain[0] == 1).all()
    np.testing.assert_allclose(params[0].astype(float), 0.95, rtol=4e-3)
    assert opt.state_dict()["kahan.0"].dtype == half


# What is kept, and what is refused -----------------------------------------------------------------------------------


def saved(opt):
    file = io.BytesIO()
    np.savez(file, **opt.state_dict())
    file.seek(0)
    return dict(np.load(file))


@pytest.mark.parametrize("short", HALF)
@pytest.mark.parametrize("beside", ["", "master", "kahan"])
def test_what_is_saved_goes_on_bit_for_bit(short, beside):
    half, options = dtype(short), {"rounding": "stochastic", "rounding_seed": 3, "store": {"v": "f32"}}
    options |= {beside: True} if beside else {}
    params = drawn(0, (70,), (3, 4), of=half)
    opt = adamw.AdamW(params, **options)
    opt.step(drawn(1, (70,), (3, 4), of=half))
    copies = [copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))]  # noqa: S301
    loaded = adamw.AdamW([x.copy() for x in params], **options)
    loaded.load_state_dict(saved(opt))
    for each in (opt, loaded, *copies):
        each.step(drawn(2, (70,), (3, 4), of=half))
    for each in (loaded, *copies):
        for one, other in zip((*opt.params, *opt.state["m"]), (*each.params, *each.state["m"]), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_states_of_another_format_are_refused_unless_cast():
    one, other = adamw.AdamW(drawn(0, (5,))), adamw.AdamW(drawn(0, (5,)), store={"m": "f16"})
    one.step(drawn(1, (5,)))
    before = other.state_dict()
    with pytest.raises(TypeError, match=r"state dict entry 'm\.0': expected dtype float16, got float32"):
        other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.state_dict()["v.0"], before["v.0"])
    other.load_state_dict(one.state_dict(), cast=True)
    np.testing.assert_array_equal(other.state["m"][0], one.state["m"][0].astype(np.float16), strict=True)


REFUSED = {
    "an unknown slot": ({"store": {"x": "f16"}}, r"store: in adamw 'x' is no state; expected m, v"),
    "the parameters": ({"store": {"theta": "f16"}}, r"'theta' is no state"),
    "integers": ({"store": {"m": "int8"}}, r"store\['m'\]: expected one of 'f32'"),
    "an integer dtype": ({"store": {"m": np.int32}}, r"store\['m'\]: expected one of"),
    "no format": ({"store": {"m": None}}, r"store\['m'\]: expected one of .*, got None"),
    "rounding in an array": (
        {"rounding": np.array(["nearest", "up"])},
        r"rounding: expected 'nearest' or 'stochastic'",
    ),
    "no dict": ({"store": "f16"}, r"store: expected a dict from states to formats"),
    "another rounding": ({"rounding": "up"}, r"rounding: expected 'nearest' or 'stochastic', got 'up'"),
    "a seed in words": ({"rounding_seed": "a"}, r"rounding_seed: expected an integer"),
    "a master in float32": ({"master": True}, r"master: expected parameters in bfloat16 or float16"),
    "kahan in float32": ({"kahan": True}, r"kahan: expected parameters in bfloat16 or float16"),
    "no flag": ({"master": 1}, r"master: expected True or False, got int"),
    "both": ({"master": True, "kahan": True}, r"expected one of them at most"),
    "what there is not": (
        {"stored": {}},
        r"^adamw has no hyperparameter 'stored': expected one of lr, .* eps, or of the options store, .* as_matrices$",
    ),
}


@pytest.mark.parametrize(("options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        adamw.AdamW([np.ones(3, np.float32)], **options)
    with pytest.raises((TypeError, ValueError), match=says):
        adamw.AdamW([{"params": [np.ones(3, np.float32)]}], **options)


@pytest.mark.parametrize("theta", ["float32", "float16"])
def test_a_state_has_no_more_bits_than_it_is_computed_in(theta):
    params = [np.ones(3), np.ones(3, theta)]
    with pytest.raises(ValueError, match=rf"store\['m'\]: params\[1\] is in {theta}.* expected 'f32', 'bf16' or 'f16'"):
        adamw.AdamW(params, store={"m": "f64"})
    adamw.AdamW(params[:1], store={"m": "f64"}).step([np.ones(3)])


def test_a_state_of_rows_is_always_float64():
    with pytest.raises(ValueError, match="'r' has one value for many elements and is always float64"):
        adafactor.Adafactor([np.ones((3, 3))], store={"r": "f16"})


def test_gradients_that_are_more_exact_than_what_is_computed_are_refused():
    params = [np.ones(3, np.float16), np.ones(3, np.float32)]
    opt = adamw.AdamW(params)
    with pytest.raises(TypeError, match=r"grads\[1\]: expected dtype float32 or bfloat16 or float16, got float64"):
        opt.step([np.ones(3, np.float16), np.ones(3)])
    assert (params[0] == 1).all()


def test_a_rule_of_ones_own_has_them_too():
    theta, g, lr = optgen.theta, optgen.g, optgen.hyper("lr", 0.5)
    rule = optgen.Optimizer("plain", title="Plain", step=(optgen.Let(theta.next, theta - lr * g),))
    params = [np.ones(3, np.float16)]
    optgen.compile(rule).Plain(params).step([np.full(3, 0.25, np.float16)])
    np.testing.assert_array_equal(params[0], np.full(3, 0.875, np.float16))
