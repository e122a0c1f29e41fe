"""Yogi (Zaheer et al., NeurIPS 2018): Adam whose second moment takes steps of a size that it does not set itself."""

from sympy import sign, sqrt
from optgen import Let, Optimizer, g, state, t, theta
from optgen.hypers import beta1, beta2, eps, initial_accumulator, lr
from optgen.properties import Bounded, ConstantGradient, EqualTo, Invariant, Monotone, NotAlways
from .adam import adam, m_hat, v_hat

eps, initial_accumulator = eps.with_default(1e-3), initial_accumulator.with_default(1e-6)
m, v = state("m v", init=initial_accumulator)

yogi = Optimizer("yogi", "Yogi", reference="NeurIPS 2018, Algorithm 2; optax.yogi",
    description="Library form: both averages start at 1e-6, which the bias correction magnifies in the first steps.",
    step=(Let(m.next, beta1*m + (1 - beta1)*g),
          Let(v.next, v - (1 - beta2)*sign(v - g**2)*g**2),
          Let(m_hat, m.next/(1 - beta1**t)),
          Let(v_hat, v.next/(1 - beta2**t)),
          Let(theta.next, theta - lr*m_hat/(sqrt(v_hat) + eps))),
    properties=(NotAlways(Monotone(v.next)), Bounded(v.next, low=beta2*v),
                # Adam's v can fall to beta2*v, however small g is; here a small gradient changes little.
                Bounded(v.next, low=v - (1 - beta2)*g**2, high=v + (1 - beta2)*g**2),
                ConstantGradient({m_hat: g + initial_accumulator*beta1**t/(1 - beta1**t)}),
                Invariant({g: 1, m: 1, v: 2, eps: 1}, given={initial_accumulator: 0}),
                EqualTo(adam, given={initial_accumulator: 0}, steps=1)))
