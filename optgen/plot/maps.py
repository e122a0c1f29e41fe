"""Pictures seen from above: paths on a surface, the same as an animation, and losses over two hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import numpy as np

from optgen.plot.canvas import PALETTE, canvas, look, save
from optgen.plot.runs import Path
from optgen.plot.surfaces import Floats, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 10
"""Paths of which no more can be told apart in one picture."""
FRAMES = 72
"""Pictures of an animation, after which the last is shown for a while."""
_LEVELS = 14


def draw_paths(paths: Sequence[Path], surface: Surface, out: File) -> None:
    """Draw where rules went, into a file; a ``.gif`` shows them going."""
    with canvas(8.4, 5.6) as (figure, axes):
        ground(axes, surface)
        steps = len(paths[0].points) - 1
        best = min(paths, key=lambda each: each.loss)
        axes.set_title(
            f"{surface.title}: after {steps} steps {best.name} is lowest" if len(paths) > 1 else surface.title
        )
        lines = [axes.plot(*each.points.T, lw=1.6, zorder=3, **look(k))[0] for k, each in enumerate(paths)]
        dots = [
            axes.plot(*each.points[-1], "o", ms=5, zorder=4, color=look(k)["color"])[0] for k, each in enumerate(paths)
        ]
        _key(axes, paths)
        if out.suffix == ".gif":
            _animate(figure, axes, list(zip(paths, lines, dots, strict=True)), out)
        else:
            save(figure, out)


def ground(axes: Axes, surface: Surface) -> None:
    """A surface as contour lines, with the start and where it is lowest."""
    left, right, low, high = surface.window
    x, y = np.meshgrid(np.linspace(left, right, 150), np.linspace(low, high, 150))
    depth = np.log10(surface.value(x, y) + 1e-2)
    lowest, highest = float(depth.min()), float(depth.max())
    axes.contourf(x, y, depth, _LEVELS, cmap="Greys", vmin=lowest, vmax=lowest + 4 * (highest - lowest), zorder=0)
    axes.contour(x, y, depth, _LEVELS, colors="#BBBBBB", linewidths=0.5, zorder=1)
    axes.plot(*surface.start, "o", ms=7, mfc="white", mec="#333333", zorder=5)
    axes.plot(*np.transpose(surface.minima), "*", ms=13, mfc="none", mec="#333333", zorder=5, linestyle="none")
    axes.set(xlim=(left, right), ylim=(low, high), xlabel="x", ylabel="y")
    axes.grid(visible=False)


def _key(axes: Axes, paths: Sequence[Path]) -> None:
    """The rules beside the picture, lowest first, each in the colour of its path with its rate and where it ended."""
    ranked = sorted(enumerate(paths), key=lambda pair: pair[1].loss)
    apart = min(0.105, 0.87 / len(ranked))
    for place, (number, each) in enumerate(ranked):
        top = 0.985 - apart * place
        rate = "" if each.lr is None else f"lr {each.lr:.2g}, "
        end = f"ends at {each.loss:.2g}" if np.isfinite(each.loss) else "diverges"
        style: dict[str, Any] = {"transform": axes.transAxes, "va": "top"}
        axes.plot((1.02, 1.06), (top - 0.02,) * 2, transform=axes.transAxes, clip_on=False, lw=2, **look(number))
        axes.text(1.075, top, each.name, color=look(number)["color"], weight="bold", **style)
        axes.text(1.075, top - min(0.045, 0.55 * apart), rate + end, color="#555555", fontsize=9, **style)
    bottom: dict[str, Any] = {"transform": axes.transAxes, "color": "#555555", "fontsize": 9, "va": "center"}
    for level, sign, words, size in ((0.07, "o", "start", 7), (0.02, "*", "lowest", 12)):
        axes.plot(1.04, level, sign, ms=size, mfc="white", mec="#333333", transform=axes.transAxes, clip_on=False)
        axes.text(1.075, level, words, **bottom)


def _animate(figure: Any, axes: Axes, moving: Sequence[tuple[Path, Any, Any]], out: File) -> None:
    """Write the paths as they grow; what does not move is drawn once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from PIL import Image  # noqa: PLC0415

    drawing: Any = FigureCanvasAgg(figure)
    for _, line, dot in moving:
        line.set_animated(True)
        dot.set_animated(True)
    drawing.draw()
    still = drawing.copy_from_bbox(figure.bbox)
    frames = []
    steps = len(moving[0][0].points) - 1
    for at in np.unique(np.linspace(0, steps, min(FRAMES, steps + 1)).astype(int)):
        drawing.restore_region(still)
        for each, line, dot in moving:
            line.set_data(*each.points[: at + 1].T)
            dot.set_data(*each.points[at : at + 1].T)
            axes.draw_artist(line)
            axes.draw_artist(dot)
        frames.append(Image.fromarray(np.asarray(drawing.buffer_rgba())).convert("RGB"))
    palette = frames[-1].quantize(PALETTE)
    pictures = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    out.parent.mkdir(parents=True, exist_ok=True)
    durations = [60] * (len(pictures) - 1) + [2500]
    pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)


