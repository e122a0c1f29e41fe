"""Some wrapped rules that come ready made; `optgen.combinators` wraps any other."""

from sympy import Min, Piecewise
from optgen import RowMean, g, n_rows, state, t, theta
from optgen.combinators import (
    accumulate, amsgrad, cautious, centralized, clip_global_norm, clip_unit_norm, clip_value, decoupled_decay, ema,
    gradient_noise, l2, lookahead, nesterov, scheduled, skip_nonfinite)
from optgen.hypers import (
    accumulation_steps, clip_limit, dampening, lr, momentum, noise_scale, norm_limit, slow_step_size, sync_period,
    unit_limit, warmup, weight_decay)
from optgen.properties import Bounded, ConstantGradient, EqualTo, Equivalent, Invariant, Monotone
from .adagrad import adagrad
from .adam import adam, rescaled
from .adamw import adamw, decoupled
from .nag import nag
from .radam import radam
from .rmsprop import rmsprop
from .sgd import sgd
from .sgdm import b, sgdm

paper = "arXiv:1907.08610, Algorithm 1"
never_moves = Bounded(theta.next, theta, theta, given={slow_step_size: 0, sync_period: 1})
is_inner = {slow_step_size: 1}

lookahead_adamw = lookahead(adamw, reference=paper, properties=(EqualTo(adamw, given=is_inner), never_moves))
lookahead_sgdm = lookahead(sgdm, momentum="reset", reference=paper,
    properties=(EqualTo(sgd, given={slow_step_size: 1, sync_period: 1, momentum: 0, dampening: 0}), never_moves))
lookahead_sgdm_pullback = lookahead(sgdm, momentum="pull back", name="lookahead_sgdm_pullback",
    title="LookaheadSGDMPullback", reference=f"{paper}; the authors' code with pullback",
    properties=(EqualTo(sgdm, given=is_inner), never_moves))
lookahead_ema_gradient_noise_radam = lookahead(ema(gradient_noise(radam)),
    reference="arXiv:1907.08610 around arXiv:1511.06807 around torch.optim.RAdam",
    properties=(EqualTo(radam, given={slow_step_size: 1, noise_scale: 0}), never_moves))

gradient_noise_sgd = gradient_noise(sgd, reference="arXiv:1511.06807, eq. 1; optax.add_noise",
    properties=(EqualTo(sgd, given={noise_scale: 0}),))
clip_value_sgdm = clip_value(sgdm, reference="torch.nn.utils.clip_grad_value_; optax.clip",
    properties=(EqualTo(sgdm, given={clip_limit: 1e12}),))
accumulate_adam = accumulate(adam, reference="optax.MultiSteps",
    properties=(EqualTo(adam, given={accumulation_steps: 1}),))
l2_adagrad = l2(adagrad, reference="torch.optim.Adagrad with weight_decay",
    properties=(EqualTo(adagrad, given={weight_decay: 0}),))
decoupled_decay_rmsprop = decoupled_decay(rmsprop, reference="arXiv:1711.05101 around torch.optim.RMSprop",
    properties=(EqualTo(rmsprop, given={weight_decay: 0}),))
nesterov_sgdm = nesterov(sgdm, of="b", reference="torch.optim.SGD with momentum and nesterov",
    properties=(EqualTo(nag, given={dampening: 0}),))

clip_global_norm_adamw = clip_global_norm(adamw, reference="torch.nn.utils.clip_grad_norm_ before torch.optim.AdamW",
    properties=(EqualTo(adamw, given={norm_limit: 1e12}),))
ema_clip_global_norm_adamw = ema(clip_global_norm_adamw,
    reference="Polyak & Juditsky 1992 around torch.nn.utils.clip_grad_norm_ before torch.optim.AdamW",
    properties=(EqualTo(clip_global_norm_adamw),))
clip_unit_norm_sgdm = clip_unit_norm(sgdm,
    reference="arXiv:2102.06171, eq. 3; optax.adaptive_grad_clip, whose units are the columns",
    properties=(EqualTo(sgdm, given={unit_limit: 1e12}),))
centralized_sgdm = centralized(sgdm, reference="arXiv:2004.01461, eq. 1; optax.centralize",
    properties=(ConstantGradient({b.next: g - Piecewise((RowMean(g), n_rows > 1), (0, True))},
                                 given={momentum: 0, dampening: 0}), Invariant({g: 1, b: 1, lr: -1})))
cautious_adamw = decoupled_decay(cautious(adam), name="cautious_adamw", title="CautiousAdamW",
    reference="arXiv:2411.16085, Algorithm 1",
    description="AdamW that moves only where it goes down the gradient; the weights decay everywhere.",
    properties=(Bounded((theta.next - theta)*g, high=0, given={weight_decay: 0}), rescaled, decoupled))
skip_nonfinite_adamw = skip_nonfinite(adamw, reference="optax.apply_if_finite",
    properties=(Equivalent(adamw),))  # 1 - beta**t is rounded otherwise where t is a count that the device keeps

amsgrad_adamw = amsgrad(adamw, reference="torch.optim.AdamW with amsgrad", properties=(Monotone(state("v_max").next),))
ema_adamw = ema(adamw, reference="Polyak & Juditsky 1992 around torch.optim.AdamW", properties=(EqualTo(adamw),))
warmed = lr*Min(1, t/warmup)
scheduled_adamw = scheduled(adamw, lr=warmed, reference="torch.optim.AdamW with a linear warm-up",
    properties=(Equivalent(adamw, {lr: warmed}), EqualTo(adamw, given={warmup: 1})))
