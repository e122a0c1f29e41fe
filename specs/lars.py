"""LARS (You et al. 2017, arXiv:1708.03888): momentum, with a rate for every tensor that goes by its norm."""

from optgen import Let, Norm, Optimizer, g, state, theta
from optgen.hypers import eps, momentum, trust_coefficient, weight_decay
from optgen.properties import Bounded, Invariant
from .lamb import length, size, trust, u, unless_zero
from .sgd import lr

weight_decay, eps = weight_decay.with_default(5e-4), eps.with_default(0)
m = state("m")

direction = Let(u, g + weight_decay*theta)
moved = (Let(m.next, momentum*m + lr*trust*u), Let(theta.next, theta - m.next))

lars = Optimizer("lars", "LARS", reference="optax.lars",
    description="Library form: the norm of theta is divided by that of the decayed gradient; where one of them is 0"
    " theta moves as by SGDM, without trust_coefficient. The default of weight_decay is 5e-4, in optax 0.",
    step=(direction, Let(size, Norm(theta)), Let(length, Norm(u)),
          Let(trust, unless_zero(trust_coefficient*size/(length + eps))), *moved),
    properties=(Invariant({g: 1, theta: 1, m: 1, eps: 1}),))

lars_paper = Optimizer("lars_paper", "LARSPaper", reference="arXiv:1708.03888, Algorithm 1",
    description="Paper form: the norm of theta is divided by the sum of the norms of gradient and decay, which is never"
    " less than the norm of their sum. What is 0 stays 0, and is 0/0 if its gradient is 0 too.",
    step=(direction, Let(size, Norm(theta)), Let(length, Norm(g)),
          Let(trust, trust_coefficient*size/(length + weight_decay*size)), *moved),
    properties=(Bounded(Norm(theta.next - theta), high=lr*trust_coefficient*Norm(theta), given={momentum: 0}),
                Invariant({g: 1, theta: 1, m: 1}), Invariant({g: 1, weight_decay: 1})))
