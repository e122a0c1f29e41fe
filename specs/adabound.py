"""AdaBound (Luo, Xiong, Liu & Sun 2019, arXiv:1902.09843): Adam whose rates are clipped ever closer to one of SGD."""

from sympy import Max, Min, sqrt
from optgen import Let, Optimizer, g, local, t, theta
from optgen.hypers import base_lr, beta1, beta2, eps, final_lr, gamma, lr
from optgen.properties import Bounded, Invariant, Limit, Monotone
from .adam import averages, bias_corrected, m, m_hat, moments, v, v_hat
from .amsgrad import largest, remembers, v_max

final, lower, upper, rate, clipped = local("final lower upper rate clipped")

bounds = (Let(final, final_lr*lr/base_lr), Let(lower, final*(1 - 1/(gamma*t + 1))), Let(upper, final*(1 + 1/(gamma*t))))
fixed_bounds = (Let(lower, 0.1 - 0.1/((1 - beta2)*t + 1)), Let(upper, 0.1 + 0.1/((1 - beta2)*t)))
clip = Let(clipped, Min(Max(rate, lower), upper))
corrected = lr*sqrt(1 - beta2**t)/(1 - beta1**t)

def closing(to):
    """The claims that both bounds close in on a rate, and with them what is clipped."""
    return (Monotone(lower), Monotone(upper, "decreasing"), *(Limit(value, to) for value in (lower, upper, clipped)))

adabound = Optimizer("adabound", "AdaBound", reference="the authors' code, github.com/Luolc/AdaBound",
    description="Library form: final_lr follows a schedule of lr, for base_lr stays what lr was at the start. Give"
    " base_lr where lr starts low, in a warm-up.",
    step=(*averages, *bounds, Let(rate, corrected/(sqrt(v.next) + eps)), clip, Let(theta.next, theta - clipped*m.next)),
    properties=(*closing(final_lr*lr/base_lr), Bounded(clipped, low=lower, high=upper),
                Invariant({g: 1, m: 1, v: 2, eps: 1, final_lr: -1})))

amsbound = Optimizer("amsbound", "AMSBound", reference="the authors' code, github.com/Luolc/AdaBound, with amsbound",
    description="AdaBound with the largest v so far, as in AMSGrad.",
    step=(*averages, largest, *bounds,
          Let(rate, corrected/(sqrt(v_max.next) + eps)), clip, Let(theta.next, theta - clipped*m.next)),
    properties=(*closing(final_lr*lr/base_lr), remembers,
                Invariant({g: 1, m: 1, v: 2, v_max: 2, eps: 1, final_lr: -1})))

adabound_lecture = Optimizer("adabound_lecture", "AdaBoundLecture", reference="arXiv:1902.09843, as lectures write it",
    description="Lecture form: bounds around 0.1 that close as fast as v forgets, bias correction, eps in the root.",
    step=(*moments, *fixed_bounds, Let(rate, lr/sqrt(v_hat + eps)), clip, Let(theta.next, theta - clipped*m_hat)),
    properties=(*closing(0.1), bias_corrected))

adabound_paper = Optimizer("adabound_paper", "AdaBoundPaper",
    reference="arXiv:1902.09843, Algorithm 2 with the bounds of section 4",
    description="Paper form: no bias correction, no eps, and rates that fall with the root of t once they are clipped."
    " Its projection onto a feasible set is left out.",
    step=(*averages, *fixed_bounds, Let(rate, lr/sqrt(v.next)), clip, Let(theta.next, theta - clipped/sqrt(t)*m.next)),
    properties=closing(0.1))
