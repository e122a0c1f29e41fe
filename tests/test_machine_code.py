"""What GPUs would run, seen without one: the machine code of every kernel for two kinds of GPU."""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace

import pytest
from instructions import float64, loads, spills, stores
from kept import kept
from numba import types

from optgen import generated as modules
from optgen.cli import main
from optgen.errors import UsageError
from optgen.machine_code import MachineCode, assembled, capability_of, listings, machine_code, missing, ptx
from optgen.runtime import Launch
from optgen.runtime.core.storage import wanted
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.primitives import THREADS, block, kernel, thread
from optgen.runtime.cuda.storage import load, load4, store, store4

BOTH = (8, 0), (9, 0)
here = pytest.mark.skipif(bool(missing()), reason=missing())
COMPILER = inspect.getsource(inspect.getmodule(ptx))
"""What kernels follow from besides the module, the runtime and what is installed."""
FLOAT64 = (
    (r"F2F\.F64\.F32$", r"\bfloat64\("),
    (r"F2F\.F32\.F64$", r"\bnarrow\("),
    (r"DADD$", r" \+= float64\(|= fma\(float64\("),  # what a block adds up
    (r"DFMA$", r"= fma\(float64\("),
    (r"DSETP\.", r"\bmaximum\(.*, float64\("),
)
"""What of float64 there may be in a sweep over elements of float32, and what the source must have for it: numbers are
widened before they are added up or compared, and reduced values are narrowed before they are used."""


@cache
def program(name):
    """That of an optimizer's module for GPUs."""
    return import_module(f"optgen.generated.cuda.{name}").PROGRAM


@cache
def compiled(name, capability, dtype="float32"):
    """Its kernels as PTX; for float64 its sweeps over elements, for what is reduced is float64 anyway."""
    its = program(name)
    if dtype == "float64":
        its = replace(its, launches=tuple(launch for launch in its.launches if launch.over == "element"))
    return kept(lambda: tuple(ptx(its, capability, dtype)), text_of(name), capability, dtype, COMPILER)


def text_of(name):
    """The text of a module for GPUs."""
    return inspect.getsource(import_module(f"optgen.generated.cuda.{name}"))


def code_of(source, capability):
    """The machine code of a kernel that is PTX."""
    return kept(partial(assembled, source, capability), source, capability, COMPILER)


def listings_of(codes):
    """The instructions of kernels for one GPU."""
    return kept(partial(listings, codes), *(code.cubin for code in codes), COMPILER)


_INSTRUCTION = re.compile(r"^\s*(?:@!?%p\d+\s+)?([a-z][\w.]*)\s+(%\w+)\s*,\s*([^;]*);", re.MULTILINE)
_EXACT = re.compile(r"\b0(f[0-9A-F]{3}0{5}|d[0-9A-F]{3}0{13})\b")
"""A power of two, by which a product is not rounded."""


def instructions_of(text: str) -> Counter[str]:
    """How often each instruction occurs: names of registers follow from the order of what was linked."""
    return Counter(re.sub(r"%\w+|\$L\w+|_Z\w+", "", line) for line in re.findall(r"^\t[@a-z].*;", text, re.MULTILINE))


def products_added(text: str) -> list[str]:
    """The sums of a kernel that add a product: whatever assembles it may round both at once. Functions are CUDA's."""
    text = re.sub(r"^\.func .*?^}", "", text, flags=re.DOTALL | re.MULTILINE)
    made: dict[str, list[tuple[str, str]]] = {}
    for operation, result, given in _INSTRUCTION.findall(text):
        made.setdefault(result, []).append((operation, given))

    def is_product(register: str, seen: frozenset[str] = frozenset()) -> bool:
        ways = made.get(register, []) if register not in seen else []
        moved = ("mov.f", "neg.f", "selp.f")
        return any(
            (operation.startswith("mul.f") and not _EXACT.search(given))
            or (
                operation.startswith(moved)
                and any(is_product(x, seen | {register}) for x in re.findall(r"%f\w+", given))
            )
            for operation, given in ways
        )

    sums = (each for each in _INSTRUCTION.findall(text) if each[0].startswith(("add.f", "sub.f")))
    return [" ".join(each) for each in sums if any(map(is_product, re.findall(r"%f\w+", each[2])))]


def about(code: MachineCode, what: str) -> str:
    """Something that is wrong with the machine code of a kernel."""
    return f"{code.kernel} on sm_{code.capability[0]}{code.capability[1]}: {what}"


def in_local_memory(code: MachineCode) -> Iterator[str]:
    """What is wrong with it if it does not keep to registers."""
    if code.local_bytes:
        moves = spills(code.sass)
        yield about(code, f"{code.local_bytes} bytes of local memory, {moves} moves between it and registers")


