"""H-SAT's scores in plain PyTorch. They estimate the spectral norm of a sample's Hessian in the weights; `power` computes it."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from hessian_reference import LossHessian

SCORES = ("paper-upper", "central", "paper-lower", "fixed-upper", "fixed-lower", "loss", "power")


def curvature(network: nn.Module, x: Tensor, y: Tensor, score: str = "paper-upper", chunk: int = 32) -> Tensor:
    """Returns one score per sample. The network must be in evaluation mode."""
    if score == "power":
        return spectral_norms(network, x, y)
    names = [name for name, _ in network.named_parameters()]
    floor = torch.finfo(x.dtype).eps ** 0.25
    found = []
    for images, labels in zip(x.split(chunk), y.split(chunk), strict=True):
        losses = F.cross_entropy(network(images), labels, reduction="none")
        if score == "loss":
            found.append(losses.detach())
            continue
        gradient = torch.autograd.grad(losses.mean(), [network.get_parameter(name) for name in names])
        losses = losses.detach()
        s = torch.cat([g.flatten() for g in gradient]).norm()
        if s == 0:
            found.append(torch.zeros_like(losses))
            continue
        alpha = 0.01 * s if score.startswith("paper") else torch.clamp(0.01 * s, min=floor)

        def at(sign, images=images, labels=labels, s=s, alpha=alpha, gradient=gradient):
            moved = {name: network.get_parameter(name) + sign * alpha * g / s for name, g in zip(names, gradient, strict=True)}
            with torch.no_grad():
                return F.cross_entropy(functional_call(network, moved, (images,)), labels, reduction="none")

        up, down = at(1), at(-1)
        found.append(
            {
                "central": (up - 2 * losses + down) / alpha**2,
                "paper-upper": (up + alpha * s) / alpha - losses,
                "paper-lower": torch.maximum(up - alpha * s, down + alpha * s) / alpha - losses,
                "fixed-upper": 2 / alpha**2 * (up - losses + alpha * s),
                "fixed-lower": 2 / alpha**2 * torch.maximum(up - losses - alpha * s, down - losses + alpha * s),
            }[score]
        )
    return torch.cat(found)


def spectral_norms(network: nn.Module, x: Tensor, y: Tensor, tolerance: float = 1e-5, products: int = 200) -> Tensor:
    """Returns the spectral norm of every sample's Hessian in the weights, by the power method for one sample at a time.

    The stopping rule uses the length of Hv and not vᵀHv. The length never falls, and it converges to the norm even if both +norm
    and -norm are eigenvalues.
    """
    generator, found = torch.Generator().manual_seed(0), []
    for sample, label in zip(x.split(1), y.split(1), strict=True):
        hessian = LossHessian(network, sample, label)
        vector = torch.randn(hessian.size, generator=generator, dtype=x.dtype)
        length = vector.norm()
        for product in range(products):
            vector = hessian(vector / length)
            before, length = length, vector.norm()
            if length == 0 or (product and length - before <= tolerance * length):
                break
        found.append(length)
    return torch.stack(found)
