"""What steps are timed on: models, as lists of the shapes of their tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from optgen.errors import UsageError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensors:
    """The tensors of a model."""

    name: str  # what it is called, and how it is asked for
    shapes: tuple[Shape, ...]  # a shape a tensor

    @property
    def elements(self) -> int:
        """How many elements all tensors have."""
        return sum(map(prod, self.shapes))


def _linear(inputs: int, outputs: int) -> list[Shape]:
    return [(outputs, inputs), (outputs,)]


def _norm(width: int) -> list[Shape]:
    return [(width,), (width,)]


def _convolution(inputs: int, outputs: int, side: int) -> list[Shape]:
    """A convolution without bias, and the batch norm after it."""
    return [(outputs, inputs, side, side), *_norm(outputs)]


def _bottleneck(inputs: int, width: int, *, shortcut: bool) -> list[Shape]:
    inner = [*_convolution(inputs, width, 1), *_convolution(width, width, 3), *_convolution(width, 4 * width, 1)]
    return inner + (_convolution(inputs, 4 * width, 1) if shortcut else [])


def _resnet50() -> list[Shape]:
    """He et al. 2016, Table 1, as torchvision has it."""
    shapes, channels = _convolution(3, 64, 7), 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            shapes += _bottleneck(channels, width, shortcut=block == 0)
            channels = 4 * width
    return shapes + _linear(channels, 1000)


def _transformer(width: int, layers: int) -> list[Shape]:
    """Blocks of attention and a perceptron four times as wide, each after a norm, and a norm at the end."""
    attention = [*_norm(width), *_linear(width, 3 * width), *_linear(width, width)]
    perceptron = [*_norm(width), *_linear(width, 4 * width), *_linear(4 * width, width)]
    return (attention + perceptron) * layers + _norm(width)


NETWORKS: dict[str, tuple[Shape, ...]] = {
    "resnet50": tuple(_resnet50()),
    "gpt2": ((50257, 768), (1024, 768), *_transformer(768, 12)),  # the head shares the embedding
    "vit_b16": ((768,), (197, 768), (768, 3, 16, 16), (768,), *_transformer(768, 12), *_linear(768, 1000)),
}
"""ResNet-50, GPT-2 small and ViT-B/16: the parameters that are trained."""
MANY = ("1000x4096", "10000x100")
USUAL = ("2^10", "2^14", "2^17", "2^20", "2^24", *MANY)
"""What is timed unless something else is asked for."""
ALL = (*(f"2^{power}" for power in range(10, 27, 2)), "2^17", *MANY, *NETWORKS)
COUNTS = tuple(f"{10**power}x100" for power in range(6))
"""From 1 to 100,000 tensors of 100 elements."""
_NUMBER = r"\d+(?:\^\d+)?"
_WRITTEN = re.compile(rf"(?:(?P<count>{_NUMBER})x)?(?P<shape>{_NUMBER}(?:by{_NUMBER})*)")


def tensors(name: str) -> Tensors:
    """What a name, or ``2^20``, ``4096by4096``, ``1000x4096`` or ``12x768by768``, stands for."""
    if name in NETWORKS:
        return Tensors(name, NETWORKS[name])
    written = _WRITTEN.fullmatch(name)
    numbers = [] if written is None else [_number(text) for text in re.findall(_NUMBER, name)]
    if written is None or 0 in numbers or prod(numbers) >= 2**40:
        raise UsageError(
            f"--shapes: {name!r} is no model: write 2^20 for one tensor, 4096by4096 for one of rows, 1000x4096 for a"
            f" thousand, {', '.join(NETWORKS)}, or all"
        )
    count, shape = (numbers[0], numbers[1:]) if written["count"] else (1, numbers)
    return Tensors(name, (tuple(shape),) * count)


def _number(text: str) -> int:
    base, _, power = text.partition("^")
    if power and int(power) > 40:  # noqa: PLR2004 - more than any memory has, and soon more than a computer can write
        return 2**40
    number: int = int(base) ** int(power or 1)
    return number


def chosen(names: Sequence[str]) -> list[Tensors]:
    """The models of some names, each once; ``all`` stands for all of them."""
    return [tensors(name) for name in dict.fromkeys(ALL if "all" in names else names)]
