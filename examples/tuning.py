"""Any generated optimizer trained on the digits, under several seeds, at the learning rate that suits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pkgutil import iter_modules
from statistics import fmean

import numpy as np
from claims import Run, Seeds, at_end
from mlp import Data, Params, accuracy, batches, held_out, initial, load, loss_and_gradients
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from optgen.generated import cpu
from optgen.runtime import FusedOptimizer

RATES = ("lr", "step_size")
"""What is tuned: the first of these that an optimizer has. One with neither is left out."""
LEARN_THEIRS = ("prodigy", "dadapt_adam", "dog", "dowg")
"""Rules whose learning rate is a multiplier of the one that they learn: it stays 1, as their papers would have it."""
USED = ("theta_ema", "phi", "ax")
"""States to use in the place of parameters: a moving average, the slow weights of Lookahead, the average of ASGD."""


@dataclass(frozen=True)
class Setting:
    """An optimizer and how it is used: its learning rate, which grows over the first steps if `warmup` is not 0."""

    name: str
    rate: float
    warmup: int = 0


@dataclass(frozen=True)
class Trained:
    """A setting under every seed, and itself with the others that it was chosen from, by rate."""

    setting: Setting
    runs: tuple[Run, ...]
    tried: tuple[Trained, ...] = ()

    def each(self, measure: Callable[[Run], float]) -> Seeds:
        """A measure under each seed."""
        return tuple(map(measure, self.runs))

    @property
    def validation(self) -> float:
        """Accuracy on the validation images at the end: what learning rates are chosen by."""
        return fmean(self.each(lambda run: at_end(run.validation)))

    @property
    def test(self) -> Seeds:
        """Accuracy on the test images at the end, under each seed."""
        return self.each(lambda run: at_end(run.test))


def found() -> tuple[str, ...]:
    """The names of all generated optimizers."""
    return tuple(info.name for info in iter_modules(cpu.__path__))


def kind(name: str) -> type[FusedOptimizer]:
    """The class in a generated module."""
    module = import_module(f"optgen.generated.cpu.{name}")
    return next(
        value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__
    )


def rate_of(name: str) -> str | None:
    """Which hyperparameter is the learning rate."""
    return next((rate for rate in RATES if rate in kind(name).program.hypers), None)


def where_gradients_are_taken(name: str, params: Params, optimizer: FusedOptimizer) -> Params:
    """The parameters themselves, but for the form of Nesterov's rule that asks for the gradient ahead of them."""
    if name != "nag_lookahead":
        return params
    return {key: theta - optimizer.hypers["momentum"] * optimizer.state["m"][key] for key, theta in params.items()}


def where_accuracy_is_measured(name: str, params: Params, optimizer: FusedOptimizer) -> Params:
    """The parameters themselves, but for rules that train with one point and are used at another."""
    state = optimizer.state
    if name.startswith("schedule_free"):
        beta1 = optimizer.hypers["beta1"]
        return {key: state["z"][key] + (theta - state["z"][key]) / beta1 for key, theta in params.items()}
    return next((state[used] for used in USED if used in state), params)


@cache
def data() -> tuple[Data, Data]:
    """All digits with the test images held out, and the rest of them with the validation images held out."""
    whole = load()
    return whole, held_out(whole.train_x, whole.train_y)


def run(setting: Setting, seed: int, epochs: int) -> Run:
    """Train from a seed. The same seed gives every optimizer the same start and the same batches."""
    whole, rest = data()
    name, peak, warmup = setting.name, setting.rate, setting.warmup
    rng = np.random.default_rng(seed)
    params = initial(rng)
    optimizer = kind(name)(params, **{rate_of(name): (lambda t: peak * min(1, t / warmup)) if warmup else peak})
    losses, validation, test = [], [], []
    with np.errstate(all="ignore"):  # at a rate that is too high some diverge
        for _ in range(epochs):
            for batch in batches(len(rest.train_y), rng):
                point = where_gradients_are_taken(name, params, optimizer)
                loss, gradients = loss_and_gradients(point, rest.train_x[batch], rest.train_y[batch])
                optimizer.step(gradients)
                losses.append(loss)
            point = where_accuracy_is_measured(name, params, optimizer)
            validation.append(accuracy(point, rest.test_x, rest.test_y))
            test.append(accuracy(point, whole.test_x, whole.test_y))
    return Run(np.array(losses), np.array(validation), np.array(test))


def trained(setting: Setting, seeds: Sequence[int], epochs: int) -> Trained:
    """A setting under every seed."""
    return Trained(setting, tuple(run(setting, seed, epochs) for seed in seeds))


def best(score: Callable[[int], float]) -> int:
    """The integer with the best score: of -1, 0 and 1, and on from there while it gets better. 0 wins a draw."""
    here = max((0, -1, 1), key=score)
    while here and score(here + here // abs(here)) > score(here):
        here += here // abs(here)
    return here


def tuned(name: str, seeds: Sequence[int], epochs: int) -> Trained:
    """An optimizer at the best of the learning rates 1, 3, 10, … and 0.3, 0.1, … times its own default.

    A rule that learns its own is tried at the default alone.
    """
    default = kind(name).program.hypers[rate_of(name)].default

    @cache
    def at(k: int) -> Trained:
        rate = float(f"{default * (1, 3)[k % 2] * 10.0 ** (k // 2):.3g}")
        tried.append(trained(Setting(name, rate), seeds, epochs))
        return tried[-1]

    tried: list[Trained] = []
    chosen = at(0 if name in LEARN_THEIRS else best(lambda k: at(k).validation))
    return replace(chosen, tried=tuple(sorted(tried, key=lambda each: each.setting.rate)))


Task = tuple[Callable[..., Trained], str | Setting]


def _alone() -> None:
    """A process of a pool leaves the other cores to the others."""
    threadpool_limits(1)


def work(
    tasks: Sequence[Task], seeds: Sequence[int], epochs: int, jobs: int, console: Console
) -> dict[str | Setting, Trained]:
    """Train what is asked for, on several processes unless `jobs` is 1."""
    done: dict[str | Setting, Trained] = {}
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Training", total=len(tasks))

        def note(what: str | Setting, result: Trained) -> None:
            done[what] = result
            progress.advance(bar)
            if progress.disable and (len(done) % 10 == 0 or len(done) == len(tasks)):
                print(f"trained {len(done)} of {len(tasks)}", flush=True)

        if jobs == 1:
            with threadpool_limits(1):
                for how, what in tasks:
                    note(what, how(what, seeds, epochs))
        else:
            with ProcessPoolExecutor(jobs, get_context("spawn"), _alone) as pool:
                futures = {pool.submit(how, what, seeds, epochs): what for how, what in tasks}
                for future in as_completed(futures):
                    note(futures[future], future.result())
    return {what: done[what] for _, what in tasks}
