"""Adam, Adamax and their closest kin (Kingma & Ba 2015, arXiv:1412.6980)."""

from sympy import Abs, Max, Rational, sqrt
from optgen import Let, Optimizer, g, local, state, t, theta
from optgen.combinators import l2
from optgen.hypers import alpha, beta1, beta2, eps, lr, weight_decay
from optgen.properties import ConstantGradient, EqualTo, Equivalent, Independent, Invariant, Limit, Movements, NotAlways
from .rmsprop import rmsprop

m, v, u = state("m v u")
m_hat, v_hat, lr_t = local("m_hat v_hat lr_t")

first = Let(m.next, beta1*m + (1 - beta1)*g)
second = Let(v.next, beta2*v + (1 - beta2)*g**2)
first_hat = Let(m_hat, m.next/(1 - beta1**t))
second_hat = Let(v_hat, v.next/(1 - beta2**t))
averages = (first, second)
moments = (*averages, first_hat, second_hat)

bias_corrected = ConstantGradient({m_hat: g, v_hat: g**2})
# The same path in other units of the loss: eps is like a gradient, or in the root like its square.
rescaled, rescaled_in_root = Invariant({g: 1, m: 1, v: 2, eps: 1}), Invariant({g: 1, m: 1, v: 2, eps: 2})
debiased = {alpha: beta2, lr: lr*sqrt(1 - beta2**t), eps: eps*sqrt(1 - beta2**t)}
without_momentum = Equivalent(rmsprop, debiased, given={beta1: 0})

adam = Optimizer("adam", "Adam", reference="arXiv:1412.6980, Algorithm 1; torch.optim.Adam",
    step=(*moments, Let(theta.next, theta - lr*m_hat/(sqrt(v_hat) + eps))),
    properties=(bias_corrected, rescaled, Invariant({g: 1, m: 1, v: 2}, given={eps: 0}), without_momentum,
                Movements(((1, 100_000), (1e5, 1), (1, 1)), last=(lr, 10*sqrt(10)*lr, 10**Rational(-7, 2)*lr),
                          given={beta1: 0, beta2: 0.999})))

adam_lecture = Optimizer("adam_lecture", "AdamLecture", reference="arXiv:1412.6980, as lectures write it",
    description="Lecture form: eps inside the root.",
    step=(*moments, Let(theta.next, theta - lr*m_hat/sqrt(v_hat + eps))),
    properties=(bias_corrected, rescaled_in_root, EqualTo(adam, given={eps: 0})))

adam_eps_hat = Optimizer("adam_eps_hat", "AdamEpsHat",
    reference="arXiv:1412.6980, the remark that ends section 2; keras.optimizers.Adam",
    description="Both corrections move into the learning rate, so eps is added to the uncorrected root: Adam with"
    " eps/sqrt(1 - beta2**t), about 32 times larger at the first step.",
    step=(*averages,
          Let(lr_t, lr*sqrt(1 - beta2**t)/(1 - beta1**t)),
          Let(theta.next, theta - lr_t*m.next/(sqrt(v.next) + eps.with_default(1e-7)))),
    properties=(Limit(lr_t, lr), Equivalent(adam, {eps: eps/sqrt(1 - beta2**t)}), rescaled))

adam_l2 = l2(adam, name="adam_l2", title="AdamL2", reference="torch.optim.Adam with weight_decay",
    description="The decay joins the gradient and so passes through both moments. For decay that does not, see AdamW.",
    properties=(EqualTo(adam, given={weight_decay: 0}), NotAlways(Independent(m.next, of=weight_decay)),
                NotAlways(Independent(v.next, of=weight_decay))))

adamax_paper = Optimizer("adamax_paper", "AdamaxPaper", reference="arXiv:1412.6980, Algorithm 2",
    description="Paper form, without eps: undefined (0/0) for an element that has seen no gradient yet.",
    step=(first, first_hat,
          Let(u.next, Max(beta2*u, Abs(g))),
          Let(theta.next, theta - lr.with_default(2e-3)*m_hat/u.next)),
    properties=(ConstantGradient({m_hat: g, u.next: Abs(g)}), Invariant({g: 1, m: 1, u: 1})))

adamax = Optimizer("adamax", "Adamax", reference="torch.optim.Adamax",
    description="Library form: eps is added to each gradient's size, and so is forgotten with it.",
    step=(first, first_hat,
          Let(u.next, Max(beta2*u, Abs(g) + eps)),
          Let(theta.next, theta - lr.with_default(2e-3)*m_hat/u.next)),
    properties=(EqualTo(adamax_paper, given={eps: 0}), ConstantGradient({m_hat: g, u.next: Abs(g) + eps}),
                Invariant({g: 1, m: 1, u: 1, eps: 1})))