def complaints(code: MachineCode, sass: str, source: str) -> Iterator[str]:
    """What is wrong with the instructions of a sweep over elements of float32, given as text."""
    if not loads(sass):
        yield about(code, "no load of 128 bits")
    if bool(stores(sass)) != ("store4(" in source):
        yield about(code, f"{stores(sass)} stores of 128 bits")
    allowed = [instruction for instruction, reason in FLOAT64 if re.search(reason, source)]
    wide = {name: n for name, n in float64(sass).items() if not any(re.match(each, name) for each in allowed)}
    if wide:
        yield about(code, f"float64 where there should be none: {wide}")


def complaints_of(sweeps, sources):
    """What is wrong with those of each, for one GPU: what they load and compute stands in their one PTX."""
    codes = [code_of(each, BOTH[0]) for each in sweeps]
    return [list(complaints(*each)) for each in zip(codes, listings_of(codes), sources, strict=True)]


@here
def test_kernels_keep_to_registers(generated):
    kernels = compiled(generated.optimizer.name, BOTH[0])
    assert not [what for made in kernels for each in BOTH for what in in_local_memory(code_of(made, each))]


@here
def test_sweeps_move_128_bits_and_use_float64_for_totals_only():
    """All of them are disassembled in one go, and each that is wrong is named."""
    names = [info.name for info in iter_modules(import_module(f"{modules.__name__}.cuda").__path__)]
    kernels = [
        (name, *each) for name in names for each in zip(program(name).launches, compiled(name, BOTH[0]), strict=True)
    ]
    names, launches, sweeps = zip(*(each for each in kernels if each[1].over == "element"), strict=True)
    assert {made.over for made in sweeps} == {"element"}
    found = complaints_of(sweeps, [inspect.getsource(launch.kernel.py_func) for launch in launches])
    assert not [(name, what) for name, what in zip(names, found, strict=True) if what]


@here
def test_no_product_is_left_for_an_assembler_to_fuse(generated):
    drawn = bool(program(generated.optimizer.name).seeds)  # by a logarithm, a sine and a cosine of CUDA
    for code in () if drawn else compiled(generated.optimizer.name, BOTH[0]):
        assert not products_added(code.text), code.kernel


def test_a_product_that_meets_a_sum_is_noticed():
    text = "mul.f32 %f1, %f2, %f3;\nneg.f32 %f4, %f1;\nadd.f32 %f5, %f6, %f4;\n"
    assert products_added(text) == ["add.f32 %f5 %f6, %f4"]
    assert not products_added(text.replace("%f3", "0f40000000"))
    assert not products_added(text.replace("mul.f32", "mul.rn.f32"))


STORED = {
    "16 bits": ("float16", {}),
    "by chance": ("float32", {"store": {"m": "bf16", "v": "f16"}, "rounding": "stochastic"}),
    "float64 by chance": ("float64", {"store": {"m": "f32", "v": "bf16"}, "rounding": "stochastic"}),
    "master": ("bfloat16", {"master": True}),
    "kahan": ("float16", {"kahan": True}),
}
"""How parameters are stored, and what is asked of an optimizer with the states m and v beside that."""


@here
@pytest.mark.parametrize("name", ["adamw", "lamb"])
@pytest.mark.parametrize(("theta", "options"), STORED.values(), ids=STORED)
def test_kernels_for_slots_in_fewer_bits_keep_to_registers_and_leave_nothing_to_fuse(name, theta, options):
    its, asked = program(name), wanted(program(name), **options)
    formats = {"theta": theta, "g": theta, **{state: asked.store.get(state, theta) for state in its.states}}
    storage = asked.storage(formats, len(its.slots))
    sweeps = replace(its, launches=tuple(launch for launch in its.launches if launch.over == "element"))
    for made in kept(lambda: tuple(ptx(sweeps, (9, 0), storage.computed, storage)), text_of(name), storage, COMPILER):
        assert not products_added(made.text), made.kernel
        assert kept(partial(assembled, made), made, COMPILER).local_bytes == 0, made.kernel


@here
@pytest.mark.parametrize("name", ["adamw", "lamb", "sm3"])
def test_kernels_without_mathematical_functions_are_the_same_ptx_for_both(name):
    both = [[instructions_of(each.text) for each in compiled(name, capability)] for capability in BOTH]
    assert both[0] == both[1]
    assert all(each.total() > 20 for each in both[0])


