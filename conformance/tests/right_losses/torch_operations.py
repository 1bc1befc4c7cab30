"""Elementary operations of torch, differentiated by autograd: no loss of torch.nn.functional is called."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that torch's documentation uses
from torch import Tensor

framework = "torch"
dialect = "torch"

# Small tensors: a second thread would only wait.
torch.set_num_threads(1)


def log_softmax(logits: Tensor, *, axis: int = -1) -> Tensor:
    """(x - m) - log sum exp(x - m), the half dtypes in float32."""
    return shifted_log_softmax(wide(logits), axis).to(logits.dtype)


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The classes are moved last and the rows flattened, (N, C, H, W) to (N H W, C)."""
    axis = min(1, logits.dim() - 1)
    rows = wide(logits).movedim(axis, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    if target.is_floating_point():
        require(target.shape == logits.shape, ignore_index < 0)
        losses, masses = against_shares(
            flat, wide(target).movedim(axis, -1).reshape(flat.shape), weight, label_smoothing
        )
    else:
        require(target.shape == rows.shape[:-1])
        losses, masses = against_labels(flat, target.reshape(-1).long(), weight, ignore_index, label_smoothing)
    require(0 <= label_smoothing <= 1, weight is None or weight.shape == rows.shape[-1:])
    return reduced(losses.reshape(rows.shape[:-1]), masses, reduction).to(logits.dtype)


def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the gathered log-probability, weighed."""
    rows = wide(log_probs).movedim(min(1, log_probs.dim() - 1), -1)
    require(target.shape == rows.shape[:-1], not target.is_floating_point())
    require(weight is None or weight.shape == rows.shape[-1:])
    labels, kept, w = read(target.long(), weight, ignore_index, rows)
    losses = torch.where(kept, -w * rows.gather(-1, labels[..., None])[..., 0], 0)
    return reduced(losses, torch.where(kept, w, 0), reduction).to(log_probs.dtype)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(pos_weight y log sigmoid(x) + (1 - y) log sigmoid(-x)), nothing where a share is 0."""
    require(target.shape == logits.shape)
    x, y = wide(logits), wide(target)
    positive, negative = (y if pos_weight is None else wide(pos_weight) * y).expand_as(x), 1 - y
    losses = -(times(positive, F.logsigmoid(x)) + times(negative, F.logsigmoid(-x)))
    losses = losses if weight is None else wide(weight).expand_as(x) * losses
    return reduced(losses, torch.ones_like(losses), reduction).to(logits.dtype)


def categorical_crossentropy(
    target: Tensor, probs: Tensor, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum y log q, q renormalised and clamped to Keras's bounds as the dtype holds them."""
    require(target.shape == probs.shape)
    y = wide(target)
    if label_smoothing:
        y = (1 - label_smoothing) * y + label_smoothing / probs.shape[axis]
    logs = shifted_log_softmax(wide(probs), axis) if from_logits else clamped(renormalised(probs, axis), probs).log()
    return -(y * logs).sum(axis).to(probs.dtype)


def binary_crossentropy(
    target: Tensor, probs: Tensor, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-mean(y log q + (1 - y) log(1 - q)), or the log-sigmoids of logits."""
    require(target.shape == probs.shape)
    y = wide(target)
    if label_smoothing:
        y = (1 - label_smoothing) * y + label_smoothing / 2
    if from_logits:
        x = wide(probs)
        losses = y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x)
    else:
        q = clamped(wide(probs), probs)
        losses = y * q.log() + (1 - y) * (1 - q).log()
    return -losses.mean(axis).to(probs.dtype)


def distribution_cross_entropy(p: Tensor, q: Tensor, *, reduction: str = "mean") -> Tensor:
    """-sum p log q where p is not 0."""
    require(p.shape == q.shape)
    seen = torch.where(p == 0, 1, wide(q))
    losses = -(wide(p) * seen.log()).sum(-1)
    return reduced(losses, torch.ones_like(losses), reduction).to(q.dtype)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """cross_entropy of input @ linear_weight.T, the logits in float32 for the half dtypes."""
    require(linear_bias is None or linear_bias.shape == linear_weight.shape[:1])
    logits = wide(input) @ wide(linear_weight).T
    logits = logits if linear_bias is None else logits + wide(linear_bias)
    return cross_entropy(
        logits,
        wide(target) if target.is_floating_point() else target,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    ).to(input.dtype)


def against_labels(
    rows: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Losses and weights of the rows, both 0 where they are ignored."""
    labels, kept, w = read(labels, weight, ignore_index, rows)
    # Ignored rows are blanked first, so that what they hold cannot reach the gradient.
    surprisal = -shifted_log_softmax(rows.masked_fill(~kept[:, None], 0), -1)
    losses = w * surprisal.gather(-1, labels[:, None])[:, 0]
    if smoothing:
        spread = surprisal if weight is None else surprisal * wide(weight)
        losses = (1 - smoothing) * losses + smoothing / rows.shape[-1] * spread.sum(-1)
    return torch.where(kept, losses, 0), torch.where(kept, w, 0)


def against_shares(rows: Tensor, y: Tensor, weight: Tensor | None, smoothing: float) -> tuple[Tensor, Tensor]:
    """Losses of the rows, and ones."""
    if smoothing:
        y = (1 - smoothing) * y + smoothing / rows.shape[-1]
    losses = -((y if weight is None else y * wide(weight)) * shifted_log_softmax(rows, -1)).sum(-1)
    return losses, torch.ones_like(losses)


def read(labels: Tensor, weight: Tensor | None, ignore_index: int, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, 0 in place of ignored ones; which are kept; the weight of each."""
    kept = labels != ignore_index
    labels = torch.where(kept, labels, 0)
    require(bool(((labels >= 0) & (labels < rows.shape[-1])).all()))
    weights = torch.ones(rows.shape[-1], dtype=rows.dtype) if weight is None else wide(weight)
    return labels, kept, weights[labels]


def shifted_log_softmax(x: Tensor, axis: int) -> Tensor:
    shifted = x - x.detach().amax(axis, keepdim=True)
    return shifted - shifted.exp().sum(axis, keepdim=True).log()


def renormalised(probs: Tensor, axis: int) -> Tensor:
    p = wide(probs)
    return p / p.sum(axis, keepdim=True)


def clamped(q: Tensor, probs: Tensor) -> Tensor:
    bounds = torch.tensor([1e-7, 1 - 1e-7], dtype=torch.float64).to(probs.dtype).to(q.dtype)
    return q.clamp(bounds[0], bounds[1])


def times(share: Tensor, term: Tensor) -> Tensor:
    """The product, 0 for a share of 0 beside an infinite term; both keep their gradients everywhere else."""
    return share * torch.where((share == 0) & term.isinf(), 0, term)


def reduced(losses: Tensor, masses: Tensor, reduction: str) -> Tensor:
    """The losses, their sum, or their mean by the sum of the masses."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return losses.sum()
        case "mean":
            return losses.sum() / masses.sum()
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")


def wide(tensor: Tensor) -> Tensor:
    """Half dtypes in float32."""
    return tensor.float() if tensor.element_size() == 2 else tensor


def require(*holds: bool) -> None:
    """Raise ValueError for arguments that do not fit."""
    if not all(holds):
        raise ValueError("arguments do not fit")
