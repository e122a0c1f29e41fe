"""The verifier against broken modules: a sample of every kind of mistake, each caught by the part that claims it."""

from collections import Counter
from pathlib import Path

import pytest
from broken import mistakes
from rules import NOISE

import optgen
from optgen.verify.candidate import Candidate
from optgen.verify.mutate import CLAIMS, mutants, outcome

TEXTUAL = [kind for kind, part in CLAIMS.items() if part == "translation"]
COMPILED = [kind for kind, part in CLAIMS.items() if part != "translation"]


def candidate(generated):
    return Candidate(generated.optimizer, Path(generated.module.__file__))


def made(generated):
    return list(mutants(Path(generated.module.__file__).read_text(encoding="utf-8")))


def test_mutants_that_algebra_claims_are_caught_by_it(generated):
    """A third of them, or some twelve; `make verification` takes them all."""
    mine = [mutant for mutant in made(generated) if mutant.kind in TEXTUAL]
    mine = mine[:: max(3, len(mine) // 12)]
    survivors = [mutant for mutant in mine if not outcome(candidate(generated), mutant).caught]
    assert mistakes(generated.optimizer.name, survivors) == []


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("name", ["adamw", "sgdm"])
def test_mutants_that_only_a_running_kernel_shows_are_caught(kind, name, generated_by_name):
    """A few of each: every one of them has to be compiled."""
    module = generated_by_name(name)
    mine = [mutant for mutant in made(module) if mutant.kind == kind]
    survivors = [mutant for mutant in mine[:: max(1, len(mine) // 3)] if not outcome(candidate(module), mutant).caught]
    assert survivors == []


def test_there_are_many_mutants_of_every_kind(generated_by_name):
    names = ["adam", "adam_lecture", "adamw", "rmsprop_centered", "rmsprop_lecture", "sgdm", "lamb", "adafactor"]
    texts = [Path(generated_by_name(name).module.__file__).read_text(encoding="utf-8") for name in names]
    texts.append(Path(optgen.compile(NOISE).__file__).read_text(encoding="utf-8"))
    kinds = Counter(mutant.kind for text in texts for mutant in mutants(text))
    assert set(kinds) == set(CLAIMS)
    assert sum(kinds.values()) >= 400


def test_no_mutant_is_the_module_itself(generated_by_name):
    everything = made(generated_by_name("adamw"))
    assert len({mutant.text for mutant in everything}) >= 0.9 * len(everything)
