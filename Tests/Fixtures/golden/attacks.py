"""attacks.{json,safetensors}: projected gradient ascent, P-SAT's stopping rule, and a training step of each.

PGD cases (LeNet5) store the last iterate, CASE/x, and CASE/active (steps, N), which is 1 if a step moved the sample. Training cases
(the paper's MNIST network) also store the subsets of the state after one SGD step: CASE/step1/KEY and CASE/step1/sums.

The ascent starts from clamp(images + noise, 0, 1). It moves in evaluation mode along the sign of the gradient of the summed
cross-entropy, and projects onto the ball around the images and onto [0, 1]. With `lambda`, a sample moves only while psi is at most
lambda. psi is the maximum of p_j over j != y, minus p_y, in the forward pass for the gradient.

`signMargin` is the smallest |gradient|, relative to the mean |gradient|. `psiMargin` is the smallest |psi - lambda|. Rounding
errors below these margins cannot change a sign or a decision.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import networks
from formula import NOISE, fill, images, save, subsets, values

EPSILON, STEPS, BATCH = 0.3, 10, 8
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
# With the small step, samples stop one after the other. With the large step, every pixel reaches the surface of the ball.
CASES: list[tuple[str, str, float, float | None]] = [
    ("pgd", "lenet5", 0.05, None),
    ("p-sat-1", "lenet5", 0.05, 1.0),
    ("p-sat-0", "lenet5", 0.01, 0.0),
    ("p-sat-third", "lenet5", 0.01, 1 / 3),
    ("train-at", "mnist-cnn", 0.05, None),
    ("train-p-sat-third", "mnist-cnn", 0.05, 1 / 3),
]


def make(folder: Path) -> None:
    x0 = images((BATCH, 1, 28, 28))
    noise = values(x0.shape, NOISE, EPSILON)
    cases, tensors = [], {}
    for name, model, step, difficulty in CASES:
        network = fill(networks.build(model))
        labels = _labels(network, x0)
        x, active, margins = maximise(network, x0, labels, noise, step, difficulty)
        case = {"name": name, "model": model, "stepSize": step, "lambda": difficulty, "labels": labels.tolist()}
        tensors |= {f"{name}/x": x, f"{name}/active": active}
        if name.startswith("train"):
            network.train()
            optimizer = torch.optim.SGD(network.parameters(), **SGD)
            loss = F.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            case["loss"] = loss.item()
            tensors |= subsets(network, f"{name}/step1")
        cases.append(case | margins)
    save(folder, "attacks", {"epsilon": EPSILON, "steps": STEPS, "shape": list(x0.shape), "sgd": SGD, "cases": cases}, tensors)


def _labels(network: nn.Module, x0: torch.Tensor) -> torch.Tensor:
    """Labels the images as the network does, except the last one, so that most samples start right and fall one by one."""
    labels = network.eval()(x0).argmax(1)
    labels[-1] = (labels[-1] + 1) % 10
    return labels


def maximise(
    network: nn.Module, x0: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor, step: float, difficulty: float | None
) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
    network.eval()
    x = (x0 + noise).clamp(0, 1)
    history, sign_margin, psi_margin = [], float("inf"), float("inf")
    for _ in range(STEPS):
        x.requires_grad_()
        logits = network(x)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
        x = x.detach()
        psi = _psi(logits.detach(), labels)
        mask = torch.ones_like(psi) if difficulty is None else (psi <= difficulty).float()
        history.append(mask.to(torch.uint8))
        if difficulty is not None:
            psi_margin = min(psi_margin, (psi - difficulty).abs().min().item())
        moving = gradient[mask.bool()].abs()
        if len(moving):
            sign_margin = min(sign_margin, (moving.min() / moving.mean()).item())
        x = x + step * mask.view(-1, 1, 1, 1) * gradient.sign()
        x = torch.minimum(torch.maximum(x, x0 - EPSILON), x0 + EPSILON).clamp(0, 1)
    margins = {"signMargin": sign_margin}
    return x, torch.stack(history), margins | ({} if difficulty is None else {"psiMargin": psi_margin})


def _psi(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    probabilities = logits.softmax(1)
    right = probabilities.gather(1, labels[:, None]).squeeze(1)
    others = probabilities.scatter(1, labels[:, None], -1.0).amax(1)
    return others - right
