"""Schedule-free methods (Defazio et al. 2024, arXiv:2405.15682): an average takes the place of a falling rate."""

from sympy import Interval, Max, Min, Piecewise, oo, sqrt
from optgen import STEP, Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import eps, lr, warmup_steps, weight_decay, weight_lr_power
from optgen.properties import Bounded, ConstantGradient, Equivalent, Invariant, Monotone
from .adam import debiased, second, second_hat, v, v_hat
from .rmsprop import rmsprop
from .sgd import sgd

beta1 = hyper("beta1", 0.9, Interval.Ropen(1e-3, 1), "where theta is on the way from z to x", r"\beta_1")
r = hyper("r", 0, Interval(0, oo), "power of t in the weights of the average", "r")
weight_decay = weight_decay.with_default(0)

z = state("z", init=theta)
lr_max, weight_sum = state("lr_max weight_sum", space=STEP)
beta1_last = state("beta1_last", space=STEP, init=beta1)
lr_t, weight, c, d = local("lr_t weight c d")

HOW = " theta is y, where gradients are taken. What to evaluate is x, the average of all z, on whose way from z it is."
x = z + (theta - z)/beta1_last

def weighed(lr):
    """The rate after warm-up, and the share c that this step's z has in the average."""
    return (Let(lr_t, lr*Min(t/warmup_steps, 1)), Let(lr_max.next, Max(lr_max, lr_t)),
            Let(weight, lr_max.next**weight_lr_power*t**r), Let(weight_sum.next, weight_sum + weight),
            Let(c, Piecewise((weight/weight_sum.next, weight_sum.next > 0), (0, True))))

# From z' to x', which is nearer by c: x' - z' = (1 - c)*(x - z'), and z' is lr_t*d from z.
points = (Let(z.next, z - lr_t*d), Let(beta1_last.next, beta1),
          Let(theta.next, z.next + beta1*(1 - c)*((theta - z)/beta1_last + lr_t*d)))
averaging = (Monotone(lr_max.next), Monotone(weight_sum.next), Bounded(c, low=0, high=1),
             ConstantGradient({c: 1/t}, given={warmup_steps: 1, weight_lr_power: 0, r: 0}),
             ConstantGradient({c: 2/(t + 1)}, given={warmup_steps: 1, weight_lr_power: 0, r: 1}))
alone = {weight_decay: 0, warmup_steps: 1}

schedule_free_sgd = Optimizer("schedule_free_sgd", "ScheduleFreeSGD",
    reference="arXiv:2405.15682, equations 2 to 4; schedulefree.SGDScheduleFree; optax.contrib.schedule_free_sgd",
    description="Library form, the decay taken at y." + HOW,
    evaluation=x, step=(*weighed(lr.with_default(1)), Let(d, g + weight_decay*theta), *points),
    properties=(*averaging, Equivalent(sgd, {theta: z}, given=alone), Invariant({g: 1, theta: 1, z: 1})))

schedule_free_adamw = Optimizer("schedule_free_adamw", "ScheduleFreeAdamW",
    reference="arXiv:2405.15682, Algorithm 1; optax.contrib.schedule_free_adamw",
    description="Library form, which corrects v; in the paper the rate has that correction, and so the weights." + HOW,
    evaluation=x, step=(*weighed(lr.with_default(2.5e-3)), second, second_hat,
          Let(d, g/(sqrt(v_hat) + eps) + weight_decay*theta), *points),
    properties=(*averaging, ConstantGradient({v_hat: g**2}), Equivalent(rmsprop, {theta: z, **debiased}, given=alone),
                Invariant({g: 1, v: 2, eps: 1})))
