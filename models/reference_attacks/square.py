"""Square (Andriushchenko et al., ECCV 2020) as AutoAttack runs it. All samples of a batch have the same window."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .common import Counted, normalized, per_sample, size
from .projections import l1_ball

# Pairs of the last query and a divisor: up to that query, p is p_init / divisor.
SCHEDULE = [(10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (2000, 32), (4000, 64), (6000, 128), (8000, 256)]


@dataclass
class Square:
    model: Counted
    norm: str
    epsilon: float
    seed: int
    queries: int = 5000
    p_init: float = 0.8
    restarts: int = 1

    def perturb(self, x: Tensor, y: Tensor) -> Tensor:
        right, result = self.model.right(x, y), x.clone()
        torch.manual_seed(self.seed)
        for _ in range(self.restarts):
            remaining = right.nonzero()[:, 0]
            if not len(remaining):
                continue
            images, labels = x[remaining].clone(), y[remaining].clone()
            adversarial = self.run(images, labels)
            broken = (~self.model.right(adversarial, labels)).nonzero()[:, 0]
            right[remaining[broken]] = False
            result[remaining[broken]] = adversarial[broken]
        return result

    def run(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            for best, _ in self.iterates(x, y):
                pass
        return best

    def iterates(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the best images so far and their margins, at the start and after every query."""
        start = {"linf": self._start_linf, "l2": self._start_tiles, "l1": self._start_tiles}[self.norm]
        propose = {"linf": self._propose_linf, "l2": self._propose_tiles, "l1": self._propose_tiles}[self.norm]
        best = start(x)
        margin = self._margin(best, y)
        yield best, margin
        if (margin < 0).all():
            return
        for i in range(self.queries):
            remaining = (margin > 0).nonzero()[:, 0]
            if not len(remaining):
                return
            images, current, labels = x[remaining], best[remaining], y[remaining]
            proposal = propose(images, current, self.p(i))
            new = self._margin(proposal, labels)
            better = (new < margin[remaining]) | (new <= 0)
            margin[remaining] = torch.where(better, new, margin[remaining])
            best[remaining] = torch.where(per_sample(better, x), proposal, current)
            yield best, margin

    def p(self, i: int) -> float:
        return self.p_init / next((divisor for last, divisor in SCHEDULE if i <= last), 512)

    def _margin(self, x: Tensor, y: Tensor) -> Tensor:
        logits = self.model(x)
        right = logits.gather(1, y[:, None])[:, 0]
        return right - logits.scatter(1, y[:, None], -math.inf).max(1)[0]

    # L-inf: the attack starts from vertical stripes and proposes squares of one colour.

    def _start_linf(self, x: Tensor) -> Tensor:
        n, c, _, w = x.shape
        return (x + self.epsilon * random_signs(n, c, 1, w)).clamp(0, 1)

    def _propose_linf(self, x: Tensor, best: Tensor, p: float) -> Tensor:
        _, c, h, w = x.shape
        s = min(max(round(math.sqrt(p * h * w)), 1), h, w)
        row, column = random_integer(h - s), random_integer(w - s)
        delta = torch.zeros(c, h, w)
        delta[:, row : row + s, column : column + s] = 2 * self.epsilon * random_signs(c, 1, 1)
        return torch.min(torch.max(best + delta, x - self.epsilon), x + self.epsilon).clamp(0, 1)

    # L2 and L1: the attack starts from a grid of bumps, and the queries move their mass from window to window.

    def _start_tiles(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        delta = torch.zeros_like(x)
        s = h // 5
        first = (h - 5 * s) // 2
        for i in range(h // s):
            for j in range(w // s):
                window = delta[:, :, first + i * s : first + (i + 1) * s, first + j * s : first + (j + 1) * s]
                window += self.bump(s) * random_signs(n, c, 1, 1)
        return self._within(x, delta)

    def _within(self, x: Tensor, delta: Tensor) -> Tensor:
        if self.norm == "l1":
            return x + l1_ball(x, delta, self.epsilon * (1 - 1e-6))
        return (x + normalized(delta, "l2") * self.epsilon).clamp(0, 1)

    def _propose_tiles(self, x: Tensor, best: Tensor, p: float) -> Tensor:
        n, c, h, w = x.shape
        s = max(round(math.sqrt(p * h * w)), 3)
        s = min(s + 1 - s % 2, h, w)
        delta = best - x
        row, column = random_integer(h - s), random_integer(w - s)
        other_row, other_column = random_integer(h - s), random_integer(w - s)
        here = (..., slice(row, row + s), slice(column, column + s))
        there = (..., slice(other_row, other_row + s), slice(other_column, other_column + s))
        mask = torch.zeros_like(delta)
        mask[here] = mask[there] = 1
        # `mass` has one number per image. `both`, the mass of the two windows, has one number per channel.
        mass, both = per_sample(size(delta, self.norm), x), self._mass(delta * mask)
        new = self.bump(s) * random_signs(n, c, 1, 1) + delta[here] / (1e-12 + self._mass(delta[here]))
        if self.norm == "l2":
            available = ((self.epsilon**2 - mass**2).clamp(min=0) / c + both**2).sqrt()
        else:
            available = ((self.epsilon - mass).clamp(min=0) / c + both) * c
        new = new / (1e-12 + self._mass(new)) * available
        delta[there] = 0
        delta[here] = new
        return self._within(x, delta)

    def _mass(self, window: Tensor) -> Tensor:
        """Returns the mass of every channel of a window."""
        if self.norm == "l1":
            return window.abs().sum((-2, -1), keepdim=True)
        return (window**2).sum((-2, -1), keepdim=True).sqrt()

    def bump(self, s: int) -> Tensor:
        """Makes two halves of opposite sign, each a pile of growing rectangles. A random draw may transpose them."""
        power = 4 if self.norm == "l1" else 2

        def half(rows: int) -> Tensor:
            pile = torch.zeros(rows, s)
            top, left = rows // 2, s // 2
            for k in range(max(rows // 2 + 1, s // 2 + 1)):
                pile[max(top - k, 0) : min(top + k + 1, rows), max(left - k, 0) : min(left + k + 1, s)] += 1 / (k + 1) ** power
            return pile / self._mass(pile)

        both = torch.cat((half(s // 2), -half(s - s // 2)))
        both = both / self._mass(both)
        return both.T if torch.rand(1) > 0.5 else both


def random_signs(*shape: int) -> Tensor:
    return torch.sign(2 * torch.rand(shape) - 1)


def random_integer(limit: int) -> int:
    """Draws a whole number from 0 to limit - 1, or returns 0 if the limit is 0."""
    return int(torch.rand(1) * limit)