@here
@pytest.mark.parametrize(
    "name", ["adamp", "adamw", "adafactor", "ademamix", "gradient_noise_sgd", "lamb", "rprop", "sm3"]
)
def test_sweeps_over_float64_keep_to_registers_and_leave_nothing_to_fuse(name):
    for made in compiled(name, (9, 0), "float64"):
        assert code_of(made, (9, 0)).local_bytes == 0, made.kernel
        assert program(name).seeds or not products_added(made.text), made.kernel


def of_one_element(name):
    """The functions of one element in a module of several sweeps; elsewhere a kernel has nothing but them."""
    module = import_module(f"optgen.generated.cuda.{name}")
    return [value for key, value in vars(module).items() if re.fullmatch(r"update_\d.*", key)]


@here
def test_what_is_computed_for_one_element_has_its_type(reducing):
    name = reducing.optimizer.name
    for update in of_one_element(name):
        source = inspect.getsource(update.py_func)
        results = re.search(r"return (.+)$", source.rstrip())[1].split(", ")
        given = [f"x[{k}]" for k in range(len(inspect.signature(update.py_func).parameters))]
        stored = [f"y[{k}]" for k in range(len(results))]
        names = {"update": update}
        exec(f"def alone(x, y):\n    {', '.join(stored)} = update({', '.join(given)})", names)  # noqa: S102
        alone = SimpleNamespace(py_func=names["alone"])
        arrays = (types.float32[::1], types.float32[::1])
        text = kept(partial(cuda.ptx, alone, arrays, (9, 0)), text_of(name), source)
        assert ".f32" in text
        assert ".f64" not in text, source


# The checks themselves ------------------------------------------------------------------------------------------------


@kernel
def good(chunks, addresses, storage, scalars):
    """Shrink every element, four at a time."""
    i = 4 * thread()
    while i < chunks[0, block()]:
        x0, x1, x2, x3 = load4(addresses[0, 0], i, storage.theta)
        c = scalars[0, 0]
        store4(addresses[0, 0], i, storage.theta, c * x0, c * x1, c * x2, c * x3)
        i += 4 * THREADS


@kernel
def with_a_bare_number(chunks, addresses, storage, scalars):
    """Shrink every element by a number that is float64."""
    i = 4 * thread()
    while i < chunks[0, block()]:
        x0, x1, x2, x3 = load4(addresses[0, 0], i, storage.theta)
        store4(addresses[0, 0], i, storage.theta, 0.9 * x0, 0.9 * x1, 0.9 * x2, 0.9 * x3)
        i += 4 * THREADS


@kernel
def one_at_a_time(chunks, addresses, storage, scalars):
    """Shrink every element, one at a time, where store4( is expected."""
    i = thread()
    while i < chunks[0, block()]:
        store(addresses[0, 0], i, storage.theta, scalars[0, 0] * load(addresses[0, 0], i, storage.theta))
        i += THREADS


def launched(function):
    """As much of a program as compiling a kernel takes."""
    return replace(program("sgd"), launches=(Launch("element", function),))


@here
@pytest.mark.parametrize(
    ("function", "what"),
    [
        (good, []),
        (with_a_bare_number, [r"float64 where there should be none: \{.*'DMUL': \d+"]),
        (one_at_a_time, ["no load of 128 bits", "0 stores of 128 bits"]),
    ],
    ids=["good", "bare number", "one at a time"],
)
def test_a_kernel_with_a_flaw_is_noticed(function, what):
    (made,) = ptx(launched(function), BOTH[0])
    (found,) = complaints_of([made], [inspect.getsource(function.py_func)])
    found += in_local_memory(code_of(made, BOTH[0]))
    assert len(found) == len(what)
    for said, expected in zip(found, what, strict=True):
        assert re.search(rf"{function.__name__} on sm_80: {expected}", said)


@here
def test_local_memory_is_noticed():
    from numba import cuda as numba_cuda  # noqa: PLC0415 not everywhere

    @numba_cuda.jit
    def with_an_array(chunks, addresses, storage, scalars):
        last = numba_cuda.local.array(64, types.float32)
        for k in range(64):
            last[k] = load(addresses[0, 0], chunks[1, k], storage.theta)
        for k in range(64):
            store(addresses[0, 0], k, storage.theta, last[chunks[0, k]])

    (code,) = machine_code(launched(with_an_array), (9, 0))
    assert code.local_bytes == 256
    assert spills(code.sass) > 0
    assert "256 bytes of local memory" in next(in_local_memory(code))


