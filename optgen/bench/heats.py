"""What is timed: a rule, on a model, its slots stored somehow, on so many threads, against so many others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from optgen.bench.models import ALL, COUNTS, NETWORKS, Tensors, tensors
from optgen.bench.peers import COMPILED, PEERS


@dataclass(frozen=True)
class StoredAs:
    """How the slots of an optimizer are stored, and how it sees tensors."""

    dtype: str = "float32"  # of parameters and gradients, and of all states but for what the options say
    # What the optimizer is made with: ``store``, ``rounding``, ``master``, ``kahan``, ``as_matrices``
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = [f"{name} in {its}" for name, its in self.options.get("store", {}).items()]
        said += [f"{name} {value}" if isinstance(value, str) else name for name, value in self._others()]
        return ", ".join([self.dtype, *said])

    def _others(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.options.items() if name != "store" and value]


@dataclass(frozen=True)
class Heat:
    """One race."""

    rule: str  # the optimizer
    model: Tensors  # what it trains
    kept: StoredAs  # how its slots are stored
    threads: int  # on how many threads all run that can be told
    against: tuple[str, ...] = PEERS  # of the contenders of others, who takes part


ROWS = ("adam_mini", "centralized_sgdm", "clip_unit_norm_sgdm", "novograd", "lamb", "lars", "cautious_adamw")
"""Rules that add up rows or tensors, of which one that is in cache need not be read twice from memory."""
BY_ROWS = (
    "adafactor", "adafactor_paper", "adam_mini", "adamp", "centralized_sgdm", "clip_unit_norm_sgdm", "sm3",
)  # fmt: skip
"""Rules that look at rows or columns, of which one tensor of 2^24 is a single row: their 2^24 are those of a matrix."""
LARGE, TILED, SMALL = "2^24", "4096by4096", "1000x4096"
MATRICES, CONVOLUTIONS = "gpt2", "resnet50"
"""A network whose rows are long, and one whose rows are those of its convolutions: 1, 3 or 7 elements."""
AS_MATRICES = StoredAs(options={"as_matrices": True})
EAGER = ("torch foreach", "torch single")
"""Contenders that have every rule of PyTorch's, on models of any size."""
SIXTEEN_BITS = (
    StoredAs(options={"store": {"m": "bfloat16", "v": "bfloat16"}}),
    StoredAs("bfloat16"),
    StoredAs("bfloat16", {"master": True}),
    StoredAs("float64"),
)


def standard(rules: Sequence[str], threads: int) -> list[Heat]:
    """What docs/performance.md shows: AdamW in full, every rule against memory, the rules that add up on rows."""
    usual = StoredAs()
    fused = ("torch fused", "DeepSpeed")
    quick = tuple(peer for peer in PEERS if peer != COMPILED)  # which takes a minute for each of the networks
    chosen = [Heat("adamw", tensors(name), usual, threads) for name in ALL if name not in NETWORKS]
    chosen += [Heat("adamw", tensors(name), usual, threads, quick) for name in NETWORKS]
    chosen += [Heat("sgdm", tensors(name), usual, threads, quick) for name in ("2^10", "2^17", LARGE, SMALL)]
    joined = "ema_clip_global_norm_adamw"
    chosen += [Heat(joined, tensors(name), usual, threads) for name in (LARGE, SMALL, "2^17")]
    chosen += [Heat("adamw", tensors(name), usual, threads, fused) for name in COUNTS if name not in ALL]
    chosen += [Heat("adamw", tensors(name), usual, 1, fused) for name in ("2^14", "2^17", LARGE, SMALL) if threads > 1]
    chosen += [Heat("adamw", tensors(name), kept, threads, fused) for kept in SIXTEEN_BITS for name in (LARGE, SMALL)]
    chosen += [Heat(rule, tensors(name), usual, threads, ()) for rule in ROWS for name in (TILED, SMALL)]
    chosen += [Heat(rule, tensors(TILED), usual, threads, ()) for rule in BY_ROWS if rule not in ROWS]
    networks = (MATRICES, CONVOLUTIONS)
    chosen += [Heat(rule, tensors(name), usual, threads, EAGER) for rule in BY_ROWS for name in networks]
    chosen += [Heat(rule, tensors(CONVOLUTIONS), AS_MATRICES, threads, ()) for rule in BY_ROWS]
    done = {heat.rule for heat in chosen if heat.model.name == LARGE}
    chosen += [Heat(rule, tensors(LARGE), usual, threads, ()) for rule in rules if rule not in done]
    return [heat for heat in chosen if heat.rule in rules]


def every(
    rule: str, models: Sequence[Tensors], kept: Sequence[StoredAs], threads: Sequence[int], against: tuple[str, ...]
) -> list[Heat]:
    """A rule on each model, stored and threaded in each way."""
    return [Heat(rule, model, its, number, against) for its, number, model in product(kept, threads, models)]
