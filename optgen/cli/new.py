"""``optgen new``: a spec that builds as it is, to start from."""

from importlib.util import find_spec
from pathlib import Path

from optgen.cli.screen import console
from optgen.errors import UsageError
from optgen.files import write_whole

_TEMPLATE = '''"""{title}: say in one line what it does, and where it comes from."""

from sympy import sqrt

from optgen import Let, Optimizer, g, state, theta
from optgen.hypers import beta1, beta2, eps, lr

# States keep a value for each element from step to step: `m` is the old value, `m.next` the new one.
m, v = state("m v")

{name} = Optimizer(
    "{name}",
    title="{title}",
    reference="",
    step=(
        Let(m.next, beta1 * m + (1 - beta1) * g),
        Let(v.next, beta2 * v + (1 - beta2) * g**2),
        Let(theta.next, theta - lr * m.next / (sqrt(v.next) + eps)),
    ),
)
'''


def run(name: str) -> None:
    """Write a spec to start from, into specs/ if there is one."""
    from optgen.language.rules import can_name_a_class, can_name_a_module

    if not can_name_a_module(name):
        raise UsageError(f"'{name}' cannot name a module: choose a lower-case identifier like my_rule")
    folder = Path("specs")
    path = folder / f"{name}.py" if folder.is_dir() else Path(f"{name}.py")
    if path.exists():
        raise UsageError(f"{path} exists already; nothing was written")
    known = find_spec(name)
    if known is not None and known.origin:  # a folder has none, and hides nothing that a spec would import
        what = f"scripts beside {path} that import Python's module {name} would get that file"
        raise UsageError(f"{what}: choose another name, {name}_rule say; nothing was written")
    title = "".join(part.capitalize() for part in name.split("_"))
    title = title if can_name_a_class(title) else f"{title}Rule"
    write_whole(path, _TEMPLATE.format(name=name, title=title))
    console.print(f"[green]wrote[/] {path}. Change its equations, then: optgen build {path}", soft_wrap=True)
