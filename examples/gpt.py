"""A small transformer learns to write Python from Python's own library, character by character, in PyTorch.

Four optimizers train it from one start on the same batches: torch's AdamW, and from optgen AdamW, Lookahead around
RAdam, and a rule that this file declares. The first two should draw the same curve.

    python examples/gpt.py --steps 200 --seed 0 --out gpt.png
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from sympy import Abs, sign, sqrt
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from optgen import Let, Optimizer, g, state, t, theta
from optgen.combinators import lookahead
from optgen.hypers import beta1, beta2, eps, lr, weight_decay
from optgen.plot.style import COLOURS, STYLE
from optgen.specs.radam import radam
from optgen.torch import AdamW, optimizer

# Grams (Cao et al. 2024, arXiv:2412.17107): as far as Adam goes, in the direction of the gradient.
m, v = state("m v")
adam = m.next / (1 - beta1**t) / (sqrt(v.next / (1 - beta2**t)) + eps)
grams = Optimizer(
    "grams",
    title="Grams",
    step=(
        Let(m.next, beta1 * m + (1 - beta1) * g),
        Let(v.next, beta2 * v + (1 - beta2) * g**2),
        Let(theta.next, (1 - lr * weight_decay) * theta - lr * Abs(adam) * sign(g)),
    ),
)

CONTEXT, BATCH, WIDTH, HEADS, LAYERS = 64, 16, 128, 4, 2
CHARACTERS = [*map(chr, range(32, 127)), "\n"]
CONTENDERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "AdamW of torch": lambda params: torch.optim.AdamW(params, lr=2e-3),
    "AdamW": lambda params: AdamW(params, lr=2e-3),
    "lookahead(radam)": lambda params: optimizer(lookahead(radam))(params, lr=3e-3),
    "Grams": lambda params: optimizer(grams)(params, lr=1e-3),
}


@dataclass
class Run:
    """The loss at each step, and the seconds that steps took, all of them and those of the optimizer alone."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    stepping: float = 0.0


class Block(nn.Module):
    """Attention to what came before, then two layers for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.asked, self.told = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.thought = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From what is known at each place to what is known one block later."""
        batch, places, _ = x.shape
        heads = self.asked(self.before(x)).view(batch, places, 3, HEADS, -1).transpose(1, 3)
        query, key, value = heads.unbind(2)
        seen = scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.told(seen.transpose(1, 2).reshape(batch, places, WIDTH))
        return x + self.thought(self.after(x))


class Writer(nn.Module):
    """From characters to how likely each is to come next."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(len(CHARACTERS), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.said = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(CHARACTERS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the character that follows each."""
        return self.said(self.blocks(self.characters(x) + self.places.weight[: x.shape[1]]))


def library(characters: int = 1_000_000) -> torch.Tensor:
    """The beginning of Python's own library, its files in order, as numbers of characters."""
    number = {character: k for k, character in enumerate(CHARACTERS)}
    found: list[int] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        found += [number[each] for each in path.read_text(encoding="utf-8", errors="ignore") if each in number]
        if len(found) >= characters:
            break
    return torch.tensor(found[:characters])


def trained(make: Callable[[Any], torch.optim.Optimizer], text: torch.Tensor, steps: int, seed: int) -> Run:
    """Train a model from the start that a seed makes."""
    torch.manual_seed(seed)
    model, run = Writer(), Run()
    its = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(its, T_max=steps)
    for _ in range(steps):
        begin = torch.randint(len(text) - CONTEXT - 1, (BATCH, 1))
        batch = text[begin + torch.arange(CONTEXT + 1)]
        start = perf_counter()
        loss = cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        its.zero_grad()
        loss.backward()
        ready = perf_counter()
        its.step()
        run.stepping += perf_counter() - ready
        run.seconds += perf_counter() - start
        run.losses.append(loss.item())
        scheduler.step()
    return run


def draw(runs: dict[str, Run], out: Path) -> None:
    """Draw the losses, each a mean of what is around it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for (name, run), colour in zip(runs.items(), COLOURS, strict=False):
            width = max(1, len(run.losses) // 20)
            smooth = torch.tensor(run.losses).unfold(0, width, 1).mean(1)
            axes.plot(range(width, len(run.losses) + 1), smooth, color=colour, label=name)
        axes.lines[0].set(linewidth=5, alpha=0.3)  # so that the second is seen on it
        axes.set(xlabel="step", ylabel="nats a character", title="A small transformer reads Python's library")
        axes.legend()
        figure.savefig(out, dpi=120)


def main(arguments: Sequence[str] | None = None) -> dict[str, Run]:
    """Train with each, print what came of it, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("gpt.png"))
    asked = parser.parse_args(arguments)
    if asked.steps < 1:
        parser.error("--steps: expected 1 or more")
    text = library()
    runs: dict[str, Run] = {}
    print(f"{'optimizer':18s} {'loss at last':>12s} {'seconds':>8s} {'of which step()':>15s}")
    for name, make in CONTENDERS.items():
        its = runs[name] = trained(make, text, asked.steps, asked.seed)
        last = its.losses[-20:]
        print(f"{name:18s} {sum(last) / len(last):12.4f} {its.seconds:8.1f} {its.stepping:15.2f}", flush=True)
    one, other = runs["AdamW of torch"].losses, runs["AdamW"].losses
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
    print(f"the losses of both AdamW are at most {apart:.1e} apart")
    draw(runs, asked.out)
    print(f"curves: {asked.out}")
    return runs


if __name__ == "__main__":
    main()
