"""Races: who takes part, that all compute the same, and what is moved. How fast anybody is, no test says."""

import re
from dataclasses import replace

import numba
import numpy as np
import pytest

from optgen.bench import peers, race
from optgen.bench.heats import Heat, StoredAs, standard
from optgen.bench.models import NETWORKS, Tensors, tensors
from optgen.bench.tables import grouped, milliseconds, size
from optgen.bench.traffic import Moving, loop, once, sweeps_of
from optgen.errors import UsageError
from optgen.facts import branches_in_turn, usual_branch
from optgen.pipeline import kernel_of

MODEL = Tensors("mine", ((7,), (3, 5)))
FAST = race.Pace(rounds=3, seconds=0.0, longest=1.0)


@pytest.fixture(scope="module")
def subject(generated_by_name):
    """From a name to what is timed."""

    def made(name):
        its = generated_by_name(name)
        return race.Subject(name, its.kind, branches_in_turn(its.optimizer, kernel_of(its.optimizer), race.TIMED))

    return made


@pytest.mark.parametrize(
    ("name", "elements"), [("resnet50", 25_557_032), ("gpt2", 124_439_808), ("vit_b16", 86_567_656)]
)
def test_networks_have_their_parameters(name, elements):
    assert tensors(name).elements == elements


def test_models_are_written_in_short():
    assert tensors("2^5").shapes == ((32,),)
    assert tensors("8by2^2").shapes == ((8, 4),)
    assert tensors("3x2by5").shapes == ((2, 5),) * 3
    for wrong in ("3x", "by4", "0", "2^99", "-3", "3x4x5", "2 ^3", "alexnet"):
        with pytest.raises(UsageError, match=re.escape(repr(wrong))):
            tensors(wrong)


def test_a_rule_is_held_against_what_it_does_at_the_steps_that_are_timed(generated_by_name, subject):
    rule = generated_by_name("swats_at").optimizer  # after 1000 steps it goes on as SGD
    kernel = kernel_of(rule)
    assert str(usual_branch(rule, kernel).when) == "switched_at > 0"
    (branch,) = subject("swats_at").branches
    assert branch.when == kernel.branches[-1].when


def test_a_rule_that_does_not_do_the_same_at_every_step_is_held_against_what_it_does_in_turn(subject):
    rule, model = subject("accumulate_adam"), Tensors("one", ((3, 5),))
    stores = [branch.stores for branch in rule.branches]
    assert sorted(stores) == [1, 1, 1, 4]
    said = race.outcome(rule, Heat("accumulate_adam", model, StoredAs(), 1, ()), FAST)
    assert said["bytes"] == 4 * (3 * (2 + 1) + (5 + 4)) / 4


def agree(starters, kept):
    """Whether all who take part, ours first among those with parameters, compute the same in three steps."""
    for contender in starters.contenders:
        for _ in range(3):
            contender.step()
    ours, *others = [contender.params() for contender in starters.contenders if contender.params]
    assert all((new != old).all() for new, old in zip(ours, race.given(MODEL, kept, 0), strict=True))
    for theirs in others:
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5 if kept.dtype == "float32" else 1e-12)


def test_the_loops_run_on_what_is_ours_and_change_nothing(subject):
    one = Tensors("one", ((3, 5),))
    starters = race.entered(subject("adamw"), Heat("adamw", one, StoredAs(), 2, ()))
    names = [contender.name for contender in starters.contenders]
    assert names == [race.LOOP, race.OURS]
    loop, ours = starters.contenders
    ours.step()
    before = [array.copy() for array in ours.params()]
    loop.step()
    assert all((now == then).all() for now, then in zip(ours.params(), before, strict=True))


@pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
@pytest.mark.parametrize("peer", [peer for peer in peers.PEERS if peer != peers.COMPILED])
def test_a_peer_computes_what_ours_does(subject, peer):
    pytest.importorskip(peers.LIBRARY[peer])
    for kept in (StoredAs(), StoredAs("float64")):
        threads = numba.config.NUMBA_NUM_THREADS
        starters = race.entered(subject("adamw"), Heat("adamw", MODEL, kept, threads, (peer,)))
        names = {each.name for each in starters.contenders}
        assert names | starters.left_out.keys() == {race.LOOP, race.OURS, race.MOVED, peer}
        assert (kept.dtype, peer) == ("float64", "DeepSpeed") or not starters.left_out
        agree(starters, kept)


@pytest.mark.parametrize(
    ("name", "sweeps", "least"),
    [
        ("adamw", [("theta g m v", "theta m v")], ("theta g m v", "theta m v")),
        ("clip_global_norm_adamw", [("g", ""), ("theta g m v", "theta m v")], ("g theta m v", "theta m v")),
        ("lamb", [("theta g m v", "m v"), ("theta m v", "theta")], ("theta g m v", "m v theta")),
    ],
)
def test_loops_move_what_kernels_do(subject, name, sweeps, least):
    (branch,) = subject(name).branches
    assert [(set(its.reads), its.writes) for its in sweeps_of(branch)] == [
        (set(reads.split()), tuple(writes.split())) for reads, writes in sweeps
    ]
    assert sum(len(its.reads) + len(its.writes) for its in sweeps_of(branch)) == branch.loads + branch.stores
    found = once(branch)
    assert (set(found.reads), set(found.writes)) == tuple(set(names.split()) for names in least)


