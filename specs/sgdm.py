"""Gradient descent with momentum, the heavy ball (Polyak 1964), in the three forms that go by that name."""

from sympy import Eq, Piecewise
from optgen import Let, Optimizer, g, state, t, theta
from optgen.combinators import l2
from optgen.hypers import beta1, dampening, momentum, weight_decay
from optgen.properties import ConstantGradient, EqualTo, Equivalent, Independent, Invariant, NotAlways
from .sgd import lr, sgd, sgd_l2

m, b = state("m b")
buffer = Let(b.next, Piecewise((g, Eq(t, 1)), (momentum*b + (1 - dampening)*g, True)))
movement = Let(m.next, momentum*m + lr*g)
summed = ConstantGradient({m.next: lr*g*(1 - momentum**t)/(1 - momentum)})

sgdm = Optimizer("sgdm", "SGDM", reference="torch.optim.SGD with momentum and dampening",
    description="Library form. The buffer starts as the first gradient, which dampening leaves whole. The defaults of"
    " lr and momentum are 1e-2 and 0.9, in torch 1e-3 and 0.",
    step=(buffer, Let(theta.next, theta - lr*b.next)),
    properties=(EqualTo(sgd, given={momentum: 0, dampening: 0}), Invariant({g: 1, b: 1, lr: -1}),
                ConstantGradient({b.next: g}, given={dampening: momentum})))

sgdm_lecture = Optimizer("sgdm_lecture", "SGDMLecture", reference="Polyak 1964, as lectures write it",
    description="Lecture form. The learning rate enters the movement m, so a new rate acts on new gradients only.",
    step=(movement, Let(theta.next, theta - m.next)),
    properties=(Equivalent(sgd, given={momentum: 0}), Equivalent(sgdm, {b: m/lr, dampening: 0}), summed,
                Invariant({g: 1, lr: -1})))

sgdm_ema = Optimizer("sgdm_ema", "SGDMEma",
    reference="the momentum of Adam (arXiv:1412.6980) without its second moment or bias correction",
    description="Average form. m is an exponential moving average of the gradients.",
    step=(Let(m.next, beta1*m + (1 - beta1)*g), Let(theta.next, theta - lr*m.next)),
    properties=(EqualTo(sgd, given={beta1: 0}), Invariant({g: 1, m: 1, lr: -1}),
                Equivalent(sgdm_lecture, {lr: (1 - beta1)*lr, momentum: beta1, m: lr*m}),
                ConstantGradient({m.next: (1 - beta1**t)*g})))

sgdm_l2_library = l2(sgdm, name="sgdm_l2_library", title="SGDML2Library",
    reference="torch.optim.SGD with momentum, dampening and weight_decay",
    description="Library form. The decay joins the gradient, so the buffer remembers it.",
    properties=(EqualTo(sgdm, given={weight_decay: 0}), EqualTo(sgd_l2, given={momentum: 0, dampening: 0}),
                NotAlways(Independent(b.next, of=weight_decay)), Invariant({g: 1, theta: 1, b: 1})))

sgdm_l2 = Optimizer("sgdm_l2", "SGDML2",
    reference="arXiv:1711.05101, Algorithm 1 with L2 regularization, as lectures write it",
    description="Lecture form. The decay is inside the momentum: it joins the gradient, and m remembers it.",
    step=(Let(m.next, momentum*m + lr*(g + weight_decay*theta)), Let(theta.next, theta - m.next)),
    properties=(EqualTo(sgdm_lecture, given={weight_decay: 0}), Equivalent(sgdm_l2_library, {b: m/lr, dampening: 0}),
                Equivalent(sgd_l2, given={momentum: 0}), NotAlways(Independent(m.next, of=weight_decay))))

sgdm_l2_outside = Optimizer("sgdm_l2_outside", "SGDML2Outside",
    reference="apex.optimizers.FusedSGD with wd_after_momentum, as lectures write it",
    description="Lecture form. The decay is outside the momentum: it joins the movement, and m knows nothing of it."
    " This is what SGDW does, one product of hyperparameters apart.",
    step=(movement, Let(theta.next, theta - (m.next + lr*weight_decay*theta))),
    properties=(EqualTo(sgdm_lecture, given={weight_decay: 0}), Equivalent(sgd_l2, given={momentum: 0}), summed,
                Independent(m.next, of=(theta, weight_decay)), Invariant({g: 1, theta: 1, m: 1})))
