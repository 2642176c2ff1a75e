"""The defenses that remember samples or perturbations, those with other losses, and the table of all defenses."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

import run_config
from defenses import AT, DAT, FAT, HSAT, PSAT, TRADES, EpsilonSchedule, Settings, ascend, shrink


def runner_up(logits: Tensor, y: Tensor) -> Tensor:
    """Returns the largest logit of the classes other than y."""
    return logits.scatter(1, y[:, None], float("-inf")).amax(1)


class MART(AT):
    """MART of Wang et al. 2020."""

    defaults = {"beta": 5.0, "start": "gaussian"}
    choices = {"start": ("gaussian", "uniform", "none")}

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
    """CAT of Cheng et al. 2020. `radii` holds the radius of every training sample."""

    defaults = {"eta": 0.0796875, "cap": 1.115625, "smoothing": 0.3137, "kappa": 10.0, "update": "paper", "hinge": "mean"}
    choices = {"update": ("paper", "code"), "hinge": ("mean", "sum")}

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

        return self.update(network, optimizer, objective, epoch)


class CAT18(AT):
    """CAT of Cai et al. 2018. `k` is the current number of steps. `finish_epoch` may increase it."""

    defaults = {"accuracy": 0.95, "patience": 10, "mixing": True}

    def prepare(self):
        self.k = self.epochs_since = self.seen = self.right = 0

    def step(self, network, optimizer, x0, y, indices, epoch, generator):
        x = self.examples(network, x0, y, indices, epoch, generator)

        def objective(net):
            self.logits = net(x)
            return F.cross_entropy(self.logits, y)

        loss = self.update(network, optimizer, objective, epoch)
        self.seen += len(y)
        self.right += (self.logits.argmax(1) == y).sum().item()
        return loss

    def finish_epoch(self, epoch, network):
        reached = self.right / self.seen if self.seen else 0.0
        self.seen = self.right = 0
        self.epochs_since += 1
        if self.k < self.s.steps and (reached > self.o["accuracy"] or self.epochs_since >= self.o["patience"]):
            self.k, self.epochs_since = self.k + 1, 0

    def examples(self, network, x0, y, indices, epoch, generator):
        k, n = self.k, len(y)
        draws = torch.rand(k + 1, generator=generator, dtype=torch.float64)
        parts = [min(i // max(n // (k + 1), 1), k) if self.o["mixing"] else k for i in range(n)]
        sizes = [0.0] + [2 * self.s.epsilon / j * (1 + (10 / j - 1) * draws[j].item()) for j in range(1, k + 1)]
        part = torch.tensor(parts)
        return ascend(
            network,
            x0,
            y,
            self.s,
            generator,
            steps=k,
            moves=lambda step, x, logits, gradient: part > step,
            radius=(part > 0).to(x0.dtype) * self.s.epsilon,
            sizes=torch.tensor([sizes[j] for j in parts], dtype=x0.dtype),
        )


class IAAT(AT):
    """IAAT of Balaji et al. 2019. `radii` holds the radius of every training sample."""

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
    """Fast AT of Wong et al. 2020. After every epoch, the guard measures the accuracy under PGD on that epoch's first batch."""

    defaults = {"step": 1.25, "guard": True, "fall": 0.2, "guardSteps": 5}

    def prepare(self):
        self.first = self.before = None

    def examples(self, network, x0, y, indices, epoch, generator):
        if self.first is None or self.first[0] != epoch:
            self.first = (epoch, x0, y)
        return ascend(network, x0, y, self.s, generator, start="uniform", steps=1, sizes=self.o["step"] * self.s.epsilon)

    def finish_epoch(self, epoch, network):
        if not self.o["guard"] or self.first is None:
            return None
        first_epoch, x0, y = self.first
        network.eval()
        # Uses its own generator, so that the guard does not change the training. Misclassified samples do not move any further.
        x = ascend(
            network,
            x0,
            y,
            self.s,
            torch.Generator().manual_seed(first_epoch),
            start="uniform",
            steps=self.o["guardSteps"],
            sizes=self.s.epsilon / 4,
            moves=lambda step, x, logits, gradient: logits.argmax(1) == y,
        )
        with torch.no_grad():
            accuracy = (network(x).argmax(1) == y).double().mean().item()
        network.train()
        if self.before is not None and accuracy < self.before[0] - self.o["fall"]:
            network.load_state_dict(self.before[1])
            return (
                f"the accuracy under PGD fell from {100 * self.before[0]:.1f} % to {100 * accuracy:.1f} % in epoch {epoch}, which "
                "is catastrophic overfitting; the guard restored the weights of the epoch before"
            )
        self.before = (accuracy, {name: value.clone() for name, value in network.state_dict().items()})
        return None


class FreeAT(AT):
    """Free AT of Shafahi et al. 2019. Every batch starts from the perturbation of the batch before."""

    defaults = {"replays": 8}

    def prepare(self):
        self.delta = None

    def step(self, network, optimizer, x0, y, indices, epoch, generator):
        if self.delta is None:
            self.delta = torch.zeros_like(x0)
        losses = []
        for _ in range(self.o["replays"]):
            delta = self.delta[: len(y)].clone().requires_grad_()

            def objective(net, delta=delta):
                return F.cross_entropy(net((x0 + delta).clamp(0, 1)), y)

            losses.append(self.update(network, optimizer, objective, epoch))
            if self.s.norm == "linf":
                moved = (delta + self.s.epsilon * delta.grad.sign()).clamp(-self.s.epsilon, self.s.epsilon)
            else:
                length = delta.grad.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
                moved = shrink(delta + self.s.epsilon * delta.grad / length, self.s.epsilon)
            self.delta[: len(y)] = moved.detach()
        return sum(losses) / len(losses)


METHODS: dict[str, type[AT]] = {
    "at": AT,
    "p-sat": PSAT,
    "h-sat": HSAT,
    "trades": TRADES,
    "dat": DAT,
    "cat20": CAT20,
    "cat18": CAT18,
    "iaat": IAAT,
    "epsilon-schedule": EpsilonSchedule,
    "fat": FAT,
    "mart": MART,
    "fast-at": FastAT,
    "free-at": FreeAT,
}


def make(method: str, settings: Settings) -> AT:
    """Makes a defense and checks its options. Raises ValueError with one sentence for an option that is unknown or wrong."""
    kind = METHODS[method]
    unknown = set(settings.options) - set(kind.defaults)
    if unknown:
        raise ValueError(f"{method} has no option {sorted(unknown)[0]}; it has {', '.join(kind.defaults) or 'none'}")
    options = {
        name: checked(f"methodOptions.{name}", value, kind.defaults[name], kind.choices.get(name))
        for name, value in settings.options.items()
    }
    return kind(dataclasses.replace(settings, options=options))


def checked(name: str, value: object, default: object, choices: tuple[str, ...] | None) -> object:
    """Returns an option's value in the type of its default. A number may be a fraction, such as 2/255."""
    if choices:
        if value not in choices:
            raise ValueError(f"{name} is {value}; expected {' or '.join(choices)}")
        return value
    if isinstance(value, bool) != isinstance(default, bool):
        raise ValueError(f"{name} is {value}; expected {'true or false' if isinstance(default, bool) else 'a number'}")
    if isinstance(default, bool):
        return value
    try:
        number = run_config.number(value)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{name} is {value}; expected a number") from error
    return int(number) if isinstance(default, int) else number