def draw_heat(
    losses: Floats, axes_: tuple[tuple[str, Floats], tuple[str, Floats]], what: tuple[str, Surface, int], out: File
) -> None:
    """Draw the value at the end over two hyperparameters, and mark where it is lowest.

    It is infinite where a run diverged. The axes are names and values of the hyperparameter across and of that upwards;
    what is drawn is a rule, on a surface, after so many steps.
    """
    (columns, rows), (name, surface, steps) = axes_, what
    with canvas(7.6, 5.4) as (figure, axes):
        shown = np.ma.masked_invalid(np.log10(np.where(np.isfinite(losses), np.maximum(losses, 1e-12), np.nan)))
        start = float(surface.value(*surface.start))
        top = np.log10(start)
        axes.set_facecolor("#D9D9D9")
        image = axes.pcolormesh(shown, cmap="cividis_r", vmax=top, vmin=min(float(shown.min()), top - 1))
        bar = figure.colorbar(image, ax=axes, pad=0.02)
        bar.ax.yaxis.set_major_locator(_whole())
        bar.ax.yaxis.set_major_formatter(lambda power, _: rf"$10^{{{power:.0f}}}$")
        bar.set_label("value at the end")
        row, column = np.unravel_index(np.argmin(losses), losses.shape)
        axes.plot(column + 0.5, row + 0.5, "o", ms=11, mfc="none", mec="black", mew=2)
        best = f"{columns[0]} = {columns[1][column]:.2g}, {rows[0]} = {rows[1][row]:.3g}"
        axes.set_title(f"{surface.title}: after {steps} steps {name} is lowest at\n{best}")
        for axis, (hyper, values) in ((axes.xaxis, columns), (axes.yaxis, rows)):
            axis.set_ticks(*_ticks(values))
            axis.set_label_text(hyper)
        if shown.mask.any():
            axes.annotate(
                "grey: diverges", (1, -0.14), xycoords="axes fraction", ha="right", color="#666666", fontsize=9
            )
        axes.grid(visible=False)
        save(figure, out)


def _ticks(values: Floats) -> tuple[Floats, list[str]]:
    """Round numbers among values that are evenly spaced but for a logarithm, and where they lie in a row of cells."""
    places = np.arange(len(values)) + 0.5
    if values[0] == 0:  # decays, by how far they are from 1
        wanted = np.array([0, 0.5, 0.9, 0.99, 0.999])
        return np.interp(-np.log(1 - wanted), -np.log(1 - values), places), [f"{value:g}" for value in wanted]
    wanted = 10.0 ** np.arange(np.ceil(np.log10(values[0]) - 1e-9), np.floor(np.log10(values[-1]) + 1e-9) + 1)
    return np.interp(np.log(wanted), np.log(values), places), [f"{value:g}" for value in wanted]


def _whole() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    return MaxNLocator(integer=True, nbins=6)
