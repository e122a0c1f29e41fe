"""Prodigy and D-Adaptation (arXiv:2306.06101, arXiv:2301.07733): Adam with a rate learned from how far it has come."""

from sympy import Abs, Max, Piecewise, sqrt
from optgen import MODEL, ModelSum, Let, Optimizer, g, local, state, t, theta
from optgen.hypers import beta1, beta2, d0, d_coef, eps, lr, weight_decay
from optgen.properties import Bounded, Invariant, Monotone

m, v, s, theta_0 = *state("m v s"), state("theta_0", init=theta)
d, r = state("d", space=MODEL, init=d0), state("r", space=MODEL)
rate, root, rest, total, dg = local("rate root rest total dg")
lr, weight_decay = lr.with_default(1), weight_decay.with_default(0)

debiased = Let(rate, d*lr*sqrt(1 - beta2**t)/(1 - beta1**t))

def farther(estimate):
    """Let d grow to an estimate if that is larger; as long as all gradients were 0 there is none."""
    return (Let(total, ModelSum(Abs(s.next))),
            Let(d.next, Piecewise((Max(d, estimate), total > 0), (d, True))))

prodigy = Optimizer("prodigy", "Prodigy", reference="arXiv:2306.06101, the version of Adam; optax.contrib.prodigy",
    description="d estimates how far the solution is from the start theta_0. lr is a multiplier, for schedules. As in"
    " optax, and unlike in the paper, the step is Adam's with bias correction; eps is added before v is corrected.",
    step=(debiased,
          Let(root, sqrt(beta2)),
          Let(dg, d*g),
          Let(m.next, beta1*m + (1 - beta1)*dg),
          Let(v.next, beta2*v + (1 - beta2)*dg**2),
          Let(s.next, root*s + rate*dg/d0),
          Let(r.next, root*r + rate*d/d0*ModelSum(g*(theta_0 - theta))),
          *farther(d_coef*r.next/total),
          Let(theta_0.next, theta_0),
          Let(theta.next, theta - rate*weight_decay*theta - rate*m.next/(sqrt(v.next) + d.next*eps))),
    properties=(Monotone(d.next), Bounded(d.next, low=d0), Invariant({g: 1, m: 1, v: 2, s: 1, r: 1, eps: 1})))

dadapt_adam = Optimizer("dadapt_adam", "DAdaptAdam",
    reference="arXiv:2301.07733, the version of Adam; optax.contrib.dadapt_adamw",
    description="d estimates how far the solution is, in the largest of all coordinates. lr is a multiplier, for"
    " schedules. As in optax, bias correction multiplies the rate, and eps is added before v is corrected.",
    step=(debiased,
          Let(root, sqrt(beta2)), Let(rest, (1 - beta2)/(1 + root)),  # 1 - root, with all its digits
          Let(m.next, beta1*m + (1 - beta1)*rate*g),
          Let(v.next, beta2*v + (1 - beta2)*g**2),
          Let(s.next, root*s + rest*rate*g),
          Let(r.next, root*r + rest*rate*ModelSum(g*s/(sqrt(v) + eps))),
          *farther(r.next/(rest*total)),
          Let(theta.next, theta - rate*weight_decay*theta - m.next/(sqrt(v.next) + eps))),
    properties=(Monotone(d.next), Bounded(d.next, low=d0), Invariant({g: 1, m: 1, v: 2, s: 1, r: 1, eps: 1})))
