"""Averaged gradient descent (Polyak & Juditsky 1992): the mean of the points that were visited."""

from sympy import Interval, Max, Min, Piecewise
from optgen import STEP, Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import lambd, t0
from optgen.properties import Bounded, EqualTo, Independent, Invariant, Limit, Monotone, NotAlways
from .sgd import lr, sgd

alpha = hyper("alpha", 0.75, Interval(0, 1), "power with which the rate falls", r"\alpha")
ax, averaged = state("ax", init=theta), state("averaged", space=STEP)
eta, mu = local("eta mu")

asgd = Optimizer("asgd", "ASGD", reference="torch.optim.ASGD; Bottou's averaged stochastic gradient descent",
    description="Library form. Train with theta, evaluate ax: it follows theta up to step t0 + 2, then it is the mean"
    " of all points from there on. A new lr acts at once, in torch at the step after. torch keeps eta"
    " and mu in single precision unless told otherwise; here they have double.",
    evaluation=ax,
    step=(Let(eta, lr/(1 + lambd*lr*(t - 1))**alpha),
          # t - 1 - t0, or since a lower t0 was set.
          Let(averaged.next, Max(1, Min(averaged + 1, t - 1 - t0))), Let(mu, 1/averaged.next),
          Let(theta.next, theta - eta*(g + lambd*theta)),
          Let(ax.next, Piecewise((ax + mu*(theta.next - ax), mu < 1), (theta.next, True)))),
    properties=(EqualTo(sgd, given={lambd: 0}), Limit(eta, lr, lambd, to=0), Invariant({g: 1, theta: 1, ax: 1}),
                Monotone(eta, "decreasing", given={alpha: 1}), Independent(theta.next, of=(ax, t0)),
                Bounded(averaged.next, low=1, high=Max(1, t - 1 - t0)),
                *(Independent(ax.next, of=ax, steps=start + 2, given={t0: start}) for start in (0, 10)),
                NotAlways(Independent(ax.next, of=ax, steps=3, given={t0: 0}))))
