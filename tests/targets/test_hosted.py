"""What varies over less than elements may be known to the host, always or in a branch, wherever it stands."""

import pytest
from hosted import RULES, assert_computes
from undefined import undefined
from website.interpreted import interpreted

from optgen import Optimizer, pipeline
from optgen.targets import TARGETS
from optgen.targets.base import Origin


@pytest.mark.parametrize("name", RULES)
def test_modules_compute_what_the_equations_say(name: str) -> None:
    rule = Optimizer("rule", title="Rule", step=tuple(RULES[name]))
    kernel = pipeline.kernel_of(rule)
    texts = {name: target.source(rule, kernel, Origin("", "", "")) for name, target in TARGETS.items()}
    assert [undefined(text) for text in texts.values()] == [set(), set()]
    kind = interpreted(texts["cpu"])["Rule"]
    assert_computes(kind, rule)
