"""The defenses of `sat train` in plain PyTorch. Each updates a network with one batch, as its paper describes.

This reference is written for reading, not for speed. For example, it masks finished samples instead of dropping them. It makes its
random draws in the same order as `sat` and from the same kind of generator, so both follow the same path.

    defense = PSAT(Settings(epsilon=0.3, steps=40, step_size=0.02, schedule=lambda epoch: 0.5))
    loss = defense.step(network, optimizer, images, labels, indices, epoch, generator)

Options have the names and the defaults of `methodOptions`. `adaptive_defenses.py` has the defenses that keep state, and the table
of all defenses.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from curvature import SCORES, curvature


@dataclass
class Settings:
    """The settings of a defense."""

    epsilon: float
    steps: int
    step_size: float
    norm: str = "linf"
    schedule: Callable[[int], float] = lambda epoch: 1.0
    options: dict = field(default_factory=dict)
    training_size: int = 0
    # Gamma of adversarial weight perturbation, and the number of first epochs without it.
    awp: float = 0.0
    awp_warmup: int = 0
    # "uniform", or "none" to start from the clean images. Some methods have their own start instead.
    start: str = "uniform"


# The inner maximisation


def per_sample(values: Tensor | float, like: Tensor) -> Tensor | float:
    return values.view(-1, *[1] * (like.dim() - 1)) if isinstance(values, Tensor) else values


def shrink(delta: Tensor, radius: Tensor | float) -> Tensor:
    length = delta.flatten(1).norm(dim=1).clamp(min=1e-12)
    return delta * per_sample((radius / length).clamp(max=1), delta)


def project(x: Tensor, x0: Tensor, radius: Tensor | float, norm: str) -> Tensor:
    if norm == "linf":
        radius = per_sample(radius, x0)
        return torch.minimum(torch.maximum(x, x0 - radius), x0 + radius).clamp(0, 1)
    return (x0 + shrink(x - x0, radius)).clamp(0, 1)


def starting_point(x0: Tensor, radius: Tensor | float, norm: str, start: str, generator: torch.Generator) -> Tensor:
    if start in ("none", "clean"):
        return x0
    if start == "gaussian":
        return project(x0 + 0.001 * torch.randn(x0.shape, generator=generator, dtype=x0.dtype), x0, radius, norm)
    if norm == "l2":
        return (x0 + shrink(torch.randn(x0.shape, generator=generator, dtype=x0.dtype), radius)).clamp(0, 1)
    scale, bound = (per_sample(radius, x0), 1.0) if isinstance(radius, Tensor) else (1.0, radius)
    return (x0 + scale * torch.empty_like(x0).uniform_(-bound, bound, generator=generator)).clamp(0, 1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="sum")


def ascend(
    network: nn.Module,
    x0: Tensor,
    labels: Tensor,
    s: Settings,
    generator: torch.Generator,
    *,
    start: str | None = None,
    loss=cross_entropy,
    moves=None,
    radius=None,
    sizes=None,
    steps=None,
    noise: float = 0.0,
) -> Tensor:
    """Returns the images after projected gradient ascent. `moves(k, x, logits, gradient)` marks the samples that step k moves.

    By default every step moves all samples. `radius` and `sizes` may differ by sample. `start`, `radius`, `sizes` and `steps`
    default to the settings.
    """
    training = network.training
    network.eval()
    radius = s.epsilon if radius is None else radius
    sizes = s.step_size if sizes is None else sizes
    x = starting_point(x0, radius, s.norm, start or s.start, generator)
    for k in range(s.steps if steps is None else steps):
        x = x.detach().requires_grad_()
        logits = network(x)
        (gradient,) = torch.autograd.grad(loss(logits, labels), x)
        x, logits = x.detach(), logits.detach()
        moving = torch.ones_like(labels, dtype=torch.bool) if moves is None else moves(k, x, logits, gradient)
        if not moving.any():
            break
        if s.norm == "linf":
            direction = gradient.sign()
        else:
            direction = gradient / per_sample(gradient.flatten(1).norm(dim=1).clamp(min=1e-12), x)
        moved = x + per_sample(sizes, x) * direction
        if noise:
            moved = moved + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = torch.where(per_sample(moving, x), project(moved, x0, radius, s.norm), x)
    network.train(training)
    return x.detach()


# The update of the weights


def update(network: nn.Module, optimizer: torch.optim.Optimizer, objective, awp: float = 0.0) -> float:
    """Takes one optimizer step on `objective(network)` and returns the loss.

    `awp` is the gamma of adversarial weight perturbation, as published. A copy of the network takes one step up the loss. The
    network takes its step with the difference added to its weights, rescaled for each weight tensor.
    """
    moves = {}
    if awp:
        proxy = copy.deepcopy(network)
        ascent = torch.optim.SGD(proxy.parameters(), lr=0.01)
        weights = list(proxy.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(-objective(proxy), weights), strict=True):
            weight.grad = gradient
        ascent.step()
        raised = dict(proxy.named_parameters())
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                difference = (raised[name] - weight).detach()
                moves[name] = awp * weight.detach().norm() / (difference.norm() + 1e-20) * difference
    with torch.no_grad():
        for name, move in moves.items():
            network.get_parameter(name).add_(move)
    loss = objective(network)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, move in moves.items():
            network.get_parameter(name).sub_(move)
    return loss.item()


# The methods


class AT:
    """AT of Madry et al. 2018, and the base of all defenses."""

    # The options with their defaults, and the allowed words of the options that are words.
    defaults: dict = {}
    choices: dict[str, tuple[str, ...]] = {}

    def __init__(self, settings: Settings):
        self.s = settings
        self.o = self.defaults | settings.options
        self.prepare()

    def prepare(self) -> None:
        pass

    def step(self, network, optimizer, x0, y, indices, epoch, generator) -> float:
        x = self.examples(network, x0, y, indices, epoch, generator)
        return self.update(network, optimizer, lambda net: self.objective(net, x0, x, y, epoch), epoch)

    def update(self, network, optimizer, objective, epoch) -> float:
        return update(network, optimizer, objective, self.s.awp if epoch >= self.s.awp_warmup else 0.0)

    def examples(self, network, x0, y, indices, epoch, generator) -> Tensor:
        return ascend(network, x0, y, self.s, generator)

    def objective(self, network, x0, x, y, epoch) -> Tensor:
        return F.cross_entropy(network(x), y)

    def finish_epoch(self, epoch: int, network: nn.Module) -> str | None:
        """Ends an epoch. Returns the reason if training must stop now, else None."""


class PSAT(AT):
    """P-SAT, Algorithm 1 of the SAT paper."""

    def examples(self, network, x0, y, indices, epoch, generator):
        limit = self.s.schedule(epoch)

        def moves(k, x, logits, gradient):
            p = logits.softmax(1)
            own = p.gather(1, y[:, None])[:, 0]
            return p.scatter(1, y[:, None], -1.0).amax(1) - own <= limit

        return ascend(network, x0, y, self.s, generator, moves=moves)


class HSAT(AT):
    """H-SAT, Appendix B.3 of the SAT paper."""

    defaults = {"score": "paper-upper", "chunk": 32, "every": 1, "startAtZero": False}
    choices = {"score": SCORES}

    def examples(self, network, x0, y, indices, epoch, generator):
        fraction = self.s.schedule(epoch)
        if fraction >= 1:
            return ascend(network, x0, y, self.s, generator)
        if fraction <= 0:
            start = self.s.start if self.o["startAtZero"] else "none"
            return starting_point(x0, self.s.epsilon, self.s.norm, start, generator)
        chosen = torch.zeros(len(y), dtype=torch.bool)

        def moves(k, x, logits, gradient):
            if k % self.o["every"] == 0:
                order = curvature(network, x, y, self.o["score"], self.o["chunk"]).argsort(stable=True)
                chosen[:] = False
                chosen[order[: int(fraction * len(y) + 0.5)]] = True
            return chosen

        return ascend(network, x0, y, self.s, generator, moves=moves)


class TRADES(AT):
    """TRADES of Zhang et al. 2019."""

    defaults = {"beta": 6.0, "kl": "batchmean", "start": "gaussian"}
    choices = {"kl": ("batchmean", "element-mean"), "start": ("gaussian", "uniform")}

    @staticmethod
    def divergence(clean: Tensor, adversarial: Tensor) -> Tensor:
        p, log_p = clean.softmax(1), clean.log_softmax(1)
        return (p * (log_p - adversarial.log_softmax(1))).sum()

    def examples(self, network, x0, y, indices, epoch, generator):
        network.eval()
        clean = network(x0).detach()
        network.train()
        return ascend(
            network, x0, y, self.s, generator, start=self.o["start"], loss=lambda logits, _: self.divergence(clean, logits)
        )

    def objective(self, network, x0, x, y, epoch):
        clean, adversarial = network(x0), network(x)
        count = clean.numel() if self.o["kl"] == "element-mean" else len(clean)
        return F.cross_entropy(clean, y) + self.o["beta"] * self.divergence(clean, adversarial) / count


class DAT(AT):
    """DAT of Wang et al. 2019. The schedule is the negative of the threshold on the first-order stationary condition."""

    defaults = {"displacement": "clean", "firstStep": False, "weighting": False}
    choices = {"displacement": ("clean", "start")}

    def examples(self, network, x0, y, indices, epoch, generator):
        threshold = -self.s.schedule(epoch)
        origin, ended = [], torch.zeros(len(y), dtype=torch.bool)

        def moves(k, x, logits, gradient):
            origin.append(x)
            if k == 0 and self.o["firstStep"]:
                return ~ended
            flat = gradient.flatten(1)
            from_here = (x - (x0 if self.o["displacement"] == "clean" else origin[0])).flatten(1)
            dual = flat.abs().sum(1) if self.s.norm == "linf" else flat.norm(dim=1)
            ended.logical_or_(self.s.epsilon * dual - (from_here * flat).sum(1) < threshold)
            return ~ended

        return ascend(network, x0, y, self.s, generator, moves=moves)

    def objective(self, network, x0, x, y, epoch):
        losses = F.cross_entropy(network(x), y, reduction="none")
        return (losses * losses.detach()).mean() if self.o["weighting"] and epoch >= 1 else losses.mean()


class FAT(AT):
    """FAT of Zhang et al. 2020. The schedule is tau."""

    defaults = {"omega": 0.0}

    def examples(self, network, x0, y, indices, epoch, generator):
        left = torch.full((len(y),), int(self.s.schedule(epoch)))
        ended = torch.zeros(len(y), dtype=torch.bool)

        def moves(k, x, logits, gradient):
            wrong = logits.argmax(1) != y
            for i in range(len(y)):
                if wrong[i] and not ended[i]:
                    if left[i] == 0:
                        ended[i] = True
                    else:
                        left[i] -= 1
            return ~ended

        return ascend(network, x0, y, self.s, generator, moves=moves, noise=self.o["omega"])


class EpsilonSchedule(AT):
    """AT with a schedule of the perturbation norm, the first row of Table 4."""

    def examples(self, network, x0, y, indices, epoch, generator):
        fraction = self.s.schedule(epoch)
        return ascend(network, x0, y, self.s, generator, radius=fraction * self.s.epsilon) if fraction > 0 else x0
