"""NovoGrad (Ginsburg et al. 2019, arXiv:1905.11286): Adam with one second moment a tensor, applied before the first."""

from sympy import sqrt
from optgen import TENSOR, Let, Optimizer, TensorSum, g, state, theta
from optgen.hypers import beta1, beta2, eps, lr, weight_decay
from optgen.properties import Bounded, ConstantGradient, Independent, Invariant

beta1, beta2 = beta1.with_default(0.95), beta2.with_default(0.98)
lr, weight_decay = lr.with_default(1e-2), weight_decay.with_default(1e-3)
m, v = state("m"), state("v", space=TENSOR, init=TensorSum(g**2))

novograd = Optimizer("novograd", "NovoGrad", reference="arXiv:1905.11286, Algorithm 1; optax.novograd",
    description="v is an average of squared norms that starts as the first of them, so it needs no correction. m sums"
    " up what was divided, decay included: with a constant rate it is 1/(1 - beta1) times an average. The defaults of"
    " beta1, beta2, eps and weight_decay are 0.95, 0.98, 1e-8 and 1e-3, in optax 0.9, 0.25, 1e-6 and 0.",
    step=(Let(v.next, beta2*v + (1 - beta2)*TensorSum(g**2)),
          Let(m.next, beta1*m + g/(sqrt(v.next) + eps) + weight_decay*theta),
          Let(theta.next, theta - lr*m.next)),
    properties=(ConstantGradient({v.next: TensorSum(g**2)}), Invariant({g: 1, v: 2, eps: 1}),
                Bounded(v.next, low=0), Independent(v.next, of=(theta, m))))
