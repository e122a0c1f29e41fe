"""Wrappers that change the gradient."""

from __future__ import annotations

from typing import Any

from sympy import Max, Min, Piecewise

from optgen.language import hypers
from optgen.language.combinators.handed import with_gradient
from optgen.language.combinators.wrapping import given, new_local, scalar, wrapper
from optgen.language.noise import normal
from optgen.language.reductions import ModelNorm, RowMean, RowNorm, n_rows
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import g, t, theta


@wrapper
def l2(optimizer: Optimizer, weight_decay: Any = hypers.weight_decay, **described: Any) -> Optimizer:
    """Add the gradient of ``½·weight_decay·θ²`` to the gradient: weight decay that passes through the moments.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    weight_decay : Hyper, number or sympy.Expr
        How strongly weights are pulled to zero.
    """
    pull = given(optimizer, weight_decay)
    description = "the gradient of an L2 penalty joins g."
    return with_gradient(optimizer, "g_l2", g + pull * theta, ("l2", "L2", description), described)


@wrapper
def clip_value(optimizer: Optimizer, limit: Any = hypers.clip_limit, **described: Any) -> Optimizer:
    """Hold every element of the gradient between ``-limit`` and ``limit``.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest size of an element.
    """
    most = given(optimizer, limit)
    description = "every element of the gradient is clipped first."
    return with_gradient(
        optimizer, "g_clipped", Max(Min(g, most), -most), ("clip_value", "ClipValue", description), described
    )


@wrapper
def clip_global_norm(
    optimizer: Optimizer, limit: Any = hypers.norm_limit, margin: Any = 1e-6, **described: Any
) -> Optimizer:
    """Shorten the gradient where it is longer than ``limit``, all tensors taken as one vector (arXiv:1211.5063).

    As in torch.nn.utils.clip_grad_norm_, which adds 1e-6 to the norm before it compares and divides. With ``margin=0``
    as in optax.clip_by_global_norm, which adds nothing. A gradient of zeros stays as it is either way.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest norm, above 0.
    margin : Hyper, number or sympy.Expr
        What is added to the norm first.
    """
    most, added = given(optimizer, limit), given(optimizer, margin)
    shrink = new_local(optimizer, "shrink")
    # min(1, limit/norm) without a division by zero.
    where = [Let(shrink, most / Max(most, ModelNorm(g) + added))]
    description = "the gradient is shortened first where its norm over all tensors is too large."
    words = ("clip_global_norm", "ClipGlobalNorm", description)
    return with_gradient(optimizer, "g_clipped", g * shrink, words, described, where=where)


@wrapper
def clip_unit_norm(
    optimizer: Optimizer, limit: Any = hypers.unit_limit, floor: Any = hypers.unit_floor, **described: Any
) -> Optimizer:
    """Shorten the gradient of each row that is long beside the row's weights (Brock et al. 2021, arXiv:2102.06171).

    This is adaptive gradient clipping. The paper's units are the inputs of one neuron: the rows of a matrix that maps
    its columns to its rows, as PyTorch keeps it. A vector, a bias say, is one unit, as the authors have it.
    optax.adaptive_grad_clip takes matrices to be the other way around, (inputs, outputs), and its units are the columns
    unless it is told ``axis=-1``. Kernels of more dimensions have to be handed over as matrices of a row a neuron: here
    a row is one position in all dimensions but the last. A matrix of one column, a unit each element, optax treats as a
    vector.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest norm of the gradient of a row, in norms of the row, above 0.
    floor : Hyper, number or sympy.Expr
        What the norm of a row counts as at least, above 0, so that rows of zeros can learn.
    """
    most, shrink = new_local(optimizer, "most"), new_local(optimizer, "shrink")
    where = [
        Let(most, given(optimizer, limit) * Max(RowNorm(theta), given(optimizer, floor))),
        Let(shrink, most / Max(most, RowNorm(g))),
    ]
    description = "rows of the gradient are shortened first where they are long beside their weights."
    words = ("clip_unit_norm", "ClipUnitNorm", description)
    return with_gradient(optimizer, "g_clipped", g * shrink, words, described, where=where)


@wrapper
def centralized(optimizer: Optimizer, **described: Any) -> Optimizer:
    """Take its mean from each row of the gradient of a matrix (Yong et al. 2020, arXiv:2004.01461, eq. 1).

    Rows are what one neuron sees, as in `clip_unit_norm`. Vectors and numbers are left alone, and so is a matrix of a
    single row, which is no different from a vector here; the authors' code and optax.centralize centralize that one.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    """
    central = Piecewise((g - RowMean(g), n_rows > 1), (g, True))
    description = "the mean of each row is taken from the gradients of matrices."
    return with_gradient(optimizer, "g_central", central, ("centralized", "Centralized", description), described)


@wrapper
def gradient_noise(optimizer: Optimizer, sigma: Any = None, stream: int | None = None, **described: Any) -> Optimizer:
    """Add Gaussian noise to the gradient (Neelakantan et al. 2015, arXiv:1511.06807, eq. 1).

    Its standard deviation is ``noise_scale / t**noise_decay``, the paper's ``sqrt(eta/(1 + t)**gamma)``, which counts
    steps from 0: noise_scale is sqrt(eta), noise_decay is gamma/2. The draws follow from the hyperparameter ``seed``,
    the step, the tensor and the element.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    sigma : Hyper, number or sympy.Expr, optional
        Another standard deviation, in t and hyperparameters.
    stream : int, optional
        Which of the independent sequences of a seed to draw from; unless given, one that the optimizer does not use.
    """
    if sigma is None:
        sigma = given(optimizer, hypers.noise_scale) / t ** given(optimizer, hypers.noise_decay)
    if stream is None:
        used = {int(draw.stream) for draw in optimizer.draws}
        stream = next(k for k in range(len(used) + 1) if k not in used)
    description = "noise that fades with t joins the gradient."
    return with_gradient(
        optimizer,
        "g_noisy",
        g + scalar(optimizer, sigma) * normal(hypers.seed, stream),
        ("gradient_noise", "GradientNoise", description),
        described,
    )
