"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from sympy import sqrt

from optgen import Let, Optimizer, local, theta
from optgen.hypers import eps, lr, schedule, step_size, weight_decay

from .adam import m_hat, moments, v_hat

direction = m_hat / (sqrt(v_hat) + eps)
moved = local("moved")

adamw = Optimizer(
    "adamw",
    title="AdamW",
    reference="arXiv:1711.05101, Algorithm 2; torch.optim.AdamW",
    description="Library form: the weights decay by lr*weight_decay, then move.",
    step=(*moments, Let(theta.next, (1 - lr * weight_decay) * theta - lr * direction)),
)

adamw_inside = Optimizer(
    "adamw_inside",
    title="AdamWInside",
    reference="optax.adamw; apex.optimizers.FusedAdam in AdamW mode",
    description="The decay is part of the direction. The same algebra as AdamW, rounded differently.",
    step=(*moments, Let(theta.next, theta - lr * (direction + weight_decay * theta))),
)

adamw_after = Optimizer(
    "adamw_after",
    title="AdamWAfter",
    reference="bitsandbytes, CUDA kernels of Adam",
    description="The weights move, then what they have become decays.",
    step=(
        *moments,
        Let(moved, theta - lr * direction),
        Let(theta.next, (1 - lr * weight_decay) * moved),
    ),
)

adamw_schedule = Optimizer(
    "adamw_schedule",
    title="AdamWSchedule",
    reference="arXiv:1711.05101, Algorithm 2, line 12",
    description="Paper form: the schedule multiplies movement and decay alike, the step size only the movement.",
    step=(*moments, Let(theta.next, theta - schedule * (step_size * direction + weight_decay * theta))),
)
