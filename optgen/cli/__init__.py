"""The command line: what can be asked. What a command does is in a file of its own, read when it is asked for."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from optgen import __version__
from optgen.errors import OptgenError, UsageError

app = typer.Typer(
    name="optgen",
    help="Compile optimizers: from update equations in SymPy to fused Numba kernels.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _names(incomplete: str) -> list[str]:
    """The names that a word could become, for the shell: nothing is executed."""
    from optgen import catalog

    return [name for name in catalog.names() if name.startswith(incomplete)]


def _targets(incomplete: str) -> list[str]:
    """The targets that a word could become."""
    from optgen.targets import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def _rules(said: str, metavar: str = "NAME|FILE") -> Any:
    """An argument that names rules."""
    return typer.Argument(metavar=metavar, help=said, autocompletion=_names)


def _machine(said: str) -> Any:
    """The option that names a target."""
    return typer.Option("--target", help=said, autocompletion=_targets)


AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
_ONE = "An optimizer or schedule, or a spec file with one."


@app.command("build")
def _build(
    wanted: Annotated[list[str] | None, _rules("Optimizers, schedules or spec files; all of specs/ if none.")] = None,
    target: Annotated[str | None, _machine("The kind of machine: cpu or cuda; both unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the modules.")] = Path("generated"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything is stale.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build modules from specs."""
    from optgen.cli.build import run

    run(wanted or [], target, out, check=check, as_json=as_json)