@here
@pytest.mark.parametrize(("name", "capability"), [("adamw", (8, 0)), ("lamb", (9, 0))], ids=["adamw", "lamb"])
def test_registers_are_those_that_instructions_name(name, capability):
    codes = [code_of(each, capability) for each in compiled(name, capability)]
    for code, sass in zip(codes, listings_of(codes), strict=True):
        used = 1 + max(int(number) for number in re.findall(r"\bR(\d+)\b", sass))
        assert used <= code.registers <= used + 8  # a multiple of 2, and what calls may need
    assert code.shared_bytes == 0


@here
def test_instructions_of_many_are_those_of_each():
    instruction = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(@\S+\s+)?([A-Z][\w.]*)")
    codes = [code_of(made, BOTH[0]) for name in ("dog", "sgd") for made in compiled(name, BOTH[0])[:2]]
    assert len(codes) == 3
    for code, sass in zip(codes, listings_of(codes), strict=True):
        assert instruction.findall(code.sass) == instruction.findall(sass)
        assert len(instruction.findall(sass)) == len(sass.splitlines()) > 20
    assert listings([]) == []


# The command line, and what may be missing ----------------------------------------------------------------------------


@pytest.fixture
def show(monkeypatch, capsys):
    """Run ``optgen show``: the exit status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optgen", "show", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return run


SPEC = """
from optgen import Let, Optimizer, Schedule, TensorMean, g, t, theta
from optgen.hypers import lr
mine = Optimizer("mine", title="Mine", step=(Let(theta.next, theta - lr * g / TensorMean(g)),))
"""


@pytest.fixture
def spec(tmp_path):
    """A spec file with a rule that adds something up."""
    path = tmp_path / "mine.py"
    path.write_text(SPEC)
    return str(path)


@here
def test_show_prints_ptx_and_machine_code(show, spec):
    status, out, _ = show(spec, "--target", "cuda", "--ptx", "--arch", "sm_80")
    assert (status, out.count(".target sm_80")) == (0, 4)
    kernels = ["sweep_0 (element)", "tensors_0 (tensor)", "tensors_1 (tensor)", "sweep_1 (element)"]
    assert re.findall(r"^// (\w+ \(\w+\))$", out, re.MULTILINE) == kernels
    status, out, _ = show(spec, "--target", "cuda", "--sass")
    needs = r": \d+ registers, 0 bytes of local and \d+ of shared memory"
    assert (status, re.findall(rf"^// (.*){needs}$", out, re.MULTILINE)) == (0, kernels)
    assert "LDG.E.128" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ptx", "--target", "cpu"), "--ptx shows kernels for GPUs: leave out --target cpu"),
        (
            ("--target", "cuda", "--sass", "--arch", "h100"),
            "there is no architecture 'h100': write, for example, sm_90",
        ),
        (("--target", "cuda", "--sass", "--ptx"), "choose one of --ptx and --sass"),
    ],
)
def test_show_says_what_is_wrong(show, spec, arguments, message):
    status, out, err = show(spec, *arguments)
    assert (status, out) == (2, "")
    assert f"error: {message}" in err


def test_show_says_that_schedules_have_no_kernels(show, spec):
    with Path(spec).open("a", encoding="utf-8") as file:
        file.write('mine = Schedule("mine", lr / t, reference="a book")\n')
    assert "mine is a schedule, which has no kernels" in show(spec, "--target", "cuda", "--ptx")[2]


@here
@pytest.mark.parametrize("arch", ["sm_50", "sm_999"])
def test_a_gpu_that_cuda_does_not_know_is_refused(arch):
    with pytest.raises(UsageError, match=f"the CUDA that is installed does not compile for {arch}"):
        next(ptx(program("sgd"), capability_of(arch)))


@pytest.mark.parametrize(
    ("simulated", "installed", "message"),
    [
        (True, True, "Numba simulates GPUs here and compiles nothing for them: unset NUMBA_ENABLE_CUDASIM"),
        (False, False, r"numba-cuda.* is not installed or incomplete: pip install 'optgen\[cuda\]'"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(simulated, installed, message, monkeypatch):
    monkeypatch.setattr(cuda, "SIMULATED", simulated)
    monkeypatch.setattr(cuda, "INSTALLED", installed)
    for compiled in (ptx, machine_code):
        with pytest.raises(UsageError, match=message):
            next(compiled(program("sgd"), (9, 0)))


def test_a_missing_linker_or_disassembler_is_said_with_what_to_do(monkeypatch):
    monkeypatch.setattr(cuda, "SIMULATED", False)
    monkeypatch.setattr(cuda, "INSTALLED", True)
    monkeypatch.setitem(sys.modules, "cuda", None)
    with pytest.raises(UsageError, match=r"cuda-core.* or nvdisasm.* is missing: pip install 'optgen\[cuda\]'"):
        next(machine_code(program("sgd"), (9, 0)))
