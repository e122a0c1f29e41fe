"""An optimizer that is handed another gradient, which is also what its states start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Eq, Expr, Piecewise

from optgen.language.combinators.wrapping import new_local, refused, with_init, wrapped
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import g, t


def with_gradient(
    optimizer: Optimizer,
    name: str,
    value: Expr,
    words: tuple[str, str, str],
    described: Mapping[str, Any],
    *,
    where: Sequence[Let] = (),
) -> Optimizer:
    """An optimizer that is handed another gradient; what its states start from is handed it too."""
    require_gradient(optimizer, words[0])
    gradient = new_local(optimizer, name)
    step = (*where, Let(gradient, value), *handed(optimizer, gradient, first=Eq(t, 1)))
    return wrapped(optimizer, step, words, described)


def require_gradient(optimizer: Optimizer, wrapper: str) -> None:
    """Refuse to change the gradient of a rule that has none."""
    written = (*(let.value for let in optimizer.step), *(state.init for state in optimizer.states))
    if not any(value.has(g) for value in written):
        raise refused(wrapper, optimizer, "its equations do not use the gradient `g`", "wrap a rule that does")


def handed(optimizer: Optimizer, gradient: Any, first: Any) -> list[Let]:
    """The equations of an optimizer with another gradient, which is also what its states start from."""
    late = {s: with_init(s, 0) for s in optimizer.late}
    new = {s: Piecewise((s.init.xreplace({g: gradient}), first), (late[s], True)) for s in late}
    new |= {s.next: late[s].next for s in late} | {g: gradient}
    return [Let(new.get(let.target, let.target), let.value.xreplace(new)) for let in optimizer.step]
