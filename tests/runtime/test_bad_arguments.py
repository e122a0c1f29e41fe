"""Bad input: one error that names the argument, before any element has changed."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from optgen.generated.cpu import adamw
from optgen.generated.cpu.adafactor import Adafactor
from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.swats import SWATS
from optgen.runtime import Domain

ERRORS = (TypeError, ValueError)
NOT_ARRAYS = {
    "a list": [1.0, 2.0],
    "a number": 1.0,
    "text": "abc",
    "a generator": (x for x in ()),
    "None": None,
}


def spelled(value):
    """What a test is called after: without the address of an object, which differs from process to process."""
    return re.sub(r" at 0x\w+", "", repr(value))[:40]


def unaligned(like):
    memory = np.zeros(like.nbytes + 1, np.uint8)
    return memory[1:].view(like.dtype).reshape(like.shape)


def frozen(like):
    array = like.copy()
    array.flags.writeable = False
    return array


ARRAYS_OF_ANOTHER_KIND = {
    "int": lambda like: like.astype(np.int64),
    "bool": lambda like: like.astype(bool),
    "complex": lambda like: like.astype(complex),
    "int16": lambda like: like.astype(np.int16),
    "longdouble": lambda like: like.astype(np.longdouble),
    "object": lambda like: like.astype(object),
    "text": lambda like: like.astype(str),
    "dates": lambda like: np.zeros(like.shape, "M8[s]"),
    "records": lambda like: np.zeros(like.shape, [("x", "f4")]),
    "other byte order": lambda like: like.astype(like.dtype.newbyteorder()),
    "masked": np.ma.masked_array,
    "Fortran order": np.asfortranarray,
    "strided": lambda like: np.repeat(like, 2, axis=-1)[..., ::2],
    "reversed": lambda like: like[::-1],
    "broadcast": lambda like: np.broadcast_to(like[:1], like.shape),
    "unaligned": unaligned,
}
ARRAYS_OF_ANOTHER_SIZE = {
    "transposed shape": lambda like: like.T.copy(),
    "flat": lambda like: like.ravel(),
    "one axis more": lambda like: like[None],
    "a row less": lambda like: like[:-1],
    "empty": lambda like: like[:0],
    "0-d": lambda like: like[0, 0].reshape(()),
    "other precision": lambda like: like.astype(np.float32 if like.dtype == np.float64 else np.float64),
}


@pytest.fixture
def model():
    """Arrays of both dtypes, the first and last with two axes."""
    return [np.ones((4, 3), np.float32), np.ones(5), np.ones((4, 3))]


@pytest.fixture
def grads(model):
    return [np.full_like(array, 0.5) for array in model]


@pytest.mark.parametrize("bad", ARRAYS_OF_ANOTHER_KIND)
@pytest.mark.parametrize("k", [0, 2])
def test_parameters_of_a_wrong_kind(model, bad, k):
    model[k] = ARRAYS_OF_ANOTHER_KIND[bad](model[k])
    with pytest.raises(ERRORS, match=rf"^params\[{k}\]: expected"):
        AdamW(model)
    with pytest.raises(ERRORS, match=rf"^params\['w{k}'\]: expected"):
        AdamW({f"w{j}": array for j, array in enumerate(model)})


@pytest.mark.parametrize("bad", {**ARRAYS_OF_ANOTHER_KIND, **ARRAYS_OF_ANOTHER_SIZE})
@pytest.mark.parametrize("k", [0, 2])
def test_gradients_of_a_wrong_kind(model, grads, unchanged, bad, k):
    optimizer, undisturbed = AdamW(model), AdamW([array.copy() for array in model])
    wrong = list(grads)
    wrong[k] = {**ARRAYS_OF_ANOTHER_KIND, **ARRAYS_OF_ANOTHER_SIZE}[bad](grads[k])
    for _ in range(2):  # before the first step, and when there has been one
        with unchanged(optimizer, *grads), pytest.raises(ERRORS, match=rf"^grads\[{k}\]: expected"):
            optimizer.step(wrong)
        optimizer.step(grads)
        undisturbed.step(grads)
    assert [a.tobytes() for a in model] == [a.tobytes() for a in undisturbed.params]


@pytest.mark.parametrize("bad", NOT_ARRAYS)
def test_no_array_at_all(model, grads, unchanged, bad):
    with pytest.raises(ERRORS, match=r"params\[2\].*expected a numpy.ndarray"):
        AdamW([*model[:2], NOT_ARRAYS[bad]])
    optimizer = AdamW(model)
    with unchanged(optimizer), pytest.raises(ERRORS, match=r"grads\[2\].*(expected a numpy.ndarray|missing)"):
        optimizer.step([*grads[:2], NOT_ARRAYS[bad]])


class Lying(np.ndarray):
    """Says that it has more than it has, elsewhere."""

    shape = property(lambda _: (10**6,))
    size = property(lambda _: 10**6)
    nbytes = property(lambda _: 4 * 10**6)
    dtype = property(lambda _: np.dtype(np.float32))
    strides = property(lambda _: (4,))
    ndim = 1
    __array_interface__ = property(lambda self: {**np.asarray(self).__array_interface__, "data": (64, False)})
    __getitem__ = __float__ = __array__ = __array_ufunc__ = None


def lying(like):
    return like.view(Lying)


def test_what_a_subclass_says_of_its_memory_is_not_believed(unchanged):
    """Neither where it says the truth nor where it lies."""
    honest, other = AdamW([np.ones(3), np.ones(4)]), AdamW([lying(np.ones(3)), np.ones(4)])
    for t in range(2):
        honest.step([np.full(3, t + 1.0), np.ones(4)])
        other.step([lying(np.full(3, t + 1.0)), np.ones(4)])
    assert [np.ndarray.tobytes(p) for p in other.params] == [p.tobytes() for p in honest.params]
    grads = [lying(np.ones(10**6, np.float32)), np.ones(4)]
    with (
        unchanged(honest),
        pytest.raises(TypeError, match=r"^grads\[0\]: expected dtype float64 or bfloat16 or float16"),
    ):
        honest.step(grads)
    with unchanged(honest), pytest.raises(ValueError, match=r"^grads\[0\]: expected shape \(3,\), got \(2,\)"):
        honest.step([lying(np.ones(2)), np.ones(4)])
    with unchanged(honest), pytest.raises(ValueError, match=r"^grads\[0\] overlaps params\[1\]"):
        honest.step([lying(honest.params[1][:3]), np.ones(4)])
    with pytest.raises(ValueError, match=r"^params\[1\] overlaps params\[0\]"):
        AdamW([honest.params[0], lying(honest.params[0])])
    saved = honest.state_dict()
    with (
        unchanged(honest),
        pytest.raises(ValueError, match=r"^state dict entry 'm.0': expected shape \(3,\), got \(2,\)"),
    ):
        honest.load_state_dict({**saved, "m.0": lying(np.ones(2))})
    honest.load_state_dict({**saved, "m.0": lying(np.full(3, 7.0))})
    assert honest.state["m"][0].tolist() == [7.0] * 3


def test_what_a_subclass_says_is_not_believed_of_one_array():
    slots = {name: np.ones(3) for name in ("theta", "g", "m", "v")}
    other = {name: lying(np.ones(3)) for name in slots}
    adamw.step(**slots, t=1)
    adamw.step(**other, t=1)
    assert [np.ndarray.tobytes(x) for x in other.values()] == [x.tobytes() for x in slots.values()]
    with pytest.raises(ValueError, match=r"^m: expected shape \(3,\), got \(2,\)"):
        adamw.step(**{**other, "m": lying(np.ones(2))}, t=1)


def test_states_cannot_be_resized_or_frozen_under_a_step():
    opt, expected = Adafactor([np.ones((3, 2)), np.ones(4)]), Adafactor([np.ones((3, 2)), np.ones(4)])
    other = AdamW([np.ones(300)])
    for array in (*opt.state["r"], *opt.state["c"], *other.state["m"]):
        with pytest.raises(ValueError, match="resize"):
            array.resize(10**6, refcheck=False)
        array.flags.writeable = False
    saved = other.state_dict()
    other.step([np.ones(300)])
    other.load_state_dict(saved)
    for its in (opt, expected):
        its.step([np.ones((3, 2)), np.ones(4)])
    assert opt.params[0].tobytes() == expected.params[0].tobytes()


def test_a_parameter_that_was_resized_is_refused(unchanged):
    params = [np.ones(3), np.ones(300)]
    opt = AdamW(params)
    opt.step([np.ones(3), np.ones(300)])
    params[1].resize(10**6, refcheck=False)
    with unchanged(opt), pytest.raises(ValueError, match=r"^params\[1\]: expected shape \(300,\)"):
        opt.step([np.ones(3), np.ones(300)])


@pytest.mark.parametrize("container", [None, 1, "ab", np.ones((2, 3)), (x for x in ()), {1.0}, [], (), {}], ids=spelled)
def test_parameters_in_a_wrong_container(container):
    with pytest.raises(ERRORS, match=r"^params.*expected"):
        AdamW(container)


def test_keys_of_parameters_are_strings():
    with pytest.raises(TypeError, match=r"^params: expected a dict with strings for keys, got the key 3"):
        AdamW({"w": np.ones(3), 3: np.ones(3)})


def test_gradients_in_a_wrong_container(model, grads, unchanged):
    optimizer = AdamW(model)
    for wrong in (None, (g for g in grads), np.ones((3, 2)), "abc", dict(enumerate(grads)), grads[0], set()):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^grads: expected a list or tuple, as params was"):
            optimizer.step(wrong)
    for wrong in ([], grads[:2], [*grads, grads[0]]):
        with unchanged(optimizer), pytest.raises(ValueError, match=r"^grads: expected 3 arrays"):
            optimizer.step(wrong)


def test_a_container_of_another_kind_is_told_how_to_become_one(model, grads):
    named = dict(zip("abc", model, strict=True))
    with pytest.raises(TypeError, match=r"give each the key of its parameter: dict\(zip\(params, grads\)\)$"):
        AdamW(named).step(grads)
    with pytest.raises(TypeError, match=r"pass list\(grads\.values\(\)\), in the order of params$"):
        AdamW(model).step(dict(zip("abc", grads, strict=True)))


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.arange(3), r"got int64; \.astype\('float32'\) converts it$"),
        (np.ones(3, ">f4"), r"not in this machine's order; \.astype\('float32'\) converts it$"),
        (np.ones(3, complex), r"got complex128; \.view\('float64'\) has both parts of each, in the same memory$"),
        (np.zeros(3, [("a", "f4")]), r"a field of it, \['a'\], has numbers$"),
        (np.frombuffer(bytearray(13), np.uint8)[1:].view(np.float32), "in the middle of an element; copy it first$"),
        (np.broadcast_to(np.float32(1), (1,)), "it is read-only; copy it first$"),
    ],
)
def test_an_array_of_another_kind_is_told_how_to_become_one(array, what):
    with pytest.raises((TypeError, ValueError), match=what):
        AdamW([array])


def test_gradients_under_wrong_keys(model, grads, unchanged):
    optimizer = AdamW(dict(zip("abc", model, strict=True)))
    named = dict(zip("abc", grads, strict=True))
    for wrong in (grads, tuple(grads), named.items(), None):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^grads: expected a dict, as params was"):
            optimizer.step(wrong)
    missing = {key: named[key] for key in "ab"}
    for wrong, what in (
        (missing, r"missing \['c'\], unexpected \[\]"),
        ({**named, "d": grads[0]}, r"missing \[\], unexpected \['d'\]"),
        ({**missing, 0: grads[0]}, r"missing \['c'\], unexpected \[0\]"),
    ):
        with unchanged(optimizer), pytest.raises(ValueError, match=what):
            optimizer.step(wrong)
    with unchanged(optimizer), pytest.raises(ValueError, match=r"grads\['c'\] is missing"):
        optimizer.step({**named, "c": None})


def test_parameters_that_share_memory():
    memory = np.ones(10)
    for params in ([memory, memory], [memory[:6], memory[5:]], [memory, memory[3:4]], [memory[9:], memory]):
        with pytest.raises(ValueError, match=r"params\[1\] overlaps params\[0\] in memory"):
            AdamW(params)
    with pytest.raises(ValueError, match=r"params\['b'\] overlaps params\['a'\]"):
        AdamW({"a": memory[:5], "c": memory[5:6].copy(), "b": memory[4:]})
    with pytest.raises(ValueError, match=r"params\[2\] overlaps params\[0\]"):
        AdamW([memory, np.ones(3), memory[2:3].view(np.float32)])
    AdamW([memory[:5], memory[5:], memory[5:5], memory[:0]])


def test_a_gradient_that_shares_memory_with_what_is_written(unchanged):
    theta, other = np.ones((4, 4)), np.ones(4)
    optimizer = AdamW([theta, other])
    good = np.ones((4, 4))
    for wrong, what in (
        (theta[0], r"grads\[1\] overlaps params\[0\]"),
        (theta[3], r"grads\[1\] overlaps params\[0\]"),
        (other, r"grads\[1\] overlaps params\[1\]"),
        (optimizer.state["m"][0][1], r"grads\[1\] overlaps state\['m'\]\[0\]"),
        (optimizer.state["v"][1], r"grads\[1\] overlaps state\['v'\]\[1\]"),
    ):
        with unchanged(optimizer), pytest.raises(ValueError, match=what):
            optimizer.step([good, wrong])
    optimizer.step([good, np.ones(4)])


def test_a_gradient_that_shares_memory_with_what_there_is_one_value_for():
    optimizer = Adafactor([np.ones(4), np.ones((4, 1)), np.ones(())])
    good = [np.ones(4), np.ones((4, 1)), np.ones(())]
    for k, name in ((0, "c"), (1, "r"), (2, "c")):
        grads = [*good[:k], optimizer.state[name][k], *good[k + 1 :]]
        with pytest.raises(ValueError, match=rf"grads\[{k}\] overlaps state\['{name}'\]\[{k}\]"):
            optimizer.step(grads)
    of_the_model = SWATS([np.ones(())])
    with pytest.raises(ValueError, match=r"grads\[0\] overlaps state\['rate'\]"):
        of_the_model.step([of_the_model.state["rate"]])


def test_an_empty_gradient_inside_a_parameter_shares_nothing():
    theta = np.ones(4)
    AdamW([theta, np.ones(0)]).step([np.ones(4), theta[2:2]])


def test_parameters_that_were_read_only():
    theta = frozen(np.ones(4))
    with pytest.raises(ValueError, match=r"^params\[0\]: expected a writeable array"):
        AdamW([theta])


def test_parameters_that_become_read_only(model, grads, unchanged):
    optimizer = AdamW(model)
    optimizer.step(grads)
    model[2].flags.writeable = False
    with unchanged(optimizer), pytest.raises(ValueError, match=r"^params\[2\]: expected a writeable array"):
        optimizer.step(grads)
    model[2].flags.writeable = True
    optimizer.step(grads)
    assert optimizer.t == 2


def test_parameters_that_are_resized(unchanged):
    theta, other = np.ones(4), np.ones(1000)
    optimizer = AdamW([theta, other])
    with pytest.raises(ValueError, match="resize"):
        other.resize(10)  # NumPy sees that somebody else holds it
    other.resize(10, refcheck=False)
    for grad in (np.ones(10), np.ones(1000)):
        with pytest.raises(ValueError, match=r"^params\[1\]: expected shape \(1000,\), got \(10,\)"):
            optimizer.step([np.ones(4), grad])
    assert optimizer.t == 0
    assert theta.tolist() == [1] * 4


def test_parameters_that_move_and_take_their_shape_again():
    theta = np.ones(100)
    optimizer = AdamW([theta])
    start = theta.__array_interface__["data"][0]
    theta.resize(1_000_000, refcheck=False)
    obstacle = np.ones(100)
    theta.resize(100, refcheck=False)
    if theta.__array_interface__["data"][0] != start:
        with pytest.raises(ValueError, match=r"^params\[0\]: expected its memory where it was at construction"):
            optimizer.step([obstacle])


BAD_NUMBERS = [
    None, "0.1", b"1", True, False, np.True_, 1j, np.complex128(1), np.array(1j), [0.1], np.array([0.1]), Decimal(1),
    np.timedelta64(1, "s"), np.datetime64(1, "s"), np.array("x"), np.array(None), object(), np.ma.masked,
]  # fmt: skip
BAD_VALUES = [
    np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-300, np.float32(-1), np.array(np.nan), 10**400, Fraction(10**400),
    -(10**400),
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=spelled)
def test_hyperparameters_that_are_no_number(model, grads, unchanged, value):
    optimizer = AdamW(model)
    for call in (lambda: AdamW(model, lr=value), lambda: optimizer.step(grads, lr=value)):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^lr: expected a real number"):
            call()
    with unchanged(optimizer), pytest.raises(TypeError, match=r"^eps: expected a real number"):
        optimizer.set(lr=0.5, eps=value)


def test_a_number_of_another_library_is_told_how_to_become_one(model):
    with pytest.raises(TypeError, match=r"got Decimal .*; float\(…\) makes one of it$"):
        AdamW(model, lr=Decimal("0.1"))


@pytest.mark.parametrize("value", BAD_VALUES, ids=spelled)
def test_hyperparameters_outside_their_domain(model, grads, unchanged, value):
    optimizer = AdamW(model)
    for call in (lambda: AdamW(model, lr=value), lambda: optimizer.step(grads, lr=value)):
        with unchanged(optimizer), pytest.raises(ValueError, match=r"^lr.*expected a number"):
            call()
    with unchanged(optimizer), pytest.raises(ValueError, match=r"^eps.*expected a number"):
        optimizer.set(lr=0.5, eps=value)


def test_the_ends_of_a_domain(model):
    AdamW(model, lr=0, beta1=0, weight_decay=np.float32(0), eps=Fraction(1, 3))
    with pytest.raises(ValueError, match=r"^beta1 = 1\.0 is outside its domain: expected a number in \[0, 1\)"):
        AdamW(model, beta1=1)


def test_unknown_hyperparameters(model, grads, unchanged):
    optimizer = AdamW(model)
    for name in ("momentum", "t", "LR"):
        with unchanged(optimizer), pytest.raises(TypeError, match=f"no hyperparameter '{name}': expected one of lr, "):
            optimizer.step(grads, **{name: 1})
        with unchanged(optimizer), pytest.raises(TypeError, match=f"no hyperparameter '{name}'"):
            optimizer.set(lr=0.1, **{name: 1})
        with pytest.raises(TypeError, match=name):
            AdamW(model, **{name: 1})


def test_a_number_that_float32_cannot_hold_warns_before_anything_has_changed(model, grads, unchanged):
    optimizer = AdamW(model[::-1])
    with unchanged(optimizer), pytest.raises(RuntimeWarning, match="overflow"):
        optimizer.step(grads[::-1], lr=1e300)


def test_gradients_may_hold_anything(model, grads):
    optimizer = AdamW(model)
    for value in (0, 1e30, np.inf, np.nan):
        grads[1][0] = value
        optimizer.step(grads)
    assert np.isnan(model[1][0])
    assert np.isfinite(model[1][1:]).all()


@pytest.mark.parametrize(
    ("domain", "text", "inside", "outside"),
    [
        (Domain(), "(-inf, inf)", [0, -1e308], [np.inf, -np.inf, np.nan]),
        (Domain(0, 1), "[0, 1)", [0, 0.5], [1, -1]),
        (Domain(0, 1, low_open=True, high_open=False), "(0, 1]", [1, 5e-324], [0, 1.1]),
        (Domain(1, integer=True), "the integers in [1, inf)", [1, 1e300], [0, 1.5, np.inf, np.nan]),
    ],
)
def test_domains(domain, text, inside, outside):
    assert str(domain) == text
    assert all(domain.holds(value) for value in inside)
    assert not any(domain.holds(value) for value in outside)


def test_a_hyperparameter_is_no_attribute(model, unchanged):
    optimizer = AdamW(model)
    for name in ("lr", "beta1", "eps"):
        what = rf"^{name}: write set\({name}=…\), or step\(grads, {name}=…\)"
        with unchanged(optimizer), pytest.raises(AttributeError, match=what):
            setattr(optimizer, name, 0.5)
    optimizer.note = "mine"
    assert optimizer.note == "mine"


def test_what_is_shown_of_states_takes_no_others(model):
    optimizer = AdamW(model)
    with pytest.raises(TypeError, match="does not support item assignment"):
        optimizer.state["m"] = [np.ones(3)] * 3


def test_a_group_of_torch_is_told_how_to_be_added(model, unchanged):
    optimizer = AdamW(model)
    group = {"params": [np.ones(3)], "lr": 0.5}
    for given in (group, [group], (group, group), {"params": {"w": np.ones(3)}}):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^params: expected arrays.*add_group\(\*\*group\)"):
            optimizer.add_group(given)
    optimizer.add_group(**group)
    assert optimizer.hypers["lr"].tolist() == [0.001, 0.5]
    named = AdamW({"w": np.ones(3)})
    named.add_group({"params": np.ones(3)})  # so it is called
    assert list(named.params) == ["w", "params"]


@pytest.mark.parametrize("missing", [None, True, ["skip"], np.array(["skip", "error"]), np.array("x")], ids=spelled)
def test_what_missing_cannot_be(model, grads, unchanged, missing):
    optimizer = AdamW(model)
    with unchanged(optimizer), pytest.raises(ValueError, match=r"^missing = .*expected 'error', or 'skip'"):
        optimizer.step(grads, missing=missing)


@pytest.mark.parametrize("cast", [None, 1, "yes", np.ones(2)], ids=spelled)
def test_what_cast_cannot_be(model, unchanged, cast):
    optimizer, other = AdamW(model), AdamW([array.copy() for array in model], lr=0.5)
    with unchanged(optimizer), pytest.raises(TypeError, match=r"^cast: expected True or False"):
        optimizer.load_state_dict(other.state_dict(), cast=cast)
