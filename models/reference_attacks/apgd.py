"""APGD (Croce and Hein, ICML 2020; for L1 ICML 2021), untargeted or with target classes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .common import Counted, cross_entropy, dlr, normalized, per_sample, size, target_of_rank, targeted_dlr
from .projections import l1_ball

MOMENTUM, RHO = 0.75, 0.75
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Trace:
    """A record for golden numbers: the iterations that were checkpoints, each sample's step size after them, and the losses."""

    checkpoints: list[int] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)


@dataclass
class APGD:
    model: Counted
    norm: str
    epsilon: float
    seed: int
    loss: str = "ce"  # "ce" or "dlr"; ignored with targets
    restarts: int = 1
    iterations: int = 100
    eot: int = 1
    targets: int = 0  # number of target classes, attacked one after the other; 0 is untargeted
    large_radii: bool = False

    def perturb(self, x: Tensor, y: Tensor) -> Tensor:
        right, result = self.model.right(x, y), x.clone()
        torch.manual_seed(self.seed)
        for rank in range(2, self.targets + 2) if self.targets else [0]:
            for _ in range(self.restarts):
                remaining = right.nonzero()[:, 0]
                if not len(remaining):
                    continue
                images, labels = x[remaining].clone(), y[remaining].clone()
                if rank:
                    loss = targeted_dlr(target_of_rank(self.model, images, rank))
                else:
                    loss = {"ce": cross_entropy, "dlr": dlr}[self.loss]
                unbroken, adversarial = self._restart(images, labels, loss)
                broken = (~unbroken).nonzero()[:, 0]
                right[remaining[broken]] = False
                result[remaining[broken]] = adversarial[broken]
        return result

    def _restart(self, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        if not self.large_radii:
            return self.run(x, y, loss, self.epsilon, self.iterations)[1:]
        first = math.ceil(0.3 * self.iterations)
        radii = [3 * self.epsilon, 2 * self.epsilon, self.epsilon]
        start = l1_start(x, torch.randn(x.shape), radii[0])
        for radius, iterations in zip(radii, [first, first, self.iterations - 2 * first], strict=True):
            start = x + l1_ball(x, start - x, radius)
            start, unbroken, adversarial = self.run(x, y, loss, radius, iterations, start)
        return unbroken, adversarial

    def _gradient(self, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the gradient averaged over the passes, and the losses and the logits of the last pass."""
        x.requires_grad_()
        gradient = torch.zeros_like(x)
        for _ in range(self.eot):
            with torch.enable_grad():
                logits = self.model(x)
                losses = loss(logits, y)
                total = losses.sum()
            gradient += torch.autograd.grad(total, x)[0]
            self.model.backwards += len(x)
        return gradient / self.eot, losses.detach().clone(), logits.detach()

    def run(
        self, x: Tensor, y: Tensor, loss: Loss, epsilon: float, n: int, start: Tensor | None = None, trace: Trace | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Runs APGD once.

        Returns per sample the point of largest loss, whether it was never misclassified, and its last misclassified iterate.
        """
        x_k = self._start(x, epsilon)
        if start is not None:
            x_k = start.clone()
        x_k = x_k.clamp(0, 1)
        best, adversarial = x_k.clone(), x_k.clone()
        table = torch.zeros(n, len(x))
        gradient, losses, logits = self._gradient(x_k, y, loss)
        best_gradient, best_loss = gradient.clone(), losses.clone()
        unbroken = logits.argmax(1) == y
        step = per_sample((1.0 if self.norm == "l1" else 2.0) * epsilon * torch.ones(len(x)), x)
        old = x_k.clone()
        features = x[0].numel()
        period, since = max(int(0.22 * n), 1), 0
        if self.norm == "l1":
            period = max(int(0.04 * n), 1)
            moved = l0(x_k.detach() - x)
            top = torch.full((len(x),), 0.2) if start is None else moved / features / 1.5
            old_moved = torch.full((len(x),), float(features)) if start is None else moved
        reduced, loss_at_check = torch.ones(len(x), dtype=torch.bool), best_loss.clone()
        for i in range(n):
            with torch.no_grad():
                x_k = x_k.detach()
                difference, old = x_k - old, x_k.clone()
                if self.norm == "l1":
                    x_k = sparse_step(x, x_k, gradient, step, top, epsilon)
                else:
                    x_k = self._step(x, x_k, gradient, step, difference, MOMENTUM if i else 1.0, epsilon)
            gradient, losses, logits = self._gradient(x_k, y, loss)
            with torch.no_grad():
                right = logits.argmax(1) == y
                unbroken &= right
                adversarial[~right] = x_k[~right]
                table[i] = losses
                better = losses > best_loss
                best[better], best_gradient[better], best_loss[better] = x_k[better], gradient[better], losses[better]
                since += 1
                if since < period:
                    continue
                since = 0
                if self.norm == "l1":
                    moved = l0(best - x)
                    top = moved / features / 1.5
                    restore = moved / old_moved < 0.95
                    step[restore] = epsilon
                    step[~restore] /= 1.5
                    step.clamp_(epsilon / 10, epsilon)
                    old_moved = moved.clone()
                else:
                    # At the first checkpoint, row i - period is row -1, the last row of the table, which is still zero.
                    rises = sum((table[i - c] > table[i - c - 1]).float() for c in range(period))
                    restore = (rises <= period * RHO) | (~reduced & (loss_at_check >= best_loss))
                    reduced, loss_at_check = restore.clone(), best_loss.clone()
                    step[restore] /= 2
                    period = max(period - max(int(0.03 * n), 1), int(0.06 * n), 1)
                x_k = x_k.detach()
                x_k[restore], gradient[restore] = best[restore], best_gradient[restore]
                if trace is not None:
                    trace.checkpoints.append(i)
                    trace.steps.append(step.flatten().clone())
        if trace is not None:
            trace.losses = list(table)
        return best, unbroken, adversarial

    def _start(self, x: Tensor, epsilon: float) -> Tensor:
        if self.norm == "linf":
            return x + epsilon * normalized(2 * torch.rand(x.shape) - 1, "linf")
        noise = torch.randn(x.shape)
        return x + epsilon * normalized(noise, "l2") if self.norm == "l2" else l1_start(x, noise, epsilon)

    def _step(self, x: Tensor, x_k: Tensor, gradient: Tensor, step: Tensor, difference: Tensor, a: float, epsilon: float) -> Tensor:
        if self.norm == "linf":

            def project(z: Tensor) -> Tensor:
                return torch.min(torch.max(z, x - epsilon), x + epsilon).clamp(0, 1)

            z = project(x_k + step * gradient.sign())
        else:

            def project(z: Tensor) -> Tensor:
                d = z - x
                return (x + normalized(d, "l2") * per_sample(size(d, "l2"), x).clamp(max=epsilon)).clamp(0, 1)

            z = project(x_k + step * normalized(gradient, "l2"))
        return project(x_k + (z - x_k) * a + difference * (1 - a))


def l0(x: Tensor) -> Tensor:
    return (x.reshape(len(x), -1) != 0).float().sum(1)


def l1_start(x: Tensor, noise: Tensor, epsilon: float) -> Tensor:
    return x + l1_ball(x, noise, epsilon)


def sparse_step(x: Tensor, x_k: Tensor, gradient: Tensor, step: Tensor, top: Tensor, epsilon: float) -> Tensor:
    """Takes a step of length `step` along the signs of the largest gradient entries. `top` is the fraction of these entries."""
    features = x[0].numel()
    ordered = gradient.abs().reshape(len(x), -1).sort(1)[0]
    index = ((1 - top) * features).clamp(0, features - 1).long()
    threshold = per_sample(ordered.gather(1, index[:, None])[:, 0], x)
    signs = (gradient * (gradient.abs() >= threshold).float()).sign()
    moved = x_k + step * signs / (per_sample(signs.abs().reshape(len(x), -1).sum(1), x) + 1e-10)
    return x + l1_ball(x, moved - x, epsilon)
