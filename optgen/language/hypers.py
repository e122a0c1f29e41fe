"""The hyperparameters of rules and schedules, under the names the field uses.

A rule that wants another default says so: ``lr.with_default(1e-2)``. One that means something else by a name declares
its own, with ``hyper``.
"""

from sympy import Interval, Rational, S, oo

from optgen.language.symbols import hyper

_UNIT = Interval.Ropen(0, 1)
_NONNEGATIVE = Interval(0, oo)
_POSITIVE = Interval.open(0, oo)
_FROM_1 = Interval(1, oo)
_SLOW = Interval.Ropen(Rational(1, 2), 1)  # below 1/2 an average is not slow, and exp(log(beta3)) would lose digits

lr = hyper("lr", 1e-3, _NONNEGATIVE, "learning rate", r"\eta")
beta1 = hyper("beta1", 0.9, _UNIT, "decay of the average of gradients", r"\beta_1")
beta2 = hyper("beta2", 0.999, _UNIT, "decay of the average of squared gradients", r"\beta_2")
eps = hyper("eps", 1e-8, _NONNEGATIVE, "keeps a denominator away from zero", r"\epsilon")
weight_decay = hyper("weight_decay", 1e-2, _NONNEGATIVE, "how strongly weights are pulled to zero", r"\gamma")
momentum = hyper("momentum", 0.9, Interval(0, 1), "how much of the last movement is kept", r"\lambda")
dampening = hyper("dampening", 0, Interval(0, 1), "how much of the gradient the momentum leaves out", r"\tau")
alpha = hyper("alpha", 0.99, _UNIT, "decay of the average of squared gradients", r"\alpha")
lr_decay = hyper("lr_decay", 0, _NONNEGATIVE, "how fast the learning rate falls with t", r"\kappa")
schedule = hyper("schedule", 1, _NONNEGATIVE, "multiplier of the whole step, for a schedule", r"\eta_t")
step_size = hyper("step_size", 1e-3, _NONNEGATIVE, "learning rate that no schedule touches", r"\alpha")
clip_limit = hyper("clip_limit", 1, _POSITIVE, "largest size of an element of the gradient")
noise_scale = hyper("noise_scale", 0.1, _NONNEGATIVE, "standard deviation of the noise at the first step", "c")
noise_decay = hyper("noise_decay", 0.275, _NONNEGATIVE, "how fast the noise fades, as a power of t", "r")
accumulation_steps = hyper("accumulation_steps", 4, S.Naturals, "how many gradients make a step", "n")
ema_decay = hyper("ema_decay", 0.999, _UNIT, "decay of the average of parameters", r"\beta")
sync_period = hyper("sync_period", 5, S.Naturals, "every how many steps fast and slow weights meet", "k")
slow_step_size = hyper("slow_step_size", 0.5, Interval(0, 1), "how far slow weights move to the fast", r"\alpha")
seed = hyper("seed", 0, S.Naturals0, "picks the random numbers of a run")
initial_accumulator = hyper("initial_accumulator", 0, _NONNEGATIVE, "what the sum starts from")

rho = hyper("rho", 0.9, _UNIT, "decay of the averages of squared gradients and movements", r"\rho")
beta3 = hyper("beta3", 0.9999, _SLOW, "decay of the slow average of gradients", r"\beta_3")
beta_start = hyper("beta_start", beta1, _SLOW, "what beta3 rises from", r"\beta_{start}")
beta3_warmup = hyper("beta3_warmup", 256_000, _FROM_1, "steps until beta3 is reached; 1 for none", r"T_{\beta_3}")
alpha_warmup = hyper("alpha_warmup", 256_000, _FROM_1, "steps until alpha is reached; 1 for none", r"T_\alpha")
momentum_decay = hyper("momentum_decay", 4e-3, _NONNEGATIVE, "how fast the momentum grows to beta1", r"\psi")
final_lr = hyper("final_lr", 0.1, _NONNEGATIVE, "the rate of SGD that all rates tend to", r"\eta_\infty")
base_lr = hyper("base_lr", lr, Interval(1e-12, oo), "the lr that final_lr belongs to", r"\eta_0")
gamma = hyper("gamma", 1e-3, Interval.Ropen(1e-12, 1), "how fast the bounds close", r"\gamma")
lambd = hyper("lambd", 1e-4, _NONNEGATIVE, "decay of the weights, and how fast the rate falls with t", r"\lambda")
t0 = hyper("t0", 1e6, _NONNEGATIVE, "how many steps pass before averaging starts", "t_0")
eta_minus = hyper("eta_minus", 0.5, Interval.open(0, 1), "factor of a step size whose gradient turned", r"\eta^-")
eta_plus = hyper("eta_plus", 1.2, Interval.open(1, oo), "factor of a step size whose gradient kept its sign", r"\eta^+")
min_step_size = hyper("min_step_size", 1e-6, _NONNEGATIVE, "smallest step size", r"\Delta_{\min}")
max_step_size = hyper("max_step_size", 50, _NONNEGATIVE, "largest step size", r"\Delta_{\max}")
warmup_steps = hyper("warmup_steps", 1, _FROM_1, "steps until lr is reached; 1 for none", "T")
weight_lr_power = hyper("weight_lr_power", 2, _NONNEGATIVE, "power of the rate in the weights of the average", "p")

