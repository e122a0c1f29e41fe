"""Translation validation: what it proves, and that it names the equation that is wrong."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from broken import broken
from rules import RULES
from sympy import Abs, Integer, Piecewise

from optgen import Let, Optimizer, g, pipeline, state, t, theta
from optgen.build import target_named
from optgen.hypers import beta2, lr, tolerance
from optgen.language.reductions import (
    ColSum,
    GroupMean,
    GroupSum,
    ModelMax,
    ModelSum,
    Norm,
    RowMax,
    RowMean,
    RowSum,
    TensorMax,
    TensorMean,
    TensorSum,
    n_cols,
    numel,
)
from optgen.language.spaces import ROW, TENSOR
from optgen.targets.base import Origin
from optgen.verify import translation
from optgen.verify.candidate import QUICK, Candidate, Verdict, failures
from optgen.verify.translation.algebra import settled
from optgen.verify.translation.points import at_random

ORIGIN = Origin("0", "specs/rule.py", "0")


def written(folder, optimizer):
    """A candidate with the text that the compiler gives."""
    path = folder / f"{optimizer.name}.py"
    path.write_text(pipeline.source(optimizer, target_named("cpu"), ORIGIN), encoding="utf-8")
    return Candidate(optimizer, path)


def test_every_stored_value_of_every_spec_is_proved(generated):
    findings = list(translation.check(Candidate(generated.optimizer, Path(generated.module.__file__)), QUICK))
    assert {finding.verdict for finding in findings} == {Verdict.PROVED}
    assert len(findings) >= 1 + 1 + len(generated.optimizer.states)


@pytest.mark.parametrize("name", RULES)
def test_no_construct_of_the_language_is_beyond_it(name, tmp_path):
    rule = Optimizer(name, title="Rule", step=RULES[name])
    findings = list(translation.check(written(tmp_path, rule), QUICK))
    assert failures(findings) == []
    assert {finding.verdict for finding in findings} <= {Verdict.PROVED, Verdict.TESTED}


def test_a_pass_that_drops_a_term_is_caught_and_the_equation_named(tmp_path, monkeypatch, generated_by_name):
    """A wrong compiler, not only a wrong file: this pass forgets the weight decay of AdamW."""

    def forgetful(kernel):
        decay = {a.target: Integer(1) for a in kernel.scalars if str(a.value) == "-lr*weight_decay + 1"}

        def forgotten(sweep):
            return replace(sweep, body=tuple(replace(a, value=a.value.subs(decay)) for a in sweep.body))

        return kernel.map_sweeps(forgotten)

    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES[:-1], (forgetful, ()), pipeline.PASSES[-1]))
    adamw = generated_by_name("adamw").optimizer
    (wrong,) = failures(list(translation.check(written(tmp_path, adamw), QUICK)))
    assert wrong.subject == "theta' = (1 - lr*weight_decay)*theta - lr*m_hat/(sqrt(v_hat) + eps)"
    assert "the code gives" in wrong.detail
    assert " at " in wrong.detail


CHANGED = {
    "a sign": (
        "m_next = fma(beta1_head, m, fma(beta1_tail, m, c0*g))",
        "m_next = fma(beta1_head, m, fma(beta1_tail, m, -c0*g))",
        "m' = beta1*m + (1 - beta1)*g",
    ),
    "a bias correction": ("m_hat = c2*m_next", "m_hat = m_next", "m_hat = m'/(1 - beta1**t)"),
    "eps": ("sqrt(v_hat) + eps", "sqrt(v_hat + eps)", "theta' = theta - lr*m_hat/(sqrt(v_hat) + eps)"),
    "an old value": ("m_hat = c2*m_next", "m_hat = c2*m", "m_hat = m'/(1 - beta1**t)"),
    "the step count": ("expm1(t*log(beta1))", "expm1((t - 1)*log(beta1))", "m_hat = m'/(1 - beta1**t)"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_the_equation_that_is_wrong_is_named_with_an_input(what, tmp_path, generated_by_name):
    before, after, equation = CHANGED[what]
    found = failures(list(translation.check(broken(tmp_path, generated_by_name("adam"), before, after), QUICK)))
    assert any(equation.split(" = ")[1] in finding.detail + finding.subject for finding in found)
    assert any(" at " in finding.detail for finding in found)


REJECTED = {
    "a store of another element": (
        "theta[i], m[i]",
        "theta[i - 1], m[i]",
        "`theta` is read or written elsewhere than at the element",
    ),
    "a name out of nowhere": ("m_hat = c2*m_next", "m_hat = c9*m_next", "`c9` is used before it has a value"),
    "a foreign function": ("sqrt(v_hat)", "rsqrt(v_hat)", "`rsqrt` is no function that generated code may call"),
    "another type": ("c0 = 1 - beta1", "c0 = float32(1 - beta1)", "`float32` is no function"),
    "a second value": (
        "    m_hat = c2*m_next\n",
        "    m_hat = 2*c2*m_next\n    m_hat = c2*m_next\n",
        "`m_hat` is given a second value",
    ),
    "other columns": ("view(row, 3", "view(row, 4", "`m` is not viewed where the chunk has it"),
    "other scalars": ("eps = scalars[group, 1]", "eps = scalars[group, 99]", "not one of the 10 scalars"),
    "no Python": ("def update", "def 2update", "cannot be read back"),
}


FRAME = {
    "a task skipped": ("prange(len(tasks) - 1)", "prange(len(tasks) - 2)", "`sweep` does not visit every chunk once"),
    "a row skipped": ("range(tasks[task], ", "range(tasks[task] + 1, ", "`sweep` does not visit every chunk once"),
    "a decorator": ("@on_host", "@per_element", "`scalars` is compiled as 'element'"),
    "a start": ("return 0.0, 0.0", "return 0.0, 1.0", "state `v` starts from 1 where the spec says 0"),
    "a default": ("lr: float = 0.001", "lr: float = 0.01", "`step` has the defaults"),
    "a domain": ("0.9, Domain(low=0.0, high=1.0)", "0.9, Domain(low=0.0)", "domain of `beta1`"),
    "the states": ('states=("m", "v")', 'states=("v", "m")', "the states are ('v', 'm')"),
    "the sweep": ("sweep=sweep,", "sweep=chunk,", "`chunk` is compiled as 'chunk' and used as 'sweep'"),
    "an import": ("    expm1, fma, ", "    exp as expm1, fma, ", "is not the runtime's"),
}


@pytest.mark.parametrize(
    ("before", "after", "complaint"), [*REJECTED.values(), *FRAME.values()], ids=[*REJECTED, *FRAME]
)
def test_what_no_compiler_of_ours_writes_is_rejected(before, after, complaint, tmp_path, generated_by_name):
    found = failures(list(translation.check(broken(tmp_path, generated_by_name("adam"), before, after), QUICK)))
    assert any(complaint in finding.detail for finding in found)


TOTALS = {
    "another axis": ("adafactor", "rows_in_columns(r_of", "columns_in_rows(r_of", "not the totals over each row"),
    "another bound": (
        "adafactor",
        "sum_of(acc4_of, at.chunks",
        "sum_of(acc4_of, at.rows",
        "not the total over one tensor",
    ),
    "the largest of sums": ("adamp", "max_of(y4_of", "sum_of(y4_of", "is the sum of one value for each row: PROGRAM"),
    "a sum of sums": (
        "dog",
        "sum_over(total2_of",
        "max_over(total2_of",
        "is the max of one value for each tensor: PROG",
    ),
    "one tensor for all": (
        "swats",
        "sum_over(total0_of, at.tensors)",
        "total0_of[0]",
        "`total0` is read or written elsewhere than at the tensor",
    ),
    "totals elsewhere": ("adafactor", "at, j, total1_of", "at, j, acc1_of", "`acc1` is read or written else"),
    "totals that are returned": (
        "adafactor",
        "rows_in_columns(r_of, at, j, total2_of)",
        "total2_of[j] = rows_in_columns(r_of, at, j)",
        "`rows_in_columns` is no function that generated code may call",
    ),
    "the count": ("adam_mini", "acc0/n_cols", "acc0", "v' = "),
    "another count": ("adafactor", "numel_of[j], n_rows_of[j],", "numel_of[j], numel_of[j],", "c' = "),
    "a factor": ("lamb", "+= float64(u)*float64(u)", "+= float64(u)", "Norm(u)"),
    "a factor of the rest": ("lamb", "acc3_rest += float64(u)*", "acc3_rest += ", "not a total of each element once"),
    "the largest for a sum": (
        "lamb",
        "acc3[i - start] += float64(u)*float64(u)",
        "acc3[i - start] = maximum(acc3[i - start], float64(u)*float64(u))",
        "which nothing has started",
    ),
    "a chunk for all of a row": (
        "adafactor",
        "        acc0 = lanes(0.0)  # sum of g*g over the row\n",
        "",
        "`acc0` is used before it has a value",
    ),
    "a lane for all elements": (
        "lamb",
        "acc3[i - start] += ",
        "acc3[0] += ",
        "`lanes of acc3` is read or written elsewhere than at the lane",
    ),
    "a lane left out": (
        "lamb",
        "for start in range(0, whole, LANES):",
        "for start in range(1, whole, LANES):",
        "the loop over `start` does not visit each whole run once",
    ),
    "all elements in lanes": ("lamb", "range(start, start + LANES)", "range(start, count)", "`i` does not visit each"),
    "a run twice": ("lamb", "range(start, start + LANES)", "range(0, LANES)", "`i` does not visit each element once"),
    "more runs than are whole": ("lamb", "count//LANES*LANES", "count", "`start` does not visit each whole run once"),
    "the rest left out": ("lamb", "range(whole, count)", "range(whole, whole)", "`i` does not visit each element once"),
    "the rest in lanes of others": ("lamb", "acc3_rest +=", "acc3[i] +=", "`lanes of acc3` is read or written"),
    "the rest in lanes": ("lamb", "acc3_rest +=", "acc3[i - whole] +=", "not a total of each element once"),
    "a rest that is left": ("lamb", "sum_of_lanes(acc3) + acc3_rest", "sum_of_lanes(acc3)", "`acc3` is no place for"),
    "the rest of another": ("lamb", "of_lanes(acc3) + acc3_rest", "of_lanes(acc3) + acc0_rest", "each element once"),
    "the rest twice": ("lamb", "sum_of_lanes(acc3) + acc3_rest", "acc3_rest + acc3_rest", "each element once"),
    "the rest of what is before": ("lamb", "acc3_rest = 0.0", "acc3_rest = 1.0", "a total starts from 1.0"),
    "the rest of a row with the chunk's": (
        "adafactor",
        "        acc0_rest = 0.0\n",
        "",
        "`acc0_rest` takes something for its sum, which nothing has started",
    ),
    "the larger of two sums": (
        "lamb",
        "sum_of_lanes(acc3) + acc3_rest",
        "maximum(sum_of_lanes(acc3), acc3_rest)",
        "the max of two totals is taken that are each a sum",
    ),
    "two names for lanes": ("lamb", "acc1 = lanes(0.0)", "acc1 = acc0", "lanes have a second name"),
    "a total in no lanes": ("lamb", "acc0 = lanes(0.0)", "acc0 = 0.0", "is no value"),
    "the largest of lanes that add": ("lamb", "= sum_of_lanes(acc3)", "= max_of_lanes(acc3)", "`max_of_lanes` is not"),
    "lanes taken twice": (
        "lamb",
        "acc3_of[span[0]] = sum_of_lanes(acc3)",
        "acc3_of[span[0]] = sum_of_lanes(acc3) + acc3_rest\n    acc3_of[span[0]] = sum_of_lanes(acc3)",
        "`sum_of_lanes` is not what makes a total of each chunk",
    ),
    "lanes of a row left with the chunk": (
        "adafactor",
        "        acc0_of[first_row + line] = sum_of_lanes(acc0) + acc0_rest\n",
        "    acc0_of[first_row] = sum_of_lanes(acc0) + acc0_rest\n",
        "`acc0` is used before it has a value",
    ),
    "one lane for the total": ("lamb", "= sum_of_lanes(acc3)", "= acc3[0]", "`lanes of acc3` is read or written"),
    "a row for all of a chunk": (
        "adafactor",
        "    acc4_of[span[0]] = sum_of_lanes(acc4) + acc4_rest\n",
        "",
        "what the chunks of this step have left",
    ),
    "columns not emptied": (
        "adafactor",
        "    acc1_of[parts_begin : parts_begin + parts_count] = 0.0\n",
        "",
        "`acc1[]` takes something for its sum, which nothing has started",
    ),
    "a span of another": (
        "adafactor",
        "matrix_rows = span[5]",
        "matrix_rows = span[6]",
        "a total starts from nothing elsewhere",
    ),
    "the row before": (
        "adafactor",
        "narrow(by_row_of[first_row + line]",
        "narrow(by_row_of[first_row]",
        "`by_row` is read or written elsewhere than at the row",
    ),
    "a row of columns": (
        "adafactor",
        "begin = at.columns[j]",
        "begin = at.rows[j]",
        "does not visit each of something once",
    ),
    "a state not stored": ("adam_mini", "v_of[begin + i], c5_of", "_, c5_of", "v' = "),
    "a value not stored": ("adafactor", "rate_of[j] = tensor_0", "_ = tensor_0", "`rate` is read before this step"),
    "an old state": ("adam_mini", "v_hat = c3*v_next", "v_hat = c3*v", "v_hat = v'/(1 - beta2**t)"),
    "a phase too early": (
        "clip_global_norm_adamw",
        "sum_of(acc0_of",
        "sum_of(acc9_of",
        "`acc9_of` is used before it has a value",
    ),
    "what a phase takes": ("lamb", '"acc5"), sweep=', '"acc0"), sweep=', "`acc5` is not what the chunks of this step"),
    "how many": ("lamb", '"acc5"), sweep=', '"acc5", "c4"), sweep=', "does not take what its phase gives it"),
    "a total and what is made of it": (
        "lamb",
        "total0_of[j] = sum_of",
        "total0_of[j] = 2*sum_of",
        "`total0` is no total, as PROGRAM says it is",
    ),
    "a total and what is made of it at once": (
        "lamb",
        "c4_of[j] = tensor_0(total0_of[j]",
        "c4_of[j] = tensor_0(sum_of(total0_of, at.chunks[j], at.chunks[j + 1])",
        "not the total over one tensor",
    ),
    "how a total is made": (
        "lamb",
        '"total3": ("sum",',
        '"total3": ("max",',
        "`total3` is the sum of one value for each",
    ),
    "of what a total is made": ("lamb", '"total3": ("sum", "element")', '"total3": ("sum", "row")', "PROGRAM says"),
    "a total not said": ("adafactor", ', totals={"total2": ("sum", "row")}', "", "PROGRAM says None"),
    "a total of nothing": (
        "adafactor",
        '"by_column"), between=prepare_1',
        '"by_column"), between=prepare_1, totals={"by_column": ("sum", "row")}',
        "`by_column` is no total, as PROGRAM says it is",
    ),
    "a total twice": (
        "adafactor",
        '"by_column"), between=prepare_1',
        '"by_column"), between=prepare_1, totals={"total2": ("sum", "row")}',
        "`total2` is a total of several phases",
    ),
    "the kind of a state": ("adam_mini", '{"v": "row"}', '{"v": "column"}', "the reduced states are"),
    "the kind of a total": (
        "lamb",
        '"acc0": "chunk"',
        '"acc0": "tensor"',
        "`acc0` is read or written elsewhere than at the tensor",
    ),
    "a start of a reduced state": ("sm3", "return 0.0, 0.0, 0.0", "return 0.0, 1.0, 0.0", "state `c` starts from 1"),
    "a root of what is negative": (
        "lookahead_ema_gradient_noise_radam",
        "lr*sqrt(-expm1(t*log(beta2)))*r",
        "lr*sqrt(expm1(t*log(beta2)))*r",
        "the code no finite number",
    ),
    "a tensor skipped": ("lamb", "for j in at.tensors:", "for j in at.tensors[1:]:", "is no expression"),
}


@pytest.mark.parametrize("what", TOTALS)
def test_a_wrong_total_is_caught_and_said(what, tmp_path, generated_by_name):
    name, before, after, complaint = TOTALS[what]
    found = failures(list(translation.check(broken(tmp_path, generated_by_name(name), before, after), QUICK)))
    assert any(complaint in finding.subject + finding.detail for finding in found)


a, b = state("a", space=TENSOR), state("b", space=ROW)
TRUE = {
    "a factor comes out": (TensorSum(a * g), a * TensorSum(g)),
    "so does a term": (TensorSum(a + g), numel * a + TensorSum(g)),
    "what is the same everywhere": (RowSum(b), n_cols * b),
    "a mean": (RowMean(g**2), RowSum(g**2) / n_cols),
    "a norm": (Norm(g) ** 2, TensorSum(g**2)),
    "tensor by tensor": (ModelSum(a * g), ModelSum(a * TensorSum(g) / numel)),
    "tensor by tensor of a group": (GroupSum(a * g), GroupSum(a * TensorSum(g) / numel)),
    "a group has one": (TensorSum(GroupSum(g) * theta), GroupSum(g) * TensorSum(theta)),
    "the groups together": (ModelSum(g * GroupMean(g)), ModelSum(GroupMean(g) * TensorSum(g) / numel)),
    "row by row": (TensorSum(g * theta), TensorSum(RowSum(g * theta) / n_cols)),
    "the largest of the largest": (ModelMax(g), ModelMax(TensorMax(RowMax(g)))),
    "a choice": (
        TensorSum(Piecewise((g, a > 0), (theta, True))),
        Piecewise((TensorSum(g), a > 0), (TensorSum(theta), True)),
    ),
    "of equals": (TensorMax(1 / (g + 1) + 1), TensorMax((g + 2) / (g + 1))),
}
FALSE = {
    "row for column": (RowSum(g), ColSum(g)),
    "tensor for model": (a * TensorSum(g), a * ModelSum(g)),
    "group for model": (a * GroupSum(g), a * ModelSum(g)),
    "tensor for group": (a * TensorSum(g), a * GroupSum(g)),
    "sum for mean": (TensorSum(g), TensorMean(g)),
    "what varies stays in": (RowSum(a * b * g), a * b * TensorSum(g)),
    "a choice of elements": (TensorSum(Piecewise((g, g > 0), (0, True))), Piecewise((TensorSum(g), g > 0), (0, True))),
    "rows count once an element": (TensorSum(RowSum(g)), TensorSum(g)),
    "a root of a sum": (Norm(g), TensorSum(Abs(g))),
}


@pytest.mark.parametrize("what", TRUE)
def test_what_is_true_of_totals_is_proved(what):
    left, right = TRUE[what]
    assert settled(left, right, {}, Random(0))[0] is Verdict.PROVED
    assert at_random(left, right, {}, Random(0))[0] is Verdict.TESTED


@pytest.mark.parametrize("what", FALSE)
def test_what_is_not_true_of_totals_is_seen(what):
    left, right = FALSE[what]
    assert settled(left, right, {}, Random(0))[0] is Verdict.FAILED


@pytest.mark.parametrize("condition", [Abs(a - 1.01 * b) < tolerance, Abs(a - b) <= tolerance], ids=str)
def test_conditions_with_a_tolerance_are_tried_next_to_it_and_at_it(condition):
    said, written = (Piecewise((1, holds), (0, True)) for holds in (Abs(a - b) < tolerance, condition))
    assert at_random(written, said, {}, Random(0))[0] is Verdict.FAILED


def test_what_algebra_cannot_settle_is_tested_and_called_so(tmp_path):
    """A long expression is beyond the bound of the algebra."""
    total = sum((g + k) ** 3 / (1 + (g - k) ** 2) for k in range(60))
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * total / (1 - beta2**t)),))
    verdicts = {finding.verdict for finding in translation.check(written(tmp_path, rule), QUICK)}
    assert verdicts == {Verdict.PROVED, Verdict.TESTED}
