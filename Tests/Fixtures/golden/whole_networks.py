"""networks.{json,safetensors}: logits, input gradient and two SGD steps of every network from formula weights.

In evaluation mode, a case stores CASE/logits and CASE/gradient (of the summed cross-entropy with respect to the images), and in the
.json the mean cross-entropy. Cases with `stepMode` also store the subsets of the state after each of two SGD steps on the mean
cross-entropy of the same batch: CASE/step1/KEY and CASE/step2/KEY. CASE/step1/sums and CASE/step2/sums are the float64 sums of the
entries in the order of the state_dict.

Between one thread and two, and between AVX-512 and SSE4.1, these numbers differ by at most 2.4e-6.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import networks
from formula import IMAGES, fill, images, save, subsets

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}


@dataclass(frozen=True)
class Case:
    """A network with its weights, its images and its steps.

    `mode` is the mode of the two steps. A network with dropout stays in evaluation mode, because dropout makes steps random. `gain`
    below 1 keeps the logits of residual networks near 1 with unit running statistics. `k` selects images with ReLU inputs far from
    0, the best of 40 tries, so that rounding does not switch a ReLU. `side` makes images smaller than usual, which makes the files
    small and gives rounding fewer ReLU inputs to switch.
    """

    name: str
    model: str
    options: dict[str, int] = field(default_factory=dict)
    normalization: str | None = None
    mode: str | None = None
    batch: int = 4
    gain: float = 1.0
    k: int = IMAGES
    side: int | None = None


CASES = [
    Case("mnist-cnn", "mnist-cnn", mode="train"),
    Case("lenet5", "lenet5", mode="train"),
    Case("cnn-a", "cnn-a", mode="train"),
    Case("cnn-a-mnist", "cnn-a", {"channels": 1}),
    Case("small-cnn", "small-cnn", mode="eval"),
    Case("resnet20", "resnet20", mode="train", batch=2, gain=0.75, k=1027),
    Case("resnet20-normalized", "resnet20", {"classes": 100}, "cifar10", batch=2, gain=0.75, k=1012),
    Case("resnet18", "resnet18", mode="train", batch=2, gain=0.8, k=1024),
    Case("prn20", "prn20", mode="train", batch=2, gain=0.8, k=1009),
    Case("prn20-bn", "prn20", {"finalBN": 1, "classes": 100}, batch=2, gain=0.8, k=1009),
    Case("prn20-raw", "prn20", {"rawShortcut": 1}, batch=2, gain=0.8, k=1023),
    Case("wrn16-2", "wrn34-10", {"depth": 16, "width": 2}, "cifar10", mode="train", batch=2, gain=0.8, k=1024),
    Case("wrn10-1", "wrn34-10", {"depth": 10, "width": 1}, batch=2, gain=0.8, k=1025),
    Case("resnet34", "resnet34", batch=1, gain=0.6, side=40, k=1015),
]


def make(folder: Path) -> None:
    cases, tensors = [], {}
    for case in CASES:
        description, stored = _run(case)
        cases.append(description)
        tensors |= {f"{case.name}/{key}": value for key, value in stored.items()}
    save(folder, "networks", {"sgd": SGD, "cases": cases}, tensors)


def _run(case: Case) -> tuple[dict, dict[str, torch.Tensor]]:
    pair = networks.NORMALIZATIONS[case.normalization] if case.normalization else None
    network = networks.build(case.model, case.options, pair).eval()
    fill(network.network if pair else network, case.gain)
    channels, height, width = networks.architecture(case.model).input_shape(case.options)
    x = images((case.batch, channels, case.side or height, case.side or width), case.k).requires_grad_()
    labels = torch.tensor([(3 * i + 1) % case.options.get("classes", 10) for i in range(case.batch)])
    logits = network(x)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
    description = {
        "name": case.name,
        "model": case.model,
        "options": case.options,
        "shape": list(x.shape),
        "k": case.k,
        "gain": case.gain,
        "labels": labels.tolist(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "keys": len(network.state_dict()),
        "loss": F.cross_entropy(logits, labels).item(),
    }
    if pair:
        description |= {"mean": pair[0], "std": pair[1]}
    stored = {"logits": logits.detach(), "gradient": gradient}
    if case.mode:
        losses, states = _step(network.train(case.mode == "train"), x.detach(), labels)
        description |= {"stepMode": case.mode, "stepLosses": losses}
        stored |= states
    return description, stored


def _step(network: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], dict[str, torch.Tensor]]:
    optimizer = torch.optim.SGD(network.parameters(), **SGD)
    losses, states = [], {}
    for step in (1, 2):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        states |= subsets(network, f"step{step}")
    return losses, states
