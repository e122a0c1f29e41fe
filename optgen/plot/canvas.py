"""What all pictures share: how they look, labels where lines end, and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optgen.errors import UsageError
from optgen.plot.style import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = 192
"""Colours in a PNG file."""
FORMATS = (".png", ".svg")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""Of lines whose colours come round again."""
_APART = 1.25
"""Distance of labels in heights of a line."""


def require_matplotlib() -> None:
    """Refuse to go on without it."""
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise UsageError("a picture needs matplotlib: pip install 'optgen[plot]'") from error


def require_format(out: Path, others: Sequence[str] = ()) -> None:
    """Refuse a file whose ending is not that of a picture, before anything is computed."""
    if out.suffix not in (*FORMATS, *others):
        raise UsageError(f"{out}: a picture is {', '.join((*FORMATS, *others))}: give --out such an ending")


@contextmanager
def canvas(width: float = 8, height: float = 5, rows: int = 1) -> Iterator[tuple[Figure, Any]]:
    """A figure in the style of all pictures, and its axes."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    settings: Any = {**STYLE, "svg.hashsalt": "optgen", "svg.fonttype": "none"}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        yield figure, figure.subplots(rows, sharex=True)


def save(figure: Figure, out: Path) -> None:
    """Write a figure into a file: the same bytes each time, and a PNG with a palette, a third of the size."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".svg":
        figure.savefig(out, metadata={"Date": None})
        return
    from PIL import Image  # noqa: PLC0415 - comes with matplotlib

    with BytesIO() as buffer:
        figure.savefig(buffer)
        Image.open(buffer).convert("RGB").quantize(PALETTE).save(out, optimize=True)


def look(number: int) -> dict[str, Any]:
    """Colour and dashes of a line, by its number."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def label_ends(axes: Axes, lines: Sequence[tuple[str, Any, Any, str]]) -> None:
    """Write names beside the right ends of lines, given with x, y and colour, as far apart as they must be to be read.

    Scales and limits of the axes are what they will be.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()  # settles the layout, without which nothing has a place
    size = _APART * STYLE["font.size"] * figure.dpi / 72 / axes.bbox.height
    at = [axes.transAxes.inverted().transform(axes.transData.transform((x, y))) for _, x, y, _ in lines]
    ends = sorted((min(max(float(height), 0), 1), number) for number, (_, height) in enumerate(at))
    places = _spread([end for end, _ in ends], size)
    for (end, number), place in zip(ends, places, strict=True):
        name, _, _, colour = lines[number]
        axes.annotate(
            name,
            (1, end),
            (1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=colour,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.6,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _spread(places: Sequence[float], apart: float) -> list[float]:
    """Places from low to high, moved until they lie apart: those too close become a block at their mean."""
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _top(blocks[-2], apart) + apart > _bottom(blocks[-1], apart):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return [_bottom(block, apart) + k * apart for block in blocks for k in range(len(block))]


def _bottom(block: Sequence[float], apart: float) -> float:
    height = (len(block) - 1) * apart
    return min(max(sum(block) / len(block) - height / 2, 0), max(1 - height, 0))


def _top(block: Sequence[float], apart: float) -> float:
    return _bottom(block, apart) + (len(block) - 1) * apart