@app.command("list")
def _listing(
    patterns: Annotated[
        list[str] | None,
        _rules("Parts of names, titles or families, or patterns like 'adam*'; all if none.", "FILTER"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List optimizers and schedules: those of specs/ here, then the built-in."""
    from optgen.cli.listing import run

    run(patterns or [], as_json=as_json)


@app.command("show")
def _show(
    name: Annotated[str, _rules(_ONE, "NAME")],
    ir: Annotated[bool, typer.Option("--ir", help="What the compiler makes of it.")] = False,
    loops: Annotated[bool, typer.Option("--loops", help="The same as loops, before a language has it.")] = False,
    source: Annotated[bool, typer.Option("--source", help="The generated module.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="The equations for a paper.")] = False,
    ptx: Annotated[bool, typer.Option("--ptx", help="Its kernels as PTX.")] = False,
    sass: Annotated[bool, typer.Option("--sass", help="Its kernels as machine code of a GPU.")] = False,
    as_json: AsJson = False,
    target: Annotated[
        str | None,
        _machine("The kind of machine, for --source and --loops: cpu unless given; --ptx and --sass are of cuda."),
    ] = None,
    arch: Annotated[str, typer.Option(help="The kind of GPU, for --ptx and --sass.")] = "sm_90",
) -> None:
    """Show one optimizer or schedule: equations, or what an option asks."""
    from optgen.cli import show

    asked = {"ir": ir, "loops": loops, "source": source, "latex": as_latex, "ptx": ptx, "sass": sass, "json": as_json}
    show.run(name, [view for view, wanted in asked.items() if wanted], target, arch)


@app.command("explain")
def _explain(
    name: Annotated[str, _rules(_ONE)],
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="NAME|FILE", help="What changes to another.", autocompletion=_names)
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure memory and a step here, a few seconds.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    html: Annotated[bool, typer.Option("--html", help="As a page for a browser.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="As LaTeX.")] = False,
    as_json: AsJson = False,
) -> None:
    """Explain a rule: equations, hyperparameters, memory, cost, claims, variants, or what --diff changes."""
    from optgen.cli import explain

    asked = {"markdown": markdown, "html": html, "latex": as_latex, "json": as_json}
    explain.run(name, diff, [view for view, wanted in asked.items() if wanted], measure=measure)


plots = typer.Typer(no_args_is_help=True, help="Draw what rules do, into a PNG or an SVG file; needs matplotlib.")
app.add_typer(plots, name="plot")
_Rules = Annotated[list[str], _rules("Optimizers or spec files.")]
_Rule = Annotated[str, _rules(_ONE)]
_Surface = Annotated[str, typer.Option(help="beale, rosenbrock, himmelblau, ravine or noisy.")]
_Steps = Annotated[int, typer.Option(min=1, help="How many steps.")]
_Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help="A hyperparameter; lr is tuned unless set.")
]
_Out = Annotated[Path, typer.Option("--out", help="The file.")]


@plots.command("paths")
def _paths(
    names: _Rules,
    surface: _Surface = "rosenbrock",
    steps: _Steps = 200,
    given: _Set = None,
    out: Annotated[Path, typer.Option("--out", help="The file; a .gif moves.")] = Path("paths.png"),
) -> None:
    """Where optimizers go on a surface."""
    from optgen.cli import plot

    plot.paths(names, surface, steps, given or [], out)


@plots.command("heat")
def _heat(
    name: _Rule,
    x: Annotated[str, typer.Option(help="The hyperparameter across.")] = "lr",
    y: Annotated[str, typer.Option(help="The hyperparameter upwards.")] = "beta1",
    surface: _Surface = "rosenbrock",
    steps: _Steps = 200,
    given: _Set = None,
    out: _Out = Path("heat.png"),
) -> None:
    """Where an optimizer ends, over two hyperparameters."""
    from optgen.cli import plot

    plot.heat(name, (x, y), (surface, steps), given or [], out)


@plots.command("schedules")
def _schedules(names: _Rules, steps: _Steps = 10_000, given: _Set = None, out: _Out = Path("schedules.png")) -> None:
    """Schedules over the steps."""
    from optgen.cli import plot

    plot.schedules(names, steps, given or [], out)


@plots.command("rectification")
def _rectification(name: _Rule = "radam", out: _Out = Path("rectification.png")) -> None:
    """When RAdam begins to divide by its second moment."""
    from optgen.cli import plot

    plot.rectification(name, out)


@plots.command("bounds")
def _bounds(name: _Rule = "adabound", out: _Out = Path("bounds.png")) -> None:
    """Between which bounds AdaBound clips rates."""
    from optgen.cli import plot

    plot.bounds(name, out)


@plots.command("memory")
def _memory(
    names: Annotated[list[str] | None, _rules("adam and amsgrad if none.")] = None,
    given: _Set = None,
    out: _Out = Path("memory.png"),
) -> None:
    """How long optimizers remember one large gradient."""
    from optgen.cli import plot

    plot.memory(names or ["adam", "amsgrad"], given or [], out)


@app.command("verify")
def _verify(
    names: Annotated[
        list[str] | None, _rules("All of specs/ if none, or all that come with it where there is no such folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the modules: generated, or what comes with it, unless given.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer random cases.")] = False,
    target: Annotated[str | None, _machine("Those for one kind of machine: all unless given.")] = None,
    mutants: Annotated[bool, typer.Option("--mutate", help="Put the verifier to the test.")] = False,
    sample: Annotated[bool, typer.Option("--sample", help="With a sample of the mutants only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Verify modules: prove, test and measure that they are their equations."""
    from optgen.cli.verify import run

    run(names or [], out, target, quick=quick, mutants=mutants, sample=sample, as_json=as_json)


@app.command("bench")
def _bench(
    names: Annotated[
        list[str] | None, _rules("Optimizers or spec files; what docs/performance.md shows if none.")
    ] = None,
    of_all: Annotated[bool, typer.Option("--all", help="Every rule, model, format and number of threads.")] = False,
    shapes: Annotated[
        str,
        typer.Option(help="Models, with commas: 2^20, 4096by4096, 1000x4096, resnet50, gpt2, vit_b16, or all."),
    ] = "",
    dtype: Annotated[str, typer.Option(help="Of parameters, with commas: f32, f64, bf16, f16; f32 unless given.")] = "",
    store: Annotated[str, typer.Option(help="How states are stored, with commas: m=bf16,v=bf16.")] = "",
    rounding: Annotated[str, typer.Option(help="How they are rounded: nearest or stochastic.")] = "",
    master: Annotated[bool, typer.Option("--master", help="Keep a copy in float32 of parameters of 16 bits.")] = False,
    kahan: Annotated[bool, typer.Option("--kahan", help="Keep what parameters of 16 bits lack.")] = False,
    as_matrices: Annotated[
        bool, typer.Option("--as-matrices", help="See convolutions as matrices, of a row for each output.")
    ] = False,
    threads: Annotated[str, typer.Option(help="On how many threads, with commas; all unless given.")] = "",
    against: Annotated[
        str,
        typer.Option(help="Whom of others, with commas: fused, foreach, single, compiled, optax, deepspeed, or none."),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer and shorter rounds, and nobody who compiles first.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to a file too.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="FOLDER", help="Draw them too; needs matplotlib.")
    ] = None,
) -> None:
    """Time steps, in turns with what memory allows and with PyTorch, optax and DeepSpeed where they are installed."""
    from optgen.cli.bench import Options, run

    asked = Options(shapes, dtype, store, rounding, master, kahan, as_matrices, threads, against)
    run(names or [], asked, out, pictures, quick=quick, of_all=of_all)


@app.command("new")
def _new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, a lower-case identifier.")],
) -> None:
    """Write a spec to start from, into specs/ if there is one."""
    from optgen.cli.new import run

    run(name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"optgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the command line. Exit status: 0 all well, 1 a check or a spec failed, 2 wrong use."""
    try:
        app(prog_name="optgen")
    except (UsageError, OSError) as error:
        _complain(str(error) if _is_somewhere() else "the folder that this runs in is no more: change to another")
        sys.exit(2)
    except OptgenError as error:
        _complain(str(error))
        sys.exit(1)
    except Exception as error:
        if os.environ.get("OPTGEN_TRACEBACK"):
            traceback.print_exc()
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        fix = "please report it, with the spec and what is printed if OPTGEN_TRACEBACK=1 is set"
        _complain(f"optgen did not expect this: {said}\n    fix  {fix}")
        sys.exit(1)


def _is_somewhere() -> bool:
    """Whether the folder that this runs in is there."""
    try:
        return Path.cwd().is_dir()
    except FileNotFoundError:
        return False


def _complain(message: str) -> None:
    from optgen.cli.screen import complain

    complain(message)
