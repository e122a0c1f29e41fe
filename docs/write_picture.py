"""Draw the picture at the top of the README from the code itself: equations, kernel, certificate of AdamW.

python docs/write_picture.py docs/pictures/optgen.svg
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from optgen.catalog import found
from optgen.certificates import key, shipped
from optgen.folders import installed_generated, installed_specs, spec_files
from optgen.language.latex import tex
from optgen.pipeline import kernel_of
from optgen.plot.canvas import save

NAME = "adamw"
WIDTH, HEIGHT = 11.6, 3.1
"""Inches, at 72 pixels each."""
PANELS = ((0.0, 3.0), (3.35, 4.85), (8.55, 3.05))
"""Where each begins, and how wide it is."""
INK, SOFT, CARD, EDGE, MARK = "#1f2328", "#59636e", "#ffffff", "#d1d9e0", "#0072B2"
_SETTINGS: dict[str, Any] = {"svg.fonttype": "path", "svg.hashsalt": "optgen", "mathtext.fontset": "stix"}


def draw(out: Path) -> None:
    """Draw it: dark on cards of its own, to be read wherever it stands."""
    source, declared = found(NAME, spec_files(installed_specs()))
    optimizer: Any = source.rule(declared.name)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        figure.patch.set_alpha(0)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT))
        axes.set_axis_off()
        equations = [f"${tex(let.target)} = {tex(let.value)}$".replace(r"\frac", r"\dfrac") for let in optimizer.step]
        _card(axes, 0, "Equations", f"specs/{NAME}.py", equations, size=12.5)
        _card(axes, 1, "A fused kernel", f"generated/cpu/{NAME}.py", _body(), family="monospace", size=8.3)
        _card(axes, 2, "A certificate", f"optgen verify {NAME}", _found(kernel_of(optimizer)), size=9.6)
        for begin, _ in PANELS[1:]:
            axes.annotate(
                "",
                (begin - 0.02, HEIGHT / 2),
                (begin - 0.33, HEIGHT / 2),
                arrowprops={"arrowstyle": "-|>", "color": MARK, "lw": 1.6},
            )
        save(figure, out)


def _card(axes: Any, place: int, title: str, where: str, lines: list[str], **style: Any) -> None:
    """A title, where it is from, and lines."""
    begin, width = PANELS[place]
    box = FancyBboxPatch(
        (begin + 0.06, 0.06), width - 0.12, HEIGHT - 0.12, "round,pad=0,rounding_size=0.08", fc=CARD, ec=EDGE
    )
    axes.add_patch(box)
    axes.text(begin + 0.2, HEIGHT - 0.32, title, size=11.5, weight="bold", color=MARK, va="center")
    aside: dict[str, Any] = {"size": 8, "color": SOFT, "family": "monospace", "va": "center", "ha": "right"}
    axes.text(begin + width - 0.2, HEIGHT - 0.32, where, **aside)
    apart = (HEIGHT - 0.75) / len(lines)
    for number, line in enumerate(lines):
        axes.text(begin + 0.2, HEIGHT - 0.62 - apart * (number + 0.5), line, color=INK, va="center", **style)


def _body() -> list[str]:
    """What the generated module does to one element."""
    text = (installed_generated() / "cpu" / f"{NAME}.py").read_text(encoding="utf-8")
    (update,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "update")
    lines = (ast.get_source_segment(text, node) for node in update.body[1:])  # after what it says of itself
    return ["def update(theta, g, m, v, …):", *(f"    {line}" for line in lines)]


def _found(kernel: Any) -> list[str]:
    """What is known of it: of the kernel by counting, of the module by its certificate."""
    proof = shipped()[key(NAME, "cpu")]
    (branch,) = kernel.branches
    held = [claim for claim, verdicts in proof["claims"].items() if "failed" not in verdicts]
    return [
        f"✓ {proof['proved']} of {proof['stored']} stored values proved",
        f"✓ at most {proof['ulps']['float32']:.1f} units in the last place off",
        f"✓ {proof['memory'][0]} of {proof['memory'][1]} checks of memory",
        f"✓ {len(held)} of {len(proof['claims'])} claims hold",
        f"✓ one launch, {branch.loads + branch.stores} values an element",
    ]


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
