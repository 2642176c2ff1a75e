"""The rest of `defenses.py`: methods that remember their samples or perturbations, and those with other losses."""

import torch
from torch import Tensor
from torch.nn import functional as F

from defenses import AT, DAT, FAT, HSAT, PSAT, TRADES, EpsilonSchedule, Settings, ascend, shrink, update


def runner_up(logits: Tensor, y: Tensor) -> Tensor:
    """The largest logit of another class than y."""
    return logits.scatter(1, y[:, None], float("-inf")).amax(1)


class MART(AT):
    """Wang et al. 2020."""

    defaults = {"beta": 5.0, "start": "gaussian"}

    def examples(self, network, x0, y, indices, epoch, generator):
        return ascend(network, x0, y, self.s, generator, start=self.o["start"])

    def objective(self, network, x0, x, y, epoch):
        clean, adversarial = network(x0), network(x)
        p, q = clean.softmax(1), adversarial.softmax(1)
        wrong = q.scatter(1, y[:, None], -1.0).argmax(1)
        boosted = F.cross_entropy(adversarial, y) + F.nll_loss(torch.log(1.0001 - q + 1e-12), wrong)
        divergence = F.kl_div(torch.log(q + 1e-12), p, reduction="none").sum(1)
        return boosted + self.o["beta"] * (divergence * (1.0000001 - p.gather(1, y[:, None])[:, 0])).mean()


class CAT20(AT):
    """Cheng et al. 2020. `radii` remembers every training sample."""

    defaults = {"eta": 0.0796875, "cap": 1.115625, "smoothing": 0.3137, "kappa": 10.0, "update": "paper",
                "hinge": "mean"}

    def prepare(self):
        self.radii = torch.zeros(self.s.training_size, dtype=torch.float64)

    def step(self, network, optimizer, x0, y, indices, epoch, generator):
        o, n = self.o, len(y)
        old = self.radii[indices].to(x0.dtype)
        tried = (old + o["eta"] * self.s.epsilon).clamp(max=o["cap"] * self.s.epsilon)
        network.eval()
        classes = network(x0[:1]).size(1)
        draws = -torch.log(1 - torch.rand(n, classes, generator=generator, dtype=x0.dtype))
        weight = (tried / self.s.epsilon * o["smoothing"]).clamp(max=1)[:, None]
        soft = (1 - weight) * F.one_hot(y, classes) + weight * draws / draws.sum(1, keepdim=True)
        share = 1 / n if o["hinge"] == "sum" else 1.0

        def inner(logits, _):
            lead = logits.gather(1, y[:, None])[:, 0] - runner_up(logits, y)
            return -(tried * F.relu(lead + o["kappa"])).sum() - share * (soft * logits.log_softmax(1)).sum()

        x = ascend(network, x0, y, self.s, generator, start="none", loss=inner, radius=tried)
        right = network(x).argmax(1) == y
        self.radii[indices] = torch.where(right == (o["update"] == "paper"), tried, old).double()
        network.train()

        def objective(net):
            logits = net(x)
            hinge = tried * F.relu(runner_up(logits, y) - logits.gather(1, y[:, None])[:, 0] + o["kappa"])
            smoothed = -(soft * logits.log_softmax(1)).sum(1).mean()
            return (hinge.sum() if o["hinge"] == "sum" else hinge.mean()) + smoothed

        return update(network, optimizer, objective, self.s.awp)


