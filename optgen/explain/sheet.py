"""What there is to say of one rule, as plain data that is remembered with its spec file."""

from __future__ import annotations

from typing import Any

from optgen.catalog import Declared, Source
from optgen.certificates import certificates_of
from optgen.known import verifier
from optgen.targets import NAMES

FLOATS = {"f64": 8, "f32": 4, "bf16": 2}
"""Bytes of a number in each storage."""


def sheet(source: Source, declared: Declared) -> dict[str, Any]:
    """What there is to say of a rule; a `SpecError` if its file cannot be loaded.

    All of `optgen.facts`, and beside it

    - ``letters``: by the name of a hyperparameter or state, the formula of its symbol;
    - ``formulas``: one for each equation, and ``latex``, all of them;
    - ``memory``: by storage, the bytes a parameter of theta, of its gradient and of all states that are as large;
    - ``claims``: by what is claimed, ``["proved", "tested"]`` as far as that is known;
    - ``certificates``: by target, what `optgen verify` has found out about the module as it is;
    - ``kin``: the other rules of its file, how they differ and what is claimed of both.

    Nothing that takes long is done: what the verifier has not looked at is said to be claimed, unless algebra proves it
    at once.
    """
    (facts,) = (entry for entry in source.facts if entry["name"] == declared.name)
    drawn = source.known(f"drawn {declared.name}", lambda: _drawn(source, declared.name))
    certificates = certificates_of(source.path, source.remembered, declared.name, NAMES)
    return {
        **facts,
        **drawn,
        "memory": _memory(facts),
        "claims": _claims(source, declared, drawn["claimed"], certificates),
        "certificates": certificates,
    }


def _memory(facts: dict[str, Any]) -> dict[str, dict[str, int]]:
    large = sum(state["space"] == "ELEM" for state in facts.get("states", ()))
    return {name: {"theta": size, "g": size, "states": large * size} for name, size in FLOATS.items()}


def _claims(
    source: Source, declared: Declared, claimed: dict[str, str], certificates: dict[str, Any]
) -> dict[str, Any]:
    """What is known of each claim: by the certificate, else by algebra, whose proofs are remembered."""
    looked = certificates.get("cpu", {}).get("claims", {})
    if all(claim in looked for claim in claimed):
        return {words: looked[claim] for claim, words in claimed.items()}
    proved = source.known(f"proved of {declared.name} by {verifier()}", lambda: _proved(source, declared.name))
    return {words: looked.get(claim, ["proved"] if claim in proved else []) for claim, words in claimed.items()}


def _proved(source: Source, name: str) -> list[str]:
    from optgen.language.spec import Optimizer  # noqa: PLC0415 - takes SymPy
    from optgen.verify.claims.proofs import proved  # noqa: PLC0415

    rule = source.rule(name)
    return [str(claim) for claim in rule.properties if proved(claim, rule)] if isinstance(rule, Optimizer) else []


def _drawn(source: Source, name: str) -> dict[str, Any]:
    """What takes SymPy to say."""
    from optgen.explain.difference import kin, said  # noqa: PLC0415
    from optgen.language import latex  # noqa: PLC0415
    from optgen.language.formula import Formulas, equation  # noqa: PLC0415

    rule = source.rule(name)
    write = Formulas(rule.hypers)
    return {
        "letters": {symbol.name: write.symbol(symbol) for symbol in rule.hypers}
        | {state.name: write.symbol(state.next) for state in rule.states},
        "formulas": [equation(let.target, let.value, write) for let in rule.step],
        "latex": latex.aligned([(let.target, let.value) for let in rule.step]),
        "claimed": {str(claim): said(claim) for claim in getattr(rule, "properties", ())},
        "kin": kin(rule, source.file.rules),
    }
