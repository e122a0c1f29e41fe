"""Adafactor (Shazeer & Stern 2018, arXiv:1804.04235): Adam's second moment, kept as its row and column averages."""

from sympy import Max, Min, Piecewise, Rational, root, sqrt
from optgen import (
    COL, ROW, ColMean, ColSum, Let, Optimizer, RowMean, RowSum, TensorMean, g, local, n_cols, n_rows, numel, state, t,
    theta)
from optgen.hypers import beta2_decay, eps1, eps2, lr, rms_limit, weight_decay
from optgen.properties import Bounded, ConstantGradient, Invariant

lr, weight_decay = lr.with_default(1e-2), weight_decay.with_default(0)
machine_eps = eps1.with_default(Rational(1, 2**23))
r, c = state("r", space=ROW), state("c", space=COL)
by_row, by_column, u, excess, rate = local("by_row by_column u excess rate")

def factors(row_part, col_part):
    """Row and column averages, of which the newest gradient is t**beta2_decay: all of them, at first.

    Elements go by roots of these, a factor of its row and one of its column, each in reach of a float32: squares, or
    the quotient of a row and a column, need not be.
    """
    share = t**beta2_decay
    return Let(r.next, (1 - share)*r + share*row_part), Let(c.next, (1 - share)*c + share*col_part)

# The direction's root mean square is clipped, and its rate is in units of that of theta.
clipped = (Let(excess, Max(1, sqrt(TensorMean(u**2))/rms_limit)),
           Let(rate, Max(eps2, sqrt(TensorMean(theta**2)))*Min(lr, 1/sqrt(t))))
movement, farthest = sqrt(TensorMean((theta.next - theta)**2)), rms_limit*clipped[-1].value
scale_free = {g: 1, r: 2, c: 2}
never_negative = (Bounded(r.next, low=0), Bounded(c.next, low=0))

adafactor = Optimizer("adafactor", "Adafactor", reference="torch.optim.Adafactor",
    description="Library form: eps1 bounds what is divided by, and weights decay. eps1 is the machine epsilon of the"
    " parameters' type there, of float32 here unless given. A vector, or one row, has c itself as second moment; a"
    " tensor of more dimensions is a stack of matrices.",
    step=(*factors(RowMean(g**2), ColMean(g**2)),
          Let(by_row, Piecewise((1, numel <= n_cols), (sqrt(r.next), True))),
          Let(by_column, sqrt(c.next/Piecewise((1, numel <= n_cols), (Max(ColMean(r.next), machine_eps), True)))),
          Let(u, g/Max(by_row*by_column, machine_eps)),
          *clipped, Let(theta.next, theta - lr*weight_decay*theta - rate*u/excess)),
    properties=(ConstantGradient({r.next: RowMean(g**2), c.next: ColMean(g**2)}), *never_negative,
                Bounded(movement, high=farthest, given={weight_decay: 0}),
                Invariant(scale_free, given={machine_eps: 0})))

adafactor_paper = Optimizer("adafactor_paper", "AdafactorPaper", reference="arXiv:1804.04235, Algorithms 4 to 6",
    description="Paper form: sums, not averages; eps1 is added to every squared gradient; nothing decays. lr is the"
    " largest relative step. A vector is a matrix of one row, whose second moment is c itself.",
    step=(*factors(RowSum(g**2) + n_cols*eps1, ColSum(g**2) + n_rows*eps1),
          # The sum of r is that of c: half of its root goes to each factor.
          Let(by_row, root(RowSum(c.next), 4)/sqrt(r.next)), Let(by_column, root(ColSum(r.next), 4)/sqrt(c.next)),
          Let(u, g*by_row*by_column),
          *clipped, Let(theta.next, theta - rate*u/excess)),
    properties=(*never_negative, Bounded(movement, high=farthest), Invariant({**scale_free, eps1: 2}),
                ConstantGradient({r.next: RowSum(g**2) + n_cols*eps1, c.next: ColSum(g**2) + n_rows*eps1})))