class CAT18(AT):
    """Cai et al. 2018. `k` is the present number of steps; `finish_epoch` may raise it."""

    defaults = {"accuracy": 0.95, "patience": 10, "mixing": True}

    def prepare(self):
        self.k = 0

    def examples(self, network, x0, y, indices, epoch, generator):
        k, n = self.k, len(y)
        draws = torch.rand(k + 1, generator=generator, dtype=torch.float64)
        parts = [min(i // max(n // (k + 1), 1), k) if self.o["mixing"] else k for i in range(n)]
        sizes = [0.0] + [2 * self.s.epsilon / j * (1 + (10 / j - 1) * draws[j].item()) for j in range(1, k + 1)]
        part = torch.tensor(parts)
        return ascend(network, x0, y, self.s, generator, steps=k, moves=lambda step, x, logits, gradient: part > step,
                      radius=(part > 0).to(x0.dtype) * self.s.epsilon,
                      sizes=torch.tensor([sizes[j] for j in parts], dtype=x0.dtype))


class IAAT(AT):
    """Balaji et al. 2019. `radii` remembers every training sample."""

    defaults = {"warmup": 10, "gamma": 0.2375, "rate": 0.1}

    def prepare(self):
        self.radii = torch.zeros(self.s.training_size, dtype=torch.float64)

    def examples(self, network, x0, y, indices, epoch, generator):
        network.eval()

        def attack(radius):
            sizes = (2 * radius / self.s.steps).clamp(min=self.s.step_size)
            return ascend(network, x0, y, self.s, generator, radius=radius, sizes=sizes)

        def right(x):
            return network(x).argmax(1) == y

        clean = right(x0)
        if epoch < self.o["warmup"]:
            radius = clean.to(x0.dtype) * self.s.epsilon
        else:
            old, gamma = self.radii[indices].to(x0.dtype), self.o["gamma"] * self.s.epsilon
            at, beyond = right(attack(old)), right(attack(old + gamma))
            candidate = torch.where(beyond, old + gamma, torch.where(at, old, old - gamma))
            candidate = torch.where(clean, candidate, torch.zeros_like(old)).clamp(min=0)
            radius = (1 - self.o["rate"]) * old + self.o["rate"] * candidate
        self.radii[indices] = radius.double()
        x = attack(radius)
        network.train()
        return x


class FastAT(AT):
    """Wong et al. 2020, without its guard."""

    defaults = {"step": 1.25}

    def examples(self, network, x0, y, indices, epoch, generator):
        return ascend(network, x0, y, self.s, generator, steps=1, sizes=self.o["step"] * self.s.epsilon)


class FreeAT(AT):
    """Shafahi et al. 2019. The perturbation goes on from batch to batch."""

    defaults = {"replays": 8}

    def prepare(self):
        self.delta = None

    def step(self, network, optimizer, x0, y, indices, epoch, generator):
        if self.delta is None:
            self.delta = torch.zeros_like(x0)
        losses = []
        for _ in range(self.o["replays"]):
            delta = self.delta[:len(y)].clone().requires_grad_()

            def objective(net, delta=delta):
                return F.cross_entropy(net((x0 + delta).clamp(0, 1)), y)

            losses.append(update(network, optimizer, objective, self.s.awp))
            if self.s.norm == "linf":
                moved = (delta + self.s.epsilon * delta.grad.sign()).clamp(-self.s.epsilon, self.s.epsilon)
            else:
                length = delta.grad.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
                moved = shrink(delta + self.s.epsilon * delta.grad / length, self.s.epsilon)
            self.delta[:len(y)] = moved.detach()
        return sum(losses) / len(losses)


METHODS: dict[str, type[AT]] = {
    "at": AT, "p-sat": PSAT, "h-sat": HSAT, "trades": TRADES, "dat": DAT, "cat20": CAT20, "cat18": CAT18, "iaat": IAAT,
    "epsilon-schedule": EpsilonSchedule, "fat": FAT, "mart": MART, "fast-at": FastAT, "free-at": FreeAT,
}


def make(method: str, settings: Settings) -> AT:
    """The defense of a name, with its options checked."""
    kind = METHODS[method]
    unknown = set(settings.options) - set(kind.defaults)
    if unknown:
        raise ValueError(f"{method} has no option {sorted(unknown)[0]}; it has {', '.join(kind.defaults) or 'none'}")
    return kind(settings)