# What rules with norms, rows and columns add.
trust_coefficient = hyper("trust_coefficient", 1e-3, _NONNEGATIVE, "how far a tensor moves, in its norm", r"\kappa")
norm_min = hyper("norm_min", 0, _NONNEGATIVE, "smallest norm that counts", r"\nu_{\min}")
norm_max = hyper("norm_max", 10, _POSITIVE, "largest norm that counts", r"\nu_{\max}")
eps1 = hyper("eps1", 1e-30, _NONNEGATIVE, "keeps the second moment away from zero", r"\epsilon_1")
eps2 = hyper("eps2", 1e-3, _NONNEGATIVE, "smallest size that parameters are taken to have", r"\epsilon_2")
rms_limit = hyper("rms_limit", 1, _POSITIVE, "largest root mean square of a direction", "d")
beta2_decay = hyper("beta2_decay", -0.8, Interval(-oo, 0), "power of t that is the newest gradient's share", r"\tau")
delta = hyper("delta", 0.1, _NONNEGATIVE, "a cosine below delta/sqrt(n) counts as none", r"\delta")
wd_ratio = hyper(
    "wd_ratio", 0.1, _NONNEGATIVE, "what part of the decay is left to weights whose scale has no effect", r"\zeta"
)

# What rules and wrappers add that look at a whole row, or at the whole model.
norm_limit = hyper("norm_limit", 1, _POSITIVE, "largest norm of the gradient over all tensors")
unit_limit = hyper("unit_limit", 0.01, _POSITIVE, "largest norm of a row's gradient, in norms of the row", r"\lambda")
unit_floor = hyper(
    "unit_floor", 1e-3, _POSITIVE, "what the norm of a row counts as at least", r"\epsilon_{\mathrm{row}}"
)
tolerance = hyper("tolerance", 1e-9, _NONNEGATIVE, "how near an estimate must be to its average", r"\delta")
switch_step = hyper("switch_step", 1000, S.Naturals, "the last step that Adam takes", "k")
d0 = hyper("d0", 1e-6, _POSITIVE, "first guess of how far away the solution is", "d_0")
d_coef = hyper("d_coef", 1, _POSITIVE, "multiplier of the estimated distance", "c")
reps_rel = hyper("reps_rel", 1e-6, _POSITIVE, "first movement, in norms of the parameters plus 1", r"r_\epsilon")

# What schedules add.
lr_min = hyper("lr_min", 0, _NONNEGATIVE, "lower bound of the learning rate", r"\eta_{\min}")
momentum_min = hyper("momentum_min", 0.8, Interval(0, 1), "lower bound of the momentum", r"\lambda_{\min}")
warmup = hyper("warmup", 1000, S.Naturals, "steps of the warm-up", r"T_{\mathrm{w}}")
steps = hyper("steps", 10_000, S.Naturals, "steps until the end", "T")
period = hyper("period", 10, S.Naturals, "steps of a period, of the first where they grow", "T_0")
growth = hyper("growth", 1, S.Naturals, "how many times longer each period is than the last", r"T_{\mathrm{mult}}")
up = hyper("up", 2000, S.Naturals, "steps from one bound to the other", r"T_\uparrow")
down = hyper("down", 2000, S.Naturals, "steps back", r"T_\downarrow")
decay = hyper("decay", 0.9999, Interval.Lopen(0, 1), "factor of each decay", r"\gamma")
power = hyper("power", 1, _POSITIVE, "exponent of what is left of the run", "p")
start = hyper("start", Rational(1, 3), Interval.Lopen(0, 1), "what part of the rate the first step has", "s")
rise = hyper("rise", 0.3, Interval.open(0, 1), "the part of the run that leads to the highest rate", "r")
div = hyper("div", 25, _FROM_1, "how many times smaller than the highest rate the first is", "d")
final_div = hyper("final_div", 1e4, _FROM_1, "how many times smaller than the first rate the last is", "d_T")
