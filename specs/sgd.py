"""Gradient descent (Robbins & Monro 1951)."""

from optgen import Let, Optimizer, g, theta
from optgen.hypers import lr, weight_decay
from optgen.properties import EqualTo, Invariant

lr = lr.with_default(1e-2)

sgd = Optimizer("sgd", "SGD", reference="torch.optim.SGD", description="The default of lr is 1e-2, in torch 1e-3.",
    step=(Let(theta.next, theta - lr*g),),
    properties=(Invariant({g: 1, lr: -1}), Invariant({g: 1, theta: 1})))

sgd_l2 = Optimizer("sgd_l2", "SGDL2", reference="torch.optim.SGD with weight_decay",
    description="The penalty ½·weight_decay·θ² belongs to the loss, so its gradient joins g.",
    step=(Let(theta.next, theta - lr*(g + weight_decay*theta)),),
    properties=(EqualTo(sgd, given={weight_decay: 0}), Invariant({g: 1, theta: 1})))
