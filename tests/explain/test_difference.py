"""What changes from one rule to another, and which claims then hold."""

from functools import cache

import pytest

from optgen.explain.difference import changes, claims_that_differ, kin
from optgen.language.typeset import AS_BEFORE, CHANGED, in_line
from optgen.specs.adam import adam, adam_l2, adam_lecture
from optgen.specs.adamw import adamw, adamw_inside
from optgen.specs.amsgrad import amsgrad
from optgen.specs.sgd import sgd

looked_at = cache(claims_that_differ)


def test_only_what_changed_is_there_and_marked():
    (change,), shared = changes(adam, adamw)
    assert [in_line(target) for target in shared] == ["mₜ", "vₜ", "m̂ₜ", "v̂ₜ"]
    assert in_line(change.before) == f"θₜ = {CHANGED}θₜ₋₁{AS_BEFORE} − (η m̂ₜ)/(√v̂ₜ + ε)"
    assert in_line(change.after).startswith(f"θₜ = {CHANGED}(1 − η γ) θₜ₋₁{AS_BEFORE} − ")
    assert in_line(change.by) == "−η γ θₜ₋₁"


def test_what_only_one_has():
    changed, _ = changes(adam, amsgrad)
    assert [in_line(change.target) for change in changed if change.before is None] == ["v_maxₜ"]
    changed, _ = changes(amsgrad, adam)
    assert [in_line(change.target) for change in changed if change.after is None] == ["v_maxₜ"]


def test_a_rule_does_not_differ_from_itself():
    assert changes(adamw, adamw)[0] == []
    assert claims_that_differ(adamw, adamw) == []


@pytest.mark.parametrize(
    ("one", "other", "claim", "before", "after"),
    [
        (adam, adam_lecture, "eps -> c*eps", "proved", "fails"),
        (adam, adam_lecture, "eps -> c**2*eps", "fails", "proved"),
        (adamw, adam_l2, "m' and v' do not depend on theta and weight_decay", "proved", "fails"),
        (adam_l2, adamw, "not always: m' does not depend on weight_decay", "shown", "fails"),
        (adam, sgd, "m_hat = g", "proved", "foreign"),
    ],
)
def test_a_claim_holds_for_one_and_not_for_the_other(one, other, claim, before, after):
    (held,) = (each for each in looked_at(one, other) if claim in each.claim)
    assert (held.before, held.after) == (before, after)


def test_a_claim_that_fails_comes_with_numbers():
    (held,) = (each for each in looked_at(adam, adam_lecture) if "eps -> c*eps" in each.claim)
    assert "the new theta is" in held.example
    assert "beta1 = 0.9" in held.example


def test_kin_are_what_claims_name_and_what_shares_most_equations():
    found = {each["name"]: each for each in kin(adamw, [adamw, adamw_inside, sgd])}
    assert set(found) == {"adam", "adam_l2", "adamw_inside"} - {"adam_l2"}
    assert found["adam"]["claims"] == ["adamw is adam, bit for bit, given weight_decay = 0"]
