"""Code that the attacks share: a model that counts its passes, norms, and losses on logits."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TINY = 1e-12


class Counted:
    """A network that counts its passes in samples. Its weights still require gradients, as in the reference."""

    def __init__(self, network: nn.Module):
        self.network = network
        self.forwards = self.backwards = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        return self.network(x)

    def right(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            return self(x).argmax(1) == y


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Reshapes values (N,) so that they broadcast over images."""
    return values.view(-1, *[1] * (like.dim() - 1))


def size(x: Tensor, norm: str) -> Tensor:
    """Returns the norm of every sample, (N,)."""
    flat = x.reshape(len(x), -1)
    if norm == "linf":
        return flat.abs().max(1)[0]
    return flat.abs().sum(1) if norm == "l1" else (flat**2).sum(1).sqrt()


def normalized(x: Tensor, norm: str) -> Tensor:
    return x / (per_sample(size(x, norm), x) + TINY)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="none")


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Returns the difference of logits ratio, which needs at least three classes."""
    z = logits.sort(dim=1)[0]
    right = logits.gather(1, y[:, None])[:, 0]
    is_top = (logits.sort(dim=1)[1][:, -1] == y).float()
    return -(right - z[:, -2] * is_top - z[:, -1] * (1 - is_top)) / (z[:, -1] - z[:, -3] + TINY)


def targeted_dlr(target: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Makes the targeted difference of logits ratio, which needs at least four classes."""

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        z = logits.sort(dim=1)[0]
        right, wanted = logits.gather(1, y[:, None])[:, 0], logits.gather(1, target[:, None])[:, 0]
        return -(right - wanted) / (z[:, -1] - 0.5 * (z[:, -3] + z[:, -4]) + TINY)

    return loss


def target_of_rank(model: Counted, x: Tensor, rank: int) -> Tensor:
    """Returns the class with the rank-th largest clean logit. Rank 1 is the prediction."""
    with torch.no_grad():
        return model(x).sort(dim=1)[1][:, -rank]