@pytest.mark.parametrize("length", [1001, 2**15], ids=["one thread", "all threads"])
def test_a_loop_leaves_everything_as_it_was(length):
    rng = np.random.default_rng(0)
    arrays = {"theta": rng.standard_normal(length), "v": rng.integers(0, 2**16, length).astype(np.uint16)}
    before = {name: array.copy() for name, array in arrays.items()}
    loop([Moving(("theta", "v"), ("theta", "v")), Moving(("theta",), ())], arrays)()
    assert all((arrays[name] == before[name]).all() for name in arrays)
    arrays["s"] = np.empty_like(arrays["theta"])
    loop([Moving(("theta",), ("s",))], arrays)()
    assert (arrays["s"] == before["theta"]).all()


def test_bytes_follow_from_what_is_stored_how(subject):
    moved = sweeps_of(*subject("adamw").branches)
    bf16 = {"store": {"m": "bfloat16", "v": "bfloat16"}}
    kinds = (StoredAs(), StoredAs(options=bf16), StoredAs("float64"), StoredAs("bfloat16"))
    beside = (StoredAs("bfloat16", {"master": True}), StoredAs("bfloat16", {"kahan": True}))
    assert [race.bytes_moved(moved, kept) for kept in (*kinds, *beside)] == [28, 20, 56, 14, 14 + 4 - 2 + 4, 14 + 4]
    assert [race.footprint(moved, kept) for kept in kinds] == [16, 12, 32, 8]


def test_who_cannot_take_part_is_said_with_a_reason(subject):
    of_rule = subject("adamw")
    many = Heat("adamw", tensors("2000x1"), StoredAs(), 1, ("torch compiled", "optax jit"))
    left_out = race.entered(of_rule, many).left_out
    assert left_out.keys() == set(many.against)
    assert all("not installed" in why or "takes too long" in why for why in left_out.values())
    other = replace(many, kept=StoredAs(options={"store": {"m": "float16"}}))
    assert all(
        "not installed" in why or "as parameters are" in why for why in race.entered(of_rule, other).left_out.values()
    )
    seen = replace(many, kept=StoredAs(options={"as_matrices": True}), against=("torch foreach",))
    (why,) = race.entered(of_rule, seen).left_out.values()
    assert "not installed" in why or "as matrices" in why
    assert not race.entered(subject("lamb"), replace(many, rule="lamb", against=("torch fused",))).left_out


def test_an_outcome_has_a_row_for_each_and_ratios_within_rounds(subject):
    heat = Heat("clip_global_norm_adamw", MODEL, StoredAs(), 1, ())
    found = race.outcome(subject(heat.rule), heat, FAST)
    assert [row["contender"] for row in found["rows"]] == [race.LOOP, race.ONCE, race.OURS, race.MOVED]
    assert (found["tensors"], found["elements"], found["sweeps"], found["bytes"], found["bytes_once"]) == (
        2,
        22,
        2,
        32,
        28,
    )
    ours = found["rows"][2]
    assert (ours["time_of_optgen"], found["rounds"]) == (1, 3)
    assert all(row["time_of_loop"] > 0 < row["time_of_once"] for row in found["rows"])


def test_turns_are_as_long_as_said_whatever_is_slow_about_the_first_steps(monkeypatch):
    now, taken = [0.0], []

    def step():
        taken.append(now[0])
        now[0] += 1e-5 if len(taken) > 64 else 1e-4  # as ours are, that look at arrays themselves from then on
        now[0] += 0.3 * (len(taken) == 64)  # which is compiled first

    monkeypatch.setattr(race, "perf_counter", lambda: now[0])
    (times,) = race.times_of([race.Contender(race.OURS, step)], race.Pace(3, 0.02, 1.0)).values()
    assert times == pytest.approx([1e-5] * 3)
    assert now[0] - taken[-3 * 2000] == pytest.approx(3 * 0.02)


def test_the_standard_run_has_each_trial_once():
    rules = ["adamw", "lamb", "sgdm", "ema_clip_global_norm_adamw", "mine"]
    heats = [(its.rule, its.model.name, str(its.kept), its.threads) for its in standard(rules, 2)]
    assert len(set(heats)) == len(heats)
    assert {rule for rule, model, *_ in heats if model == "2^24"} == set(rules)
    assert {model for rule, model, *_ in heats if rule == "adamw"} >= {*NETWORKS, "100000x100", "2^26"}


def test_rules_that_ran_on_one_model_share_a_table():
    ran = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("d", "y"), ("e", "x"), ("e", "y")]
    results = [{"rule": rule, "model": model, "stored": "float32", "threads": 1} for rule, model in ran]
    tables = [[its["rule"] + its["model"] for its in group] for group in grouped(results)]
    assert tables == [["ax", "ay"], ["bx", "cx"], ["dy"], ["ex", "ey"]]


def test_numbers_are_printed_in_short():
    assert [milliseconds(x) for x in (0.000707, 0.0583, 10.84, 212.4, 2926.3)] == [
        "0.000707",
        "0.0583",
        "10.8",
        "212",
        "2,926",
    ]
    assert [size(n) for n in (100, 48 * 2**10, 2**21, 3 * 2**30)] == ["100 B", "48 KiB", "2 MiB", "3 GiB"]
