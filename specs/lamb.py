"""LAMB (You et al. 2020, arXiv:1904.00962): every tensor takes Adam's step at a length that is a part of its own."""

from sympy import Eq, Max, Min, Or, Piecewise, sqrt
from optgen import Let, Norm, Optimizer, local, theta
from optgen.hypers import eps, lr, norm_max, norm_min, weight_decay
from optgen.properties import Bounded, Independent, Invariant
from .adam import m, m_hat, moments, rescaled, v, v_hat

eps = eps.with_default(1e-6)
u, size, length, trust = local("u size length trust")

def unless_zero(ratio):
    """A ratio of two norms, 1 where one of them is 0: from zero, weights move as if there were no ratio."""
    return Piecewise((1, Or(Eq(size, 0), Eq(length, 0))), (ratio, True))

direction = Let(u, m_hat/(sqrt(v_hat) + eps) + weight_decay*theta)
moved = Let(theta.next, theta - lr*trust*u)
decoupled = Independent((m.next, v.next), of=(theta, weight_decay))

lamb = Optimizer("lamb", "LAMB", reference="optax.lamb",
    description="Library form: the length is a tensor's norm itself, and theta moves as in AdamW where it or the"
    " direction is 0. The gradient is not clipped; other libraries clip its norm over all tensors first. The default of"
    " weight_decay is 1e-2, in optax 0.",
    step=(*moments, direction, Let(size, Norm(theta)), Let(length, Norm(u)), Let(trust, unless_zero(size/length)),
          moved),
    properties=(rescaled, decoupled))

lamb_paper = Optimizer("lamb_paper", "LAMBPaper", reference="arXiv:1904.00962, Algorithm 2",
    description="Paper form: the norm is clipped, between bounds that the paper leaves open, and nothing is done about"
    " zeros: what is 0 stays 0 unless norm_min is positive, and a direction that is 0 makes it 0/0.",
    step=(*moments, direction, Let(trust, Min(Max(Norm(theta), norm_min), norm_max)/Norm(u)), moved),
    properties=(rescaled, decoupled, Bounded(Norm(theta.next - theta), lr*Min(norm_min, norm_max), lr*norm_max),
                Invariant({theta: 1, norm_min: 1, norm_max: 1}, given={weight_decay: 0})))
