"""SWATS (Keskar & Socher 2017, arXiv:1712.07628): starts as Adam, ends as descent with momentum."""

from sympy import Abs, And, Eq, Ne, Piecewise, sqrt
from optgen import MODEL, STEP, ModelSum, Let, Optimizer, g, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr, switch_step, tolerance
from optgen.properties import EqualTo, Equivalent, Movements, NotAlways
from .adam import adam_eps_hat, first, m, second, v

lam, rate, switched_at = state("lam rate switched_at", space=MODEL)
adam_until = state("switched_at", space=STEP)
mean, p, along, gamma, lam_hat, now = local("mean p along gamma lam_hat now")
eps = eps.with_default(1e-9)

def two_phases(descends, switches):
    """Adam's equations until a condition, which holds after the first step for which another did.

    The momentum of the second phase is v = beta1*v + g, from 0, and moves theta by (1 - beta1)*rate*v: (1 - beta1)*v is
    once more Adam's average of gradients, begun anew.
    """
    estimated = Ne(along, 0)
    return (Let(mean, first.value), Let(v.next, Piecewise((v, descends), (second.value, True))),
            Let(p, -lr*sqrt(1 - beta2**t)/(1 - beta1**t)*mean/(sqrt(v.next) + eps)),
            Let(along, ModelSum(p*g)),
            Let(gamma, Piecewise((-ModelSum(p**2)/along, estimated), (0, True))),
            Let(lam.next, Piecewise((lam, descends), (beta2*lam + (1 - beta2)*gamma, estimated), (lam, True))),
            Let(lam_hat, lam.next/(1 - beta2**t)),
            Let(rate.next, Piecewise((rate, descends), (lam_hat, switches), (rate, True))),
            Let(m.next, Piecewise((mean, descends), (0, switches), (mean, True))),
            Let(theta.next, Piecewise((theta - rate*mean, descends), (theta + p, True))))

# Gradients of 4 have Adam move by lr, which is lr/4 of them: the rate of all that follows, whatever v is.
straight = {beta1: 0, eps: 0}
sequel = {"gradients": ((4, 10), (8, 1), (0.5, 1)), "last": (2*lr, lr/8), "within": 1e-9}

settled = And(Eq(switched_at, 0), Ne(along, 0), Abs(lam_hat - gamma) < tolerance)

swats = Optimizer("swats", "SWATS", reference="arXiv:1712.07628, Algorithm 1",
    description="Adam with eps added before v is corrected, until the rate at which gradient descent would go as far"
    " along the step as Adam does, for the whole model, is within tolerance of its average; then momentum with that"
    " average for its rate, be it below 0. switched_at is the last step that Adam took, 0 before. The paper has one"
    " epsilon, 1e-9, for eps and tolerance; on small models that may never be met.",
    step=(*two_phases(switched_at > 0, Eq(now, 1)),
          Let(now, Piecewise((0, Eq(t, 1)), (1, settled), (0, True))),
          Let(switched_at.next, Piecewise((t, Eq(now, 1)), (switched_at, True)))),
    properties=(EqualTo(adam_eps_hat, given={tolerance: 0}),
                NotAlways(Equivalent(adam_eps_hat, given={tolerance: 1})), Movements(**sequel, given=straight)))

swats_at = Optimizer("swats_at", "SWATSAt", reference="arXiv:1712.07628, Algorithm 1 with the switch at a given step",
    description="SWATS whose last step with Adam is switch_step, or the first after it that finds this told; what its"
    " rate is then is estimated as there. switched_at is that step, 0 before.",
    step=(*two_phases(adam_until > 0, t >= switch_step),
          Let(adam_until.next, Piecewise((adam_until, adam_until > 0), (t, t >= switch_step), (0, True)))),
    properties=(EqualTo(adam_eps_hat, given={switch_step: 10**6}),
                NotAlways(Equivalent(adam_eps_hat, given={switch_step: 1})),
                Movements(**sequel, given={**straight, switch_step: 10})))
