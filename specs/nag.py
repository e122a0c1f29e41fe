"""Nesterov's accelerated gradient (Nesterov 1983): the gradient is taken where the momentum is about to lead."""

from optgen import Let, Optimizer, g, t, theta
from optgen.hypers import momentum
from optgen.properties import ConstantGradient, EqualTo, Equivalent, Invariant
from .sgdm import b, lr, m, movement, sgd, sgdm_lecture, summed

nag = Optimizer("nag", "NAG", reference="torch.optim.SGD with momentum and nesterov",
    description="Library form. theta is the point ahead, so g is the gradient at theta as ever. The defaults of lr and"
    " momentum are 1e-2 and 0.9, in torch 1e-3 and 0.",
    step=(Let(b.next, momentum*b + g), Let(theta.next, theta - lr*(g + momentum*b.next))),
    properties=(EqualTo(sgd, given={momentum: 0}), ConstantGradient({b.next: g*(1 - momentum**t)/(1 - momentum)}),
                Invariant({g: 1, b: 1, lr: -1})))

nag_lookahead = Optimizer("nag_lookahead", "NAGLookahead",
    reference="Nesterov 1983; Sutskever et al. 2013, as lectures write it",
    description="Lecture form that looks ahead. g must be the gradient at theta - momentum*m, not at theta: compute"
    " that point from theta and the state m before every step. Given the gradient at theta, this is SGDMLecture.",
    step=(movement, Let(theta.next, theta - m.next)),
    properties=(EqualTo(sgdm_lecture), Equivalent(nag, {theta: theta - momentum*m, b: m/lr})))

nag_lecture = Optimizer("nag_lecture", "NAGLecture",
    reference="Bengio et al. 2012, arXiv:1212.0901, as lectures write it; keras.optimizers.SGD with nesterov",
    description="Lecture form, rearranged. theta is the point ahead, so g is the gradient at theta; theta +"
    " momentum*m is where NAGLookahead stands.",
    step=(movement, Let(theta.next, theta - momentum*m.next - lr*g)),
    properties=(Equivalent(nag_lookahead, {theta: theta + momentum*m}), Equivalent(nag, {b: m/lr}), summed,
                EqualTo(sgd, given={momentum: 0}), Invariant({g: 1, lr: -1})))
