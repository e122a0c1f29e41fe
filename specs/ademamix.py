"""AdEMAMix (Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137): Adam with a second, much slower momentum."""

from sympy import Interval, Min, exp, log, oo, sqrt
from optgen import Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import alpha_warmup, beta1, beta3, beta3_warmup, beta_start, eps, lr, weight_decay
from optgen.properties import ConstantGradient, EqualTo, Equivalent, Invariant, Monotone
from .adam import adam, bias_corrected, m, m_hat, moments, v, v_hat
from .adamw import adamw_inside, decoupled

alpha = hyper("alpha", 5, Interval(0, oo), "how much of the slow average is mixed in", r"\alpha")
weight_decay = weight_decay.with_default(0)

m_slow = state("m_slow")
alpha_t, past, log_beta3 = local("alpha_t past log_beta3")
mixed = (m_hat + alpha*m_slow.next)/(sqrt(v_hat) + eps)
moved = theta - lr*(mixed + weight_decay*theta)
rescaled = Invariant({g: 1, m: 1, m_slow: 1, v: 2, eps: 1})

ademamix = Optimizer("ademamix", "AdEMAMix",
    reference="arXiv:2409.03137, Algorithm 1 without schedules; optax.contrib.ademamix",
    description="alpha and beta3 are constant. The slow average is not bias-corrected: it fills as it will.",
    step=(*moments, Let(m_slow.next, beta3*m_slow + (1 - beta3)*g), Let(theta.next, moved)),
    properties=(bias_corrected, decoupled, rescaled, EqualTo(adamw_inside, given={alpha: 0}),
                ConstantGradient({m_slow.next: (1 - beta3**t)*g}),
                # Two averages of the same decay are one, but that only the fast one is corrected.
                Equivalent(adam, {lr: lr*(1 + alpha*(1 - beta1**t))}, given={beta1: 0.9, beta3: 0.9, weight_decay: 0})))

ademamix_scheduled = Optimizer("ademamix_scheduled", "AdEMAMixScheduled",
    reference="arXiv:2409.03137, Algorithm 1 with its schedules of alpha and beta3; apple/ml-ademamix",
    description="alpha rises linearly from 0. The decay of the slow average rises to beta3 from beta_start, which"
    " is beta1 as in the paper unless given, so that its half-life, log(1/2)/log_beta3, rises linearly.",
    step=(*moments,
          Let(alpha_t, alpha*Min(t/alpha_warmup, 1)),
          Let(past, Min(t, beta3_warmup)),
          Let(log_beta3, beta3_warmup/((beta3_warmup - past)/log(beta_start) + past/log(beta3))),
          Let(m_slow.next, exp(log_beta3)*m_slow + (1 - exp(log_beta3))*g),
          Let(theta.next, moved.subs(alpha, alpha_t))),
    properties=(bias_corrected, decoupled, rescaled, Monotone(log_beta3, given={beta_start: 0.9, beta3: 0.9999}),
                Equivalent(ademamix, {alpha: alpha*Min(t/alpha_warmup, 1)}, given={beta3: beta_start}),
                Equivalent(ademamix, given={alpha_warmup: 1, beta3_warmup: 1})))
