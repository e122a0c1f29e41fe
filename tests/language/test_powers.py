"""Which powers are products of a number and of its roots."""

import pytest
from sympy import Rational

from optgen.hypers import lr
from optgen.language.powers import roots


@pytest.mark.parametrize(
    ("exponent", "depths"),
    [
        (Rational(1, 2), (1,)),
        (Rational(1, 4), (2,)),
        (Rational(3, 4), (1, 2)),
        (Rational(7, 8), (1, 2, 3)),
        (Rational(21, 8), (1, 3)),
        (Rational(-5, 4), (2,)),
        (Rational(3), ()),
        (Rational(1, 3), None),
        (Rational(1, 16), None),
        (lr, None),
    ],
)
def test_a_power_is_made_of_roots_of_roots(exponent, depths):
    assert roots(exponent) == depths
    if depths is not None:
        rest = abs(exponent) - int(abs(exponent))
        assert sum(Rational(1, 2**depth) for depth in depths) == rest
