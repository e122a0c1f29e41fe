"""Adam-mini (Zhang et al. 2024, arXiv:2406.16793): AdamW with one second moment for all weights of a neuron."""

from sympy import sqrt
from optgen import ROW, Let, Optimizer, RowMean, g, local, state, t, theta
from optgen.hypers import beta2, eps, lr, weight_decay
from optgen.properties import Bounded, ConstantGradient, Independent, Invariant
from .adam import first, first_hat, m, m_hat

v, v_hat = state("v", space=ROW), local("v_hat")

adam_mini = Optimizer("adam_mini", "AdamMini", reference="arXiv:2406.16793, partitioned by output neurons",
    description="A neuron is a row: of a matrix (out, in) what leads to one output, of an embedding a token; a vector"
    " is one row. Where the paper takes whole heads, of queries and keys, give a matrix with a head a row. The authors'"
    " code takes most matrices whole.",
    step=(first, first_hat,
          Let(v.next, beta2*v + (1 - beta2)*RowMean(g**2)),
          Let(v_hat, v.next/(1 - beta2**t)),
          Let(theta.next, theta - lr*weight_decay*theta - lr*m_hat/(sqrt(v_hat) + eps))),
    properties=(ConstantGradient({m_hat: g, v_hat: RowMean(g**2)}), Invariant({g: 1, m: 1, v: 2, eps: 1}),
                Bounded(v.next, low=0),
                Independent((m.next, v.next), of=(theta, weight_decay))))
