"""Schedules are torch's or optax's step by step, the equations of their specs, and what is known by hand."""

import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from importlib import import_module
from itertools import product
from math import exp, inf, nan, nextafter, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optgen
from optgen import Let, Optimizer, theta
from optgen.generated.cpu.sgd import SGD
from optgen.language.schedules import Schedule
from optgen.language.symbols import t
from optgen.runtime import Domain
from optgen.specs import schedules as specs
from optgen.verify import reference
from optgen.verify.arithmetic import Digits

SCHEDULES = {value.name: value for value in vars(specs).values() if isinstance(value, Schedule)}
STEPS = 200
LR = 0.1


def kind(name: str) -> Any:
    return getattr(import_module(f"optgen.generated.schedules.{name}"), SCHEDULES[name].title)


def values(name: str, **hypers: float) -> np.ndarray:
    schedule = kind(name)(**hypers)
    return np.array([schedule(t) for t in range(1, STEPS + 1)])


@pytest.fixture(params=sorted(SCHEDULES))
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return SCHEDULES[request.param]


# torch -------------------------------------------------------------------------------------------------------------

CYCLE = {"base_lr": 0.01, "max_lr": LR, "step_size_up": 17, "step_size_down": 30}
OURS = {"lr": LR, "lr_min": 0.01, "up": 17, "down": 30}
RUN = {"lr": LR, "steps": STEPS}
MOMENTUM = {"steps": STEPS, "momentum": 0.95, "momentum_min": 0.85}
ONE = {"max_lr": LR, "total_steps": STEPS}
THREE = {**ONE, "three_phase": True}
LINE = {"anneal_strategy": "linear"}
TORCH: list[tuple[str, dict[str, float], str, dict[str, Any]]] = [
    ("linear_warmup", {"warmup": 50}, "LinearLR", {"start_factor": 1 / 50, "total_iters": 49}),
    ("linear_warmup_from", {"warmup": 5}, "LinearLR", {}),
    ("linear_warmup_from", {"warmup": 60, "start": 0.2}, "LinearLR", {"start_factor": 0.2, "total_iters": 60}),
    ("linear_decay", {"steps": 70}, "LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 70}),
    (
        "linear_decay",
        {"steps": 70, "lr_min": 0.02},
        "LinearLR",
        {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 70},
    ),
    ("polynomial_decay", {"steps": 130, "power": 2.5}, "PolynomialLR", {"total_iters": 130, "power": 2.5}),
    ("exponential_decay", {"decay": 0.97}, "ExponentialLR", {"gamma": 0.97}),
    ("step_decay", {"period": 30}, "StepLR", {"step_size": 30}),
    ("step_decay", {"period": 7, "decay": 0.9}, "StepLR", {"step_size": 7, "gamma": 0.9}),
    ("cosine_annealing", {"steps": 60, "lr_min": 0.01}, "CosineAnnealingLR", {"T_max": 60, "eta_min": 0.01}),
    ("sgdr", {}, "CosineAnnealingWarmRestarts", {"T_0": 10}),
    ("sgdr", {"growth": 2}, "CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2}),
    (
        "sgdr",
        {"period": 3, "growth": 3, "lr_min": 0.01},
        "CosineAnnealingWarmRestarts",
        {"T_0": 3, "T_mult": 3, "eta_min": 0.01},
    ),
    ("triangular", OURS, "CyclicLR", CYCLE),
    ("triangular2", OURS, "CyclicLR", {**CYCLE, "mode": "triangular2"}),
    ("exp_range", {**OURS, "decay": 0.99}, "CyclicLR", {**CYCLE, "mode": "exp_range", "gamma": 0.99}),
    ("triangular_momentum", {"up": 17, "down": 30}, "CyclicLR", CYCLE),
    ("one_cycle", RUN, "OneCycleLR", ONE),
    ("one_cycle", {**RUN, "rise": 0.71}, "OneCycleLR", {**ONE, "pct_start": 0.71}),
    ("one_cycle", {**RUN, "div": 10, "final_div": 50}, "OneCycleLR", {**ONE, "div_factor": 10, "final_div_factor": 50}),
    ("one_cycle_linear", RUN, "OneCycleLR", {**ONE, **LINE}),
    ("one_cycle_three_phase", RUN, "OneCycleLR", THREE),
    ("one_cycle_three_phase", {**RUN, "rise": 0.413}, "OneCycleLR", {**THREE, "pct_start": 0.413}),
    ("one_cycle_three_phase_linear", RUN, "OneCycleLR", {**THREE, **LINE}),
    ("one_cycle_momentum", MOMENTUM, "OneCycleLR", ONE),
    ("one_cycle_linear_momentum", MOMENTUM, "OneCycleLR", {**ONE, **LINE}),
    ("one_cycle_three_phase_momentum", MOMENTUM, "OneCycleLR", THREE),
    ("one_cycle_three_phase_linear_momentum", MOMENTUM, "OneCycleLR", {**THREE, **LINE}),
    ("exponential_warmup", {"warmup": 40}, "LambdaLR", {"lr_lambda": lambda epoch: 1 - exp(-(epoch + 1) / 40)}),
    ("untuned_linear_warmup", {}, "LambdaLR", {"lr_lambda": lambda epoch: min(1, (epoch + 1) * 0.001 / 2)}),
    ("untuned_exponential_warmup", {}, "LambdaLR", {"lr_lambda": lambda epoch: 1 - exp(-0.001 * (epoch + 1))}),
    ("inverse_sqrt", {}, "LambdaLR", {"lr_lambda": lambda epoch: (epoch + 1) ** -0.5}),
    (
        "noam",
        {"warmup": 40, "lr": 1 / sqrt(512 * 40)},
        "LambdaLR",
        {"lr_lambda": lambda epoch: 512**-0.5 * min((epoch + 1) ** -0.5, (epoch + 1) * 40**-1.5) / LR},
    ),
]


@pytest.mark.parametrize(("name", "ours", "theirs", "options"), TORCH, ids=lambda x: x if isinstance(x, str) else "")
def test_torch_does_the_same_at_each_of_200_steps(
    name: str, ours: dict[str, float], theirs: str, options: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch")
    what = "momentum" if name.endswith("momentum") else "lr"
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR, momentum=0.9)
    scheduler = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **options)
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0][what])
        optimizer.step()
        scheduler.step()
    if what == "lr":
        ours = {"lr": LR, **ours}
    np.testing.assert_allclose(values(name, **ours), expected, rtol=1e-12, atol=1e-15)


