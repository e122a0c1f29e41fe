"""Write docs/explain.md: what `optgen explain` prints, as it prints it.

python docs/write_explain.py > docs/explain.md
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator

HEAD = """\
# A rule explained

This page is written by `make explain` and never by hand.

`optgen explain` says what there is to know of a rule, and all of it follows from the spec: the equations, typeset;
hyperparameters, states, memory, what a step reads, writes and computes; what is claimed and how far it is proved; what
`optgen verify` has found out; what is the same to the last bit elsewhere; and how the rule differs from its variants.
It takes any name that `optgen list` has, those of `./specs` too, or a spec file.

    optgen explain adamw                       # on the terminal
    optgen explain my_rule.py --measure        # with the time that a step must take here, and what it takes
    optgen explain adam --diff adamw           # what changes from one to the other, and what follows
    optgen explain adamw --markdown            # or --html, --latex, --json

Claims are proved by algebra at once where that is quick, and what was proved is remembered; what the compiled kernel
was tried for stands in the certificate, which `optgen verify` leaves for the module as it is. Nothing that takes
longer is done unasked.

From Python, `optgen.explain.sheet.sheet` has all of it as plain data, `optgen.explain.page.page_of` makes a page of
that, and `optgen.explain.as_html.body`, `optgen.explain.as_markdown.markdown`, `optgen.explain.as_latex.latex` and
`optgen.explain.terminal.terminal` draw it. `optgen.explain.compared` has the same two steps, `comparison` and
`compared`, for two rules.
"""
SHOWN = {
    "optgen explain adamw": "## AdamW",
    "optgen explain adam --diff adamw": """\
## From Adam to AdamW

Only what changes is shown; on a terminal, in HTML and in LaTeX the parts that are new are coloured. Every claim of
either rule is looked at for both: by algebra, else with random numbers in the equations. One that fails comes with its
numbers.""",
    "optgen explain radam --diff radam_lecture": "## From PyTorch's RAdam to the paper's",
}


def printed(command: str) -> str:
    """What a command prints on 80 columns."""
    _, *arguments = shlex.split(command)
    run = [sys.executable, "-m", "optgen", *arguments]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)  # noqa: S603 - as above
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def lines() -> Iterator[str]:
    """The page."""
    yield HEAD
    for command, heading in SHOWN.items():
        yield f"{heading}\n\n```text\n$ {command}\n\n{printed(command).strip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()))
