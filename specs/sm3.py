"""SM3 (Anil et al. 2019, arXiv:1901.11150): Adagrad, whose sums are bounded by a number for each row and column."""

from sympy import Min, Piecewise, sqrt
from optgen import COL, ROW, ColMax, Let, Optimizer, RowMax, g, local, state, theta
from optgen.hypers import beta1, eps, lr
from optgen.properties import Bounded, Invariant, Monotone

lr = lr.with_default(0.1)
m, r, c, total = state("m"), state("r", space=ROW), state("c", space=COL), local("total")

sm3 = Optimizer("sm3", "SM3", reference="arXiv:1901.11150, SM3-II; optax.sm3",
    description="Each element's sum of squares is taken to be the lesser of the two that it is under, and has its own"
    " square added. The rule as first stated has beta1 = eps = 0. A vector is a matrix of one row, and so Adagrad's;"
    " a tensor of more dimensions is a stack of matrices, with rows and columns of their own, where the paper has one"
    " number for each slice along each dimension. In float32 the square of a gradient of 1.9e19 is infinite, and so"
    " are the numbers of its row and column from then on, whose elements rest but for m.",
    step=(Let(total, Min(r, c) + g**2),
          Let(r.next, RowMax(total)), Let(c.next, ColMax(total)),
          Let(m.next, beta1*m + (1 - beta1)*Piecewise((g/sqrt(total + eps), total + eps > 0), (0, True))),
          Let(theta.next, theta - lr*m.next)),
    properties=(Invariant({g: 1, r: 2, c: 2, eps: 2}), Monotone(r.next), Monotone(c.next),
                Bounded(r.next, low=RowMax(g**2)), Bounded(c.next, low=ColMax(g**2)), Bounded(m.next, -1, 1)))
