"""Lion (Chen et al. 2023, arXiv:2302.06675): the sign of a momentum, so that all parameters move equally far."""

from sympy import Interval, sign
from optgen import Let, Optimizer, g, hyper, state, t, theta
from optgen.hypers import lr, weight_decay
from optgen.properties import Bounded, ConstantGradient, Independent, Invariant

lr = lr.with_default(1e-4)
beta1 = hyper("beta1", 0.9, Interval.Ropen(0, 1), "share of the average in the direction", r"\beta_1")
beta2 = hyper("beta2", 0.99, Interval.Ropen(0, 1), "decay of the average of gradients", r"\beta_2")
m = state("m")

lion = Optimizer("lion", "Lion", reference="arXiv:2302.06675, Algorithm 2; optax.lion",
    description="Paper form, with decoupled decay. Where the direction is exactly 0, its sign is 0. The"
    " default of weight_decay is 1e-2, in optax 1e-3.",
    step=(Let(theta.next, theta - lr*(sign(beta1*m + (1 - beta1)*g) + weight_decay*theta)),
          Let(m.next, beta2*m + (1 - beta2)*g)),
    properties=(Invariant({g: 1, m: 1}), Invariant({theta: 1, lr: 1, weight_decay: -1}),
                Bounded(theta.next - theta, -lr, lr, given={weight_decay: 0}),
                Independent(m.next, of=(theta, weight_decay)), ConstantGradient({m.next: (1 - beta2**t)*g})))
