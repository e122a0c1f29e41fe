"""The verifier against broken modules: a sample of every kind of mistake, each caught by the part that claims it."""

import ast
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from rules import NOISE
from sympy import Abs, Piecewise

import optgen
from optgen import Let, Optimizer, TensorMax, g, theta
from optgen.hypers import lr
from optgen.verify import mutate, patterns
from optgen.verify.candidate import Candidate
from optgen.verify.harmless import changes_nothing
from optgen.verify.mutate import CLAIMS, mutants, outcome

TEXTUAL = [kind for kind, part in CLAIMS.items() if part == "translation"]
OF_THREADS = {"a barrier left out", "a lane for another"}
COMPILED = [kind for kind, part in CLAIMS.items() if part != "translation" and kind not in OF_THREADS]


def candidate(generated):
    return Candidate(generated.optimizer, Path(generated.module.__file__))


def made(generated):
    return list(mutants(Path(generated.module.__file__).read_text(encoding="utf-8")))


def test_mutants_that_algebra_claims_are_caught_by_it(generated):
    """A third of them, or some twelve; `make verification` takes them all."""
    mine = [mutant for mutant in made(generated) if mutant.kind in TEXTUAL]
    mine = mine[:: max(3, len(mine) // 12)]
    survivors = [mutant for mutant in mine if outcome(candidate(generated), mutant).survived]
    assert survivors == []


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("name", ["adamw", "sgdm"])
def test_mutants_that_only_a_running_kernel_shows_are_caught(kind, name, generated_by_name):
    """A few of each: every one of them has to be compiled."""
    module = generated_by_name(name)
    mine = [mutant for mutant in made(module) if mutant.kind == kind]
    survivors = [mutant for mutant in mine[:: max(1, len(mine) // 3)] if outcome(candidate(module), mutant).survived]
    assert survivors == []


def test_there_are_many_mutants_of_every_kind(generated_by_name):
    names = ["adam", "adam_lecture", "adamw", "rmsprop_centered", "rmsprop_lecture", "sgdm", "lamb", "adafactor"]
    texts = [Path(generated_by_name(name).module.__file__).read_text(encoding="utf-8") for name in names]
    texts.append(Path(optgen.compile(NOISE).__file__).read_text(encoding="utf-8"))
    texts.append(Path(import_module("optgen.generated.cuda.sm3").__file__).read_text(encoding="utf-8"))
    kinds = Counter(mutant.kind for text in texts for mutant in mutants(text))
    assert set(kinds) == set(CLAIMS)
    assert sum(kinds.values()) >= 400


TABLES = [value for name, value in vars(mutate).items() if isinstance(value, str) and ": " in value and " -> " in value]


def test_every_line_of_the_tables_is_a_mistake_that_can_be_made(generated_by_name):
    """A line that fits nothing breaks nothing, and nobody would see it: modules may have changed."""
    names = "adafactor adafactor_paper adam adamp asgd clip_global_norm_adamw dog lamb prodigy sm3 swats".split()
    texts = [import_module(f"optgen.generated.{to}.{name}") for to in ("cpu", "cuda") for name in names]
    largest = Piecewise((theta - lr * g, g <= TensorMax(Abs(g)) / 2), (theta, True))
    rules = [NOISE, Optimizer("largest", title="Largest", step=(Let(theta.next, largest),))]
    texts += [optgen.compile(rule, target) for rule in rules for target in ("cpu", "cuda")]
    trees = [ast.parse(Path(module.__file__).read_text(encoding="utf-8")) for module in texts]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    lines = [(kind, right) for table in TABLES for kind, right, _ in patterns.mistakes(table)]
    unfit = [
        f"{kind}: {ast.unparse(right)}"
        for kind, right in lines
        if not any(type(right) is type(node) and patterns.fits(right, node, {}) for node in nodes)
    ]
    assert len(lines) > 60
    assert unfit == []


def test_no_mutant_is_the_module_itself(generated_by_name):
    everything = made(generated_by_name("adamw"))
    assert len({mutant.text for mutant in everything}) >= 0.9 * len(everything)


@pytest.mark.parametrize("name", ["adafactor", "sm3", "lamb"])
def test_algebra_misses_each_total_that_a_kernel_for_gpus_does_not_leave(name, generated_by_name):
    """What a thread has added up of a column, and left nowhere, once passed for what the others read there."""
    module = import_module(f"optgen.generated.cuda.{name}")
    right = Candidate(generated_by_name(name).optimizer, Path(module.__file__), target="cuda")
    mine = [each for each in mutants(right.text) if re.match(r"reduced\[.*-> pass", each.change)]
    assert mine
    assert [each.change for each in mine if not outcome(right, each).caught] == []


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("name", "relation"),
    [("adamp", "cosine < delta / sqrt(numel)"), ("prodigy", "total > 0"), ("sm3", "total + eps > zero")],
)
def test_conditions_are_tried_where_both_sides_are_equal(name, relation, target, generated_by_name):
    """Of a total and eps only the sum was compared, and what is 0/0 there was taken to be written otherwise."""
    module = import_module(f"optgen.generated.{target}.{name}")
    right = Candidate(generated_by_name(name).optimizer, Path(module.__file__), target=target)
    mine = [each for each in mutants(right.text) if each.change.startswith(f"{relation} ->")]
    assert {each.kind for each in mine} == {"a relation changed"}
    assert [each.change for each in mine if not outcome(right, each).caught] == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("accumulate_adam", "expm1(log(beta1) * update_t)"),
        ("accumulate_adam", "gathered = pending + 1"),
        ("adafactor", "expm1(beta2_decay * log(t))"),
        ("lamb_paper", "expm1(t * log(beta1))"),
        ("adopt_unclipped", "beta2_tail = tail(beta2)"),
    ],
)
def test_scalars_are_tried_next_to_ends_with_all_bits_and_in_every_branch(name, change, generated_by_name):
    """Next to 1 a power is exact again, a count was never large, and a branch of its own had the defaults only."""
    module = generated_by_name(name)
    (mine,) = [each for each in made(module) if each.change.startswith(f"{change} ->") and each.kind in COMPILED]
    assert outcome(candidate(module), mine).caught


def changed(name, target, start, by_name):
    """A rule's module for a target, and its mutants whose change starts with some text."""
    right = Candidate(
        by_name(name).optimizer, Path(import_module(f"optgen.generated.{target}.{name}").__file__), target=target
    )
    mine = [each for each in mutants(right.text) if each.change.startswith(start)]
    assert mine
    return right, mine


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("name", "start"),
    [("adopt", "m_next -> m"), ("swats", "switched_at > 0 ->"), ("cautious_adamw", "x0 -> x0 * 1.01")],
)
def test_what_changes_nothing_is_told_from_what_is_not_noticed(name, start, target, generated_by_name):
    right, mine = changed(name, target, start, generated_by_name)
    outcomes = [outcome(right, each) for each in mine]
    assert [each.mutant.change for each in outcomes if each.survived] == []
    assert any(each.same for each in outcomes)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("name", "start"),
    [("sm3", "total + eps > zero ->"), ("prodigy", "total > 0 ->"), ("adamp", "cosine < delta / sqrt(numel) ->")],
)
def test_what_nobody_noticed_is_no_harmless_change_for_that(name, start, target, generated_by_name, tmp_path):
    """These are mistakes at one number, where both sides of a condition are equal: once no part tried it."""
    right, mine = changed(name, target, start, generated_by_name)
    path = tmp_path / f"{name}.py"
    path.write_text(mine[0].text, encoding="utf-8")
    assert not changes_nothing(right, Candidate(right.optimizer, path, tmp_path, target, right))


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        *(("novograd", target, "the scalars of another group") for target in ("cpu", "cuda")),
        ("sm3", "cuda", "a barrier left out"),
        ("sm3", "cuda", "a lane for another"),
        ("sm3", "cuda", "an index off by one"),
    ],
)
def test_mistakes_of_threads_and_groups_are_caught(name, target, kind, generated_by_name):
    """A branch of a tensor once might be that of the first group."""
    right, mine = changed(name, target, "", generated_by_name)
    mine = [each for each in mine if each.kind == kind]
    mine = [each for each in mine if "branch" in each.text] if name == "novograd" else mine[:: max(1, len(mine) // 12)]
    assert mine
    assert [each.change for each in mine if outcome(right, each).survived] == []
