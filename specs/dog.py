"""DoG and DoWG (arXiv:2302.12022, arXiv:2305.16284): the rate is the distance covered over the gradients met."""

from sympy import Max, sqrt
from optgen import MODEL, ModelNorm, ModelSum, Let, Optimizer, g, local, state, theta
from optgen.hypers import eps, lr, reps_rel
from optgen.properties import Bounded, Invariant, Monotone

lr = lr.with_default(1)
theta_0 = state("theta_0", init=theta)
distance = state("distance", space=MODEL, init=reps_rel*(1 + ModelNorm(theta)))
squares = state("squares", space=MODEL)
rate = local("rate")

farthest = Let(distance.next, Max(distance, ModelNorm(theta - theta_0)))
start = Let(theta_0.next, theta_0)
descent = Let(theta.next, theta - rate*g)
movement = ModelNorm(theta.next - theta)

dog = Optimizer("dog", "DoG", reference="arXiv:2302.12022, Algorithm 1; optax.contrib.dog",
    description="The distance is the largest from the start theta_0 so far. The authors advise to average the points,"
    " as `ema` does. lr is a multiplier, for schedules.",
    step=(farthest,
          Let(squares.next, squares + ModelSum(g**2)),
          Let(rate, lr*distance.next/sqrt(squares.next + eps)),
          start, descent),
    properties=(Monotone(distance.next), Monotone(squares.next), Bounded(movement, high=lr*distance.next),
                Invariant({g: 1, squares: 2, eps: 2})))

small = eps.with_default(1e-4)
d2 = state("d2", space=MODEL, init=small)
dowg = Optimizer("dowg", "DoWG", reference="arXiv:2305.16284, Algorithm 1; optax.contrib.dowg",
    description="Gradients count the more, the farther from the start they were met. d2 is the largest squared distance"
    " so far, which starts as eps, as in optax.",
    step=(Let(d2.next, Max(d2, ModelSum((theta - theta_0)**2))),
          Let(squares.next, squares + d2.next*ModelSum(g**2)),
          Let(rate, lr*d2.next/(sqrt(squares.next) + small)),
          start, descent),
    properties=(Monotone(d2.next), Monotone(squares.next), Bounded(movement, high=lr*sqrt(d2.next))))
