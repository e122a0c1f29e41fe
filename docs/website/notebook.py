"""Notebooks: executed cell by cell in one namespace, kept with what they show, and turned into a page.

python docs/website/notebook.py docs/tutorial.ipynb

writes what its cells show into it, as Jupyter would.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

RICH = {"_repr_html_": "text/html", "_repr_markdown_": "text/markdown", "_repr_latex_": "text/latex"}
"""How an object shows itself, the best first."""


def executed(path: Path) -> dict[str, Any]:
    """A notebook with what its cells show when they run, one after another, in the folder where it is."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(cells, start=1):
            cell |= {"execution_count": number, "outputs": list(_run("".join(cell["source"]), names, number))}
    finally:
        os.chdir(before)
    return notebook


def _run(source: str, names: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """What a cell prints, and shows as its last expression."""
    body = ast.parse(source).body
    *_, last = body
    shown = ast.Expression(body.pop().value) if isinstance(last, ast.Expr) else None  # type: ignore[attr-defined]
    with redirect_stdout(StringIO()) as printed:
        exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)  # noqa: S102 - a notebook is a program
        value = eval(compile(shown, f"cell {number}", "eval"), names) if shown else None  # noqa: S307
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())}
    if value is not None:
        yield {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": dict(_data(value))}


def _data(value: Any) -> Iterator[tuple[str, Any]]:
    """An object in the best way it has to show itself, and as text."""
    if hasattr(value, "savefig"):
        with BytesIO() as buffer:
            value.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
            yield "image/png", base64.b64encode(buffer.getvalue()).decode()
        yield "text/plain", ["<Figure>"]
        return
    for method, kind in RICH.items():
        if hasattr(value, method):
            yield kind, _lines(getattr(value, method)())
            break
    yield "text/plain", _lines(repr(value) if len(repr(value)) < 1000 else f"<{type(value).__name__}>")  # noqa: PLR2004


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def page(path: Path) -> str:
    """A notebook as Markdown, with what is kept in it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _parts(cell)) + "\n"


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
    for output in cell.get("outputs", ()):
        data = output.get("data", {"text/plain": output.get("text", [])})
        kind = next(kind for kind in ("image/png", *RICH.values(), "text/plain") if kind in data)
        shown = "".join(data[kind])
        match kind:
            case "image/png":
                yield f'<img alt="What the cell draws" src="data:image/png;base64,{shown}">'
            case "text/latex":
                formula = shown.strip("$").replace("{aligned}", "{align*}")  # which latex2mathml knows
                yield f"$${formula}$$"
            case "text/plain":
                yield f"```text\n{shown.rstrip()}\n```"
            case _:
                yield shown


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(json.dumps(executed(place), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
