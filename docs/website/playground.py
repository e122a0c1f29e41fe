"""The playground: a page on which one moves what optimizers do, by rules that are printed to JavaScript."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from website.files import Files
from website.javascript import rule, surface
from website.paths import TRIED

from optgen.catalog import Choice
from optgen.plot.style import COLOURS
from optgen.plot.surfaces import SURFACES

USUAL = ("sgd", "sgdm", "rmsprop", "adam")
"""What is shown unless the address says otherwise."""
_DARK = ("#56B4E9", "#FF8A4C", "#2FD0A0", "#E7A6CC", "#F0E442", "#E69F00", "#FFFFFF")
"""The colours of pictures where it is dark: as far apart, and each as light as it must be."""
_LEVELS = 22
SCRIPTS = ("steps.js", "playground.js")
"""What is written by hand: rules as the compiler prints them are between the two."""
_SURFACES = {name: each for name, each in SURFACES.items() if not each.noise}


def playground(here: Path, families: Mapping[str, Sequence[str]], choices: Mapping[str, Choice]) -> Files:
    """The page and its scripts, which need no server and fetch nothing."""
    names = [name for row in families.values() for name in row]
    yield "playground.md", _page(families, choices)
    yield from ((f"playground/{script}", (here / script).read_bytes()) for script in SCRIPTS)
    usual = [name for name in USUAL if name in names]
    colours = {"light": COLOURS, "dark": _DARK}
    settings = {"usual": usual or names[:1], "rates": TRIED.tolist(), "colours": colours, "levels": _LEVELS}
    parts = [f"optgen.settings = {json.dumps(settings)};", *map(surface, _SURFACES.values())]
    parts += [rule(choices[name][0].rule(name)) for name in names]  # type: ignore[arg-type]
    yield "playground/rules.js", "\n".join(['"use strict";', *parts]) + "\n"


def _page(families: Mapping[str, Sequence[str]], choices: Mapping[str, Choice]) -> str:
    shelves = "".join(
        f'<optgroup label="{escape(family)}">{"".join(_option(name, choices) for name in row)}</optgroup>'
        for family, row in families.items()
    )
    surfaces = "".join(f'<option value="{name}">{escape(each.title)}</option>' for name, each in _SURFACES.items())
    scripts = "".join(f'<script src="playground/{name}.js"></script>' for name in ("steps", "rules", "playground"))
    return f"""---
hide: [toc]
---

# Playground

Where optimizers go: add some, choose a surface, move their hyperparameters. From the circle to the star is the way.
Until you set it, a learning rate is the best of {len(TRIED)} on this surface, so compare how they move, not how good
they are.

<div class="playground">
<p class="controls">
<label>Surface <select class="surface-choice">{surfaces}</select></label>
<label>Steps <input class="steps" type="number" min="1" max="2000" value="200"></label>
<label>Add <select class="adding"><option value="">an optimizer …</option>{shelves}</select></label>
</p>
<div class="views">
<canvas class="map" role="img" aria-label="Paths on the surface"></canvas>
<canvas class="loss" role="img" aria-label="The loss at each step"></canvas>
</div>
<p class="controls">
<button class="play" type="button">Play</button>
<input class="step" type="range" min="0" max="200" value="0" aria-label="Step"><span class="said"></span>
</p>
<div class="chosen"></div>
</div>

The rules are printed to JavaScript by the compiler, from the same kernels as the modules for CPUs: `node` and those
modules agree in a test, rule by rule, to nine digits in float64. What draws random numbers draws the same here, from
the same counters. The address of this page says what it shows: copy it to show it to others.

<noscript>The playground is a program: it takes JavaScript.</noscript>
{scripts}
"""  # noqa: S608 - a page that has a select in it


def _option(name: str, choices: Mapping[str, Choice]) -> str:
    """An entry, which is also what links to the page name."""
    return f'<option id="{name}" value="{name}">{escape(choices[name][1].title)}</option>'
