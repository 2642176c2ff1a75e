"""FAB (Croce and Hein, ICML 2020), untargeted or with target classes. A perturbation counts only if it is within epsilon."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .common import Counted, per_sample, size, target_of_rank
from .projections import PLANES

DUAL_NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "linf": lambda rows: rows.abs().sum(-1),
    "l2": lambda rows: (rows**2).sum(-1).sqrt(),
    "l1": lambda rows: rows.abs().max(-1)[0],
}
ALPHA, ETA, BETA = 0.1, 1.05, 0.9
NOT_FOUND = 1e10


@dataclass
class FAB:
    model: Counted
    norm: str
    epsilon: float
    seed: int
    restarts: int = 1
    iterations: int = 100
    targets: int = 0

    def perturb(self, x: Tensor, y: Tensor) -> Tensor:
        right, result = self.model.right(x, y), x.clone()
        torch.manual_seed(self.seed)
        for rank in range(2, self.targets + 2) if self.targets else [0]:
            for restart in range(self.restarts):
                remaining = right.nonzero()[:, 0]
                if not len(remaining):
                    continue
                images, labels = x[remaining].clone(), y[remaining].clone()
                adversarial, _ = self.run(images, labels, rank, random_start=restart > 0)
                # The comparison has no tolerance: a perturbation that is above epsilon only by rounding does not count.
                robust = self.model.right(adversarial, labels) | (size(images - adversarial, self.norm) > self.epsilon)
                broken = (~robust).nonzero()[:, 0]
                right[remaining[broken]] = False
                result[remaining[broken]] = adversarial[broken]
        return result

    def run(self, x: Tensor, y: Tensor, rank: int, random_start: bool = False) -> tuple[Tensor, Tensor]:
        """Returns the best adversarial images and their norms. A sample without one keeps its clean image and has NOT_FOUND."""
        target = target_of_rank(self.model, x, rank) if rank else None
        right = self.model.right(x, y)
        norms = torch.full((len(x),), NOT_FOUND)
        chosen = right.nonzero()[:, 0]
        if not len(chosen):
            return x, norms
        result = x.clone()
        planes = self._all_classes if target is None else self._targeted(target[chosen])
        x0, labels = x[chosen], y[chosen]
        n = len(x0)
        best, best_norm = x0.clone(), torch.full((n,), NOT_FOUND)
        x1 = self._random_start(x0, best_norm) if random_start else x0.clone()
        for _ in range(self.iterations):
            df, dg = planes(x1, labels)
            with torch.no_grad():
                flat = dg.flatten(2)
                nearest = (df.abs() / (1e-12 + DUAL_NORMS[self.norm](flat))).min(1)[1]
                rows = torch.arange(n)
                w = flat[rows, nearest]
                b = -df[rows, nearest] + (w * x1.flatten(1)).sum(1)
                d = PLANES[self.norm](torch.cat((x1.flatten(1), x0.flatten(1))), w.repeat(2, 1), b.repeat(2))
                length = size(d, self.norm).clamp(min=1e-8)
                alpha = per_sample((length[:n] / (length[:n] + length[n:])).clamp(0, ALPHA), x0)
                d1, d2 = d[:n].view(x0.shape), d[n:].view(x0.shape)
                x1 = ((x1 + ETA * d1) * (1 - alpha) + (x0 + ETA * d2) * alpha).clamp(0, 1)
                fooled = (self.model(x1).argmax(1) != labels).nonzero()[:, 0]
                if len(fooled):
                    t = size(x1[fooled] - x0[fooled], self.norm)
                    better = t < best_norm[fooled]
                    best[fooled[better]], best_norm[fooled[better]] = x1[fooled[better]], t[better]
                    x1[fooled] = x0[fooled] + (x1[fooled] - x0[fooled]) * BETA
        found = best_norm < NOT_FOUND
        result[chosen[found]] = best[found]
        norms[chosen] = best_norm
        return result, norms

    def _all_classes(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns every logit minus the right one (N, K), and the gradients (N, K, …), with one backward pass per class."""
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            logits = self.model(x)
        gradients = []
        for k in range(logits.shape[1]):
            x.grad = None
            logits[:, k].sum().backward(retain_graph=True)
            self.model.backwards += len(x)
            gradients.append(x.grad)
        g, z, rows = torch.stack(gradients, 1), logits.detach(), torch.arange(len(x))
        df, dg = z - z[rows, y][:, None], g - g[rows, y][:, None]
        df[rows, y] = NOT_FOUND
        return df, dg

    def _targeted(self, target: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        def planes(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            x = x.clone().requires_grad_()
            rows = torch.arange(len(x))
            with torch.enable_grad():
                logits = self.model(x)
                difference = -(logits[rows, y] - logits[rows, target])
                # Computes the gradients of the weights too, because the reference also pays for them.
                difference.sum().backward()
            self.model.backwards += len(x)
            return difference.detach()[:, None], x.grad[:, None]

        return planes

    def _random_start(self, x0: Tensor, best: Tensor) -> Tensor:
        t = 2 * torch.rand(x0.shape) - 1 if self.norm == "linf" else torch.randn(x0.shape)
        radius = per_sample(best.clamp(max=self.epsilon), x0)
        return (x0 + radius * t / per_sample(size(t, self.norm), x0) * 0.5).clamp(0, 1)
