"""Schedules: a learning rate, or a momentum, as a function of the step t, which is 1 at the first."""

from itertools import pairwise
from sympy import Eq, Interval, Max, Min, Mod, Piecewise, Rational, cos, exp, floor, log, pi, sqrt
from optgen import Let, Schedule, hyper, local, t
from optgen.hypers import (
    beta2, decay, div, down, final_div, growth, lr, lr_min, momentum, momentum_min, period, power, rise, start, steps,
    up, warmup)

run, span = Min((t - 1)/steps, 1), lr - lr_min
adequacy, smith = "arXiv:1910.04209", "arXiv:1506.01186; torch CyclicLR"

def line(x):
    """From 1 to 0 while x goes from 0 to 1."""
    return 1 - x

def half_wave(x):
    """From 1 to 0 while x goes from 0 to 1, slowly at both ends."""
    return (1 + cos(pi*x))/2

linear_warmup = Schedule("linear_warmup", lr*Min(t/warmup, 1),
    reference="arXiv:1706.02677; torch LinearLR with start_factor=1/warmup, total_iters=warmup - 1",
    description="optax.linear_schedule(0, lr, warmup) is one step behind: its first step has rate 0.")
linear_warmup_from = Schedule("linear_warmup_from", lr*(start + (1 - start)*Min((t - 1)/warmup, 1)),
    reference="torch LinearLR",
    description="From a third of the rate unless start is given. Step warmup + 1 is the first with all of it.")
exponential_warmup = Schedule("exponential_warmup", lr*(1 - exp(-t/warmup)), reference=adequacy)
untuned_linear_warmup = Schedule("untuned_linear_warmup", lr*Min(t*(1 - beta2)/2, 1), reference=adequacy)
untuned_exponential_warmup = Schedule("untuned_exponential_warmup", lr*(1 - exp(-(1 - beta2)*t)), reference=adequacy)
noam = Schedule("noam", lr*Min(t/warmup, sqrt(warmup/t)), reference="arXiv:1706.03762, eq. 3",
    description="Written with its peak, which is at step warmup: the paper's is lr = 1/sqrt(d_model*warmup).")
inverse_sqrt = Schedule("inverse_sqrt", lr/sqrt(t))

linear_decay = Schedule("linear_decay", lr_min + span*line(run), reference="optax.linear_schedule; torch LinearLR")
polynomial_decay = Schedule("polynomial_decay", lr_min + span*line(run)**power,
    reference="optax.polynomial_schedule; torch PolynomialLR")
exponential_decay = Schedule("exponential_decay", lr*decay**(t - 1), reference="torch ExponentialLR")
step_decay = Schedule("step_decay", lr*decay.with_default(0.1)**floor((t - 1)/period), reference="torch StepLR")
cosine_decay = Schedule("cosine_decay", lr_min + span*half_wave(run), reference="optax.cosine_decay_schedule",
    description="Half a wave, then lr_min, which optax writes as alpha*lr.")
cosine_annealing = Schedule("cosine_annealing", lr_min + span*half_wave((t - 1)/steps),
    reference="torch CosineAnnealingLR",
    description="After the end the rate rises again, as torch's does. For one that stays see CosineDecay.")

grown, guess, n, length, since = local("grown guess n length since")
sgdr = Schedule("sgdr", lr_min + span*half_wave(since/length), title="SGDR",
    where=(Let(grown, 1 + (growth - 1)*(t - 1)/period),  # growth**n at restart n, without rounding
           Let(guess, floor(log(grown)/log(Max(growth, 2)))),  # n, or one off for the rounding of the logarithms
           Let(n, Piecewise(
               (guess + 1, grown >= growth**(guess + 1)), (guess - 1, grown < growth**guess), (guess, True))),
           Let(length, period*growth**n),
           Let(since, Piecewise((Mod(t - 1, period), Eq(growth, 1)), (t - 1 - (length - period)/(growth - 1), True)))),
    reference="arXiv:1608.03983, eq. 5; torch CosineAnnealingWarmRestarts",
    description="Cosine decay with warm restarts: with period=10 and growth=2 after 10, 30, 70, … steps.")

x, height = local("x height")
triangle = {"where": (Let(x, Mod(t - 1, up + down)), Let(height, Min(x/up, (up + down - x)/down))), "reference": smith}
triangular = Schedule("triangular", lr_min + span*height, **triangle)
triangular2 = Schedule("triangular2", lr_min + span*height/2**floor((t - 1)/(up + down)), **triangle)
exp_range = Schedule("exp_range", lr_min + span*height*decay**(t - 1), **triangle)
triangular_momentum = Schedule("triangular_momentum", momentum - (momentum - momentum_min)*height, **triangle)

done, turn, left, gone = local("done turn left gone")
rise_of_three = hyper("rise", 0.3, Interval.Lopen(0, Rational(1, 2)), rise.meaning, rise.tex)

def one_cycles(name, *through):
    """From each value to the next, along a half wave and along a line.

    The turns are one step before the parts rise and 2*rise of the run, as torch's.
    """
    *since, last = (done - k*turn for k in range(len(through) - 1))

    def in_phases(*values):
        return Piecewise(*((value, done < k*turn) for k, value in enumerate(values[:-1], start=1)), (values[-1], True))

    value = in_phases(*(a*left + b*gone for a, b in pairwise(through)))
    where = (Let(done, t - 1), Let(turn, (rise if len(since) == 1 else rise_of_three)*steps - 1),
             Let(x, Piecewise(*((y/turn, done < k*turn) for k, y in enumerate(since, start=1)),
                              (last/(steps - 1 - (done - last)), done < steps - 1), (1, True))))
    told = {"reference": "arXiv:1708.07120; torch OneCycleLR",
            "description": "After the end it stays what it is; torch raises an error there."}
    wave, straight = (Let(left, half_wave(x)), Let(gone, (1 - cos(pi*x))/2)), (Let(left, line(x)), Let(gone, x))
    return (Schedule(name.format(""), value, where=(*where, *wave), **told),
            Schedule(name.format("_linear"), value, where=(*where, *straight), **told))

lr_1, high, low = lr/div, momentum.with_default(0.95), momentum_min.with_default(0.85)
one_cycle, one_cycle_linear = one_cycles("one_cycle{}", lr_1, lr, lr_1/final_div)
one_cycle_momentum, one_cycle_linear_momentum = one_cycles("one_cycle{}_momentum", high, low, high)
one_cycle_three_phase, one_cycle_three_phase_linear = one_cycles(
    "one_cycle_three_phase{}", lr_1, lr, lr_1, lr_1/final_div)
one_cycle_three_phase_momentum, one_cycle_three_phase_linear_momentum = one_cycles(
    "one_cycle_three_phase{}_momentum", high, low, high, high)
