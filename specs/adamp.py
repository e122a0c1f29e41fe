"""AdamP (Heo et al. 2021, arXiv:2006.08217): AdamW that does not lengthen weights whose scale has no effect."""

from sympy import Abs, Max, Or, Piecewise, sqrt
from optgen import (
    Let, Norm, Optimizer, RowNorm, RowSum, TensorMax, TensorSum, g, local, n_cols, numel, theta)
from optgen.hypers import delta, eps, lr, wd_ratio, weight_decay
from optgen.properties import Equivalent, Invariant
from .adam import m, m_hat, moments, v, v_hat
from .adamw import adamw

u, row_cosine, cosine, radial, kept = local("u row_cosine cosine radial kept")

def cosine_by(total, norm):
    """The cosine between weights and gradient, without its sign: 0 if the loss does not see how long weights are."""
    return Abs(total(g*theta))/(Max(norm(g), eps)*Max(norm(theta), eps))

def component_by(total, norm):
    """How much of theta there is in the direction u."""
    return total(theta*u)/(norm(theta) + eps)**2

vector = numel <= n_cols
rows, layer = row_cosine < delta/sqrt(n_cols), cosine < delta/sqrt(numel)

adamp = Optimizer("adamp", "AdamP",
    reference="arXiv:2006.08217, Algorithm 2; the authors' code, github.com/clovaai/AdamP",
    description="What lengthens each row, or else the whole tensor, is taken from the direction if the gradient is"
    " orthogonal to all rows, or to the tensor; such weights decay less. A vector, or one row, is left to AdamW. The"
    " authors' channels are slices along the first dimension: the same for a matrix, larger than rows beyond.",
    step=(*moments, Let(u, m_hat/(sqrt(v_hat) + eps)),
          Let(row_cosine, TensorMax(cosine_by(RowSum, RowNorm))), Let(cosine, cosine_by(TensorSum, Norm)),
          Let(radial, Piecewise((0, vector), (component_by(RowSum, RowNorm), rows),
                                (component_by(TensorSum, Norm), layer), (0, True))),
          Let(kept, Piecewise((1, vector), (wd_ratio, Or(rows, layer)), (1, True))),
          Let(theta.next, theta - lr*weight_decay*kept*theta - lr*(u - radial*theta))),
    properties=(Equivalent(adamw, given={delta: 0}), Invariant({g: 1, m: 1, v: 2}, given={eps: 0})))
