"""Fromage (Bernstein et al. 2020, arXiv:2002.03432): a tensor moves by a part of its norm, then shrinks to keep it."""

from sympy import Max, sqrt
from optgen import Let, Norm, Optimizer, g, theta
from optgen.hypers import norm_min
from optgen.properties import Bounded, Invariant
from .lamb import length, size, trust, unless_zero
from .sgd import lr

norm_min = norm_min.with_default(1e-6)

fromage = Optimizer("fromage", "Fromage", reference="arXiv:2002.03432, Algorithm 1; optax.fromage",
    description="Library form: no norm counts as less than norm_min. With norm_min = 0 it is the authors', where theta"
    " moves as by SGD if it or the gradient is 0.",
    step=(Let(size, Max(Norm(theta), norm_min)), Let(length, Max(Norm(g), norm_min)),
          Let(trust, unless_zero(size/length)),
          Let(theta.next, (theta - lr*trust*g)/sqrt(1 + lr**2))),
    properties=(Bounded(Norm(theta.next), high=(1 + lr)/sqrt(1 + lr**2)*size, given={norm_min: 1e-6}),
                Invariant({g: 1, theta: 1, norm_min: 1})))