def test_somebody_is_asked_about_every_schedule(schedule: Schedule) -> None:
    assert schedule.name in {row[0] for row in TORCH} | {"cosine_decay"}


# optax -------------------------------------------------------------------------------------------------------------


def optax_values(make: Callable[[Any], Any]) -> np.ndarray:
    """At counts 0, 1, …, which are steps 1, 2, …; in float32, as jax computes."""
    schedule = make(pytest.importorskip("optax"))
    return np.array([float(schedule(count)) for count in range(STEPS)])


@pytest.mark.parametrize(
    ("name", "ours", "make"),
    [
        ("cosine_decay", {"steps": 90, "lr_min": 0.02}, lambda optax: optax.cosine_decay_schedule(LR, 90, alpha=0.2)),
        ("linear_decay", {"steps": 90, "lr_min": 0.02}, lambda optax: optax.linear_schedule(LR, 0.02, 90)),
        (
            "polynomial_decay",
            {"steps": 90, "lr_min": 0.02, "power": 3},
            lambda optax: optax.polynomial_schedule(LR, 0.02, 3, 90),
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_optax_does_the_same_at_each_of_200_steps(
    name: str, ours: dict[str, float], make: Callable[[Any], Any]
) -> None:
    np.testing.assert_allclose(values(name, lr=LR, **ours), optax_values(make), rtol=1e-5, atol=1e-8)


def test_the_linear_warm_up_of_optax_is_one_step_behind() -> None:
    ours, theirs = values("linear_warmup", lr=LR, warmup=50), optax_values(lambda x: x.linear_schedule(0, LR, 50))
    assert theirs[0] == 0
    np.testing.assert_allclose(ours[:-1], theirs[1:], rtol=1e-5)


def test_the_peak_of_one_cycle_is_one_step_later_in_optax() -> None:
    theirs = optax_values(lambda x: x.cosine_onecycle_schedule(100, LR, pct_start=0.3))[:100]
    assert theirs.argmax() == values("one_cycle", lr=LR, steps=100).argmax() + 1
    assert 0.02 * LR < np.abs(theirs - values("one_cycle", lr=LR, steps=100)[:100]).max() < 0.04 * LR


# By hand -----------------------------------------------------------------------------------------------------------


def test_sgdr_restarts_after_10_30_and_70_steps() -> None:
    rates = values("sgdr", lr=1.0, period=10, growth=2)
    assert [k for k in range(STEPS) if rates[k] == 1.0] == [0, 10, 30, 70, 150]
    assert rates[5] == pytest.approx(0.5, abs=1e-15)
    assert rates[9] == pytest.approx((1 + np.cos(pi * 0.9)) / 2)


@pytest.mark.parametrize("growth", [1, 2, 3, 5, 10, 1000])
@pytest.mark.parametrize("period", [1, 2, 3, 7, 10, 49, 1000])
def test_sgdr_restarts_exactly_however_late(period: int, growth: int) -> None:
    schedule = kind("sgdr")(lr=1.0, period=period, growth=growth)
    begin, length = 0, period
    while begin + length < 2**52:
        assert schedule(begin + 1) == 1.0
        if length > 1:
            assert schedule(begin + length) == pytest.approx((1 + np.cos(pi * (length - 1) / length)) / 2, abs=1e-15)
        begin, length = begin + length * (max(1, 2**49 // period) if growth == 1 else 1), length * growth


def test_cosine_annealing_rises_again_and_cosine_decay_stays() -> None:
    rising, staying = values("cosine_annealing", lr=1.0, steps=50), values("cosine_decay", lr=1.0, steps=50)
    np.testing.assert_allclose(rising[:51], staying[:51])
    assert (rising[50], staying[50]) == (0, 0)
    assert rising[100] == 1
    assert not staying[50:].any()


def test_triangles_between_their_bounds() -> None:
    hypers = {"lr": 1.0, "lr_min": 0.5, "up": 10, "down": 40}
    plain, halved = values("triangular", **hypers), values("triangular2", **hypers)
    falling = values("exp_range", **hypers, decay=0.5)
    assert [plain[k] for k in (0, 5, 10, 30, 50, 60)] == [0.5, 0.75, 1.0, 0.75, 0.5, 1.0]
    assert [halved[k] for k in (0, 10, 50, 60, 110, 160)] == [0.5, 1.0, 0.5, 0.75, 0.625, 0.5625]
    assert falling[10] == 0.5 + 0.5 * 0.5**10
    other_way = values("triangular_momentum", momentum=0.9, momentum_min=0.8, up=10, down=40)
    np.testing.assert_allclose(other_way, 0.9 - 0.1 * (plain - 0.5) / 0.5)


def test_warm_ups_by_hand() -> None:
    assert values("linear_warmup", lr=1.0, warmup=4)[:6].tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert values("linear_warmup_from", lr=1.0, warmup=4)[[0, 4]] == pytest.approx([1 / 3, 1])
    assert values("untuned_linear_warmup", lr=1.0, beta2=0.9)[:20].tolist() == pytest.approx(
        [min(1, k / 20) for k in range(1, 21)]
    )
    assert values("exponential_warmup", lr=1.0, warmup=10)[9] == pytest.approx(1 - exp(-1))
    assert values("untuned_exponential_warmup", lr=1.0, beta2=0.9)[9] == pytest.approx(1 - exp(-1))
    assert values("noam", lr=1.0, warmup=50)[[24, 49, 199]].tolist() == [0.5, 1, 0.5]
    assert values("inverse_sqrt", lr=1.0)[[0, 3, 99]].tolist() == [1, 0.5, 0.1]


def test_one_cycle_by_hand() -> None:
    hypers = {"lr": 1.0, "steps": 101, "rise": 21 / 101, "div": 5, "final_div": 10}
    two, three = values("one_cycle_linear", **hypers), values("one_cycle_three_phase_linear", **hypers)
    assert two[[0, 10, 20, 60, 100, 150]] == pytest.approx([0.2, 0.6, 1, 0.51, 0.02, 0.02])
    assert three[[0, 10, 20, 30, 40, 70, 100]] == pytest.approx([0.2, 0.6, 1, 0.6, 0.2, 0.11, 0.02])
    momentum = {"steps": 101, "rise": 21 / 101}
    assert values("one_cycle_linear_momentum", **momentum)[[0, 20, 60, 100]] == pytest.approx([0.95, 0.85, 0.9, 0.95])
    assert values("one_cycle_three_phase_linear_momentum", **momentum)[[0, 20, 30, 40, 100]] == pytest.approx(
        [0.95, 0.85, 0.9, 0.95, 0.95]
    )


def test_a_one_cycle_without_room_to_rise_falls_at_once() -> None:
    for name in SCHEDULES:
        if name.startswith("one_cycle"):
            for steps in (1, 2, 3):
                assert np.isfinite(values(name, steps=steps)).all()


# All of them -------------------------------------------------------------------------------------------------------


def drawn(schedule: Schedule, draw: random.Random) -> dict[str, float]:
    """Values of hyperparameters from all over their domains."""
    hypers = {}
    for hyper in schedule.hypers:
        domain: Domain = kind(schedule.name).hypers[hyper.name].domain
        high = min(domain.high, 50.0)
        while True:
            value = draw.randint(1, 50) if domain.integer else draw.uniform(domain.low, high)
            if domain.holds(value):
                hypers[hyper.name] = value
                break
    return hypers


LAST = 2**53
"""The last step: up to here every integer is a float."""


def corners(domain: Domain, default: float) -> list[float]:
    """The ends of a domain and what is next to them."""
    if domain.integer:
        low = int(domain.low)
        return [low, low + 1, low + 2, int(default), LAST]
    low = nextafter(domain.low, inf) if domain.low_open else domain.low
    high = min(nextafter(domain.high, -inf) if domain.high_open else domain.high, 1e308)
    return [low, default, nextafter(high, -inf), high]


def test_every_value_is_a_number_in_range_at_the_corners_of_all_domains(schedule: Schedule) -> None:
    hypers = kind(schedule.name).hypers
    bounds = [name for name in hypers if name.startswith(("lr", "momentum"))]
    for values in product(*(corners(hyper.domain, hyper.default) for hyper in hypers.values())):
        given = dict(zip(hypers, values, strict=True))
        value, high = kind(schedule.name)(**given), max(given[name] for name in bounds)
        ends = {int(part * length) for length in values if length >= 1 and length <= LAST for part in (0.3, 0.6, 1, 2)}
        for step in {1, 2, 3, LAST, *(end + k for end in ends for k in (-1, 0, 1, 2))}:
            if 1 <= step <= LAST:
                assert 0 <= value(step) <= high * (1 + 1e-12), (given, step)


def test_every_module_computes_its_equation(schedule: Schedule) -> None:
    draw = random.Random(schedule.name)
    probe = Optimizer("probe", title="Probe", step=(Let(theta.next, schedule.value),))
    for _ in range(100):
        hypers, step = drawn(schedule, draw), draw.choice([1, 2, draw.randint(3, 60), draw.randint(60, 10**4)])
        ((expected,), _) = reference.step(probe, [0.0], [0.0], {}, step, hypers=hypers, arithmetic=Digits())
        scale = max(1, *hypers.values())
        assert abs(kind(schedule.name)(**hypers)(step) - float(expected)) <= 1e-11 * scale, (hypers, step)


def test_every_value_compiles_into_a_kernel(schedule: Schedule) -> None:
    draw = random.Random(schedule.name)
    kernel = optgen.compile(Optimizer(schedule.name, title="Probe", step=(Let(theta.next, schedule.value),)))
    for step in (1, 2, 3, 10, 11, 31, 71, draw.randint(72, 10**4)):
        hypers, computed = drawn(schedule, draw), np.zeros(1)
        kernel.step(computed, np.zeros(1), t=step, **hypers)
        assert computed[0] == pytest.approx(kind(schedule.name)(**hypers)(step), rel=1e-9, abs=1e-10)


def test_the_value_is_in_t_and_hyperparameters_alone(schedule: Schedule) -> None:
    assert schedule.value.free_symbols <= {t, *schedule.hypers}
    assert {hyper.name for hyper in schedule.hypers} == set(kind(schedule.name).hypers)


def test_a_pickled_schedule_is_the_same(schedule: Schedule) -> None:
    made = kind(schedule.name)()
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert again == made
    assert again(7) == made(7)
    assert repr(made).startswith(f"{schedule.title}(")
    assert type(made(7)) is float


def test_hyperparameters_are_checked_when_a_schedule_is_made() -> None:
    sgdr = kind("sgdr")
    assert repr(sgdr(lr=np.float32(0.5), period=20.0)) == "SGDR(lr=0.5, growth=1, period=20, lr_min=0.0)"
    with pytest.raises(ValueError, match=r"lr = -1.0 is outside its domain: expected a number in \[0, inf\)"):
        sgdr(lr=-1)
    with pytest.raises(ValueError, match=r"period = 2.5 is outside its domain: expected a number in the integers"):
        sgdr(period=2.5)
    for wrong in (nan, inf):
        with pytest.raises(ValueError, match="growth = "):
            sgdr(growth=wrong)
    with pytest.raises(TypeError, match="lr: expected a real number, got str"):
        sgdr(lr="fast")
    with pytest.raises(TypeError, match="unexpected keyword argument 'rate'"):
        sgdr(rate=1)
    with pytest.raises(FrozenInstanceError):
        sgdr().lr = 1


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-3, ValueError), (1.0, TypeError), (None, TypeError)])
def test_the_step_is_checked(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="t"):
        kind("sgdr")()(wrong)


def test_a_schedule_sets_the_rate_of_a_step() -> None:
    w = np.zeros(3)
    opt, schedule = SGD([w]), kind("linear_warmup")(lr=1.0, warmup=4)
    for _ in range(2):
        opt.step([np.ones(3)], lr=schedule(opt.t + 1))
    assert w.tolist() == [-0.75] * 3


def test_a_schedule_needs_neither_sympy_nor_numba() -> None:
    code = (
        "import sys, optgen.generated.schedules.sgdr as s; s.SGDR()(3); assert not {'sympy', 'numba'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# docs/schedules.md -------------------------------------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")


def test_the_document_has_every_schedule_and_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    table = DOCUMENT[DOCUMENT.index("| schedule |") :]
    assert set(SCHEDULES) <= set(re.findall(r"`(\w+)`", table))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(block, names)  # noqa: S102
    assert names["halved"].title == "Halved"
    assert (tmp_path / "range.png").exists()
    assert names["found"].largest_stable is not None
