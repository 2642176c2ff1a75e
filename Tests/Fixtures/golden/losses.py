"""losses.{json,safetensors}: loss values and the gradient of their sum with respect to the input.

A case stores CASE/input, CASE/target, CASE/loss and CASE/grad.input.
"""

import warnings
from pathlib import Path

import torch
from torch.nn import functional as F

from formula import save, values

SHAPE = (5, 4)
REDUCTIONS = ("none", "sum", "mean")


def make(folder: Path) -> None:
    logits = values(SHAPE, 0, 3.0)
    labels = torch.tensor([2, 0, 3, 1, 2])
    probabilities = F.softmax(values(SHAPE, 1, 2.0), 1)
    cases, tensors = [], {}

    def add(function: str, source: torch.Tensor, target: torch.Tensor, **options) -> None:
        name = "-".join([function, *(f"{key}={value}" for key, value in options.items())])
        source = source.detach().clone().requires_grad_()
        with warnings.catch_warnings():
            # kl_div warns about the divisor of `mean`, which its case tests.
            warnings.simplefilter("ignore", UserWarning)
            loss = getattr(F, function)(source, target, **options)
        (gradient,) = torch.autograd.grad(loss.sum(), source)
        cases.append({"name": name, "function": function, "options": options})
        for key, value in (("input", source), ("target", target), ("loss", loss), ("grad.input", gradient)):
            tensors[f"{name}/{key}"] = value.detach()

    for reduction in REDUCTIONS:
        for smoothing in (0.0, 0.1):
            add("cross_entropy", logits, labels, reduction=reduction, label_smoothing=smoothing)
        add("cross_entropy", logits * 40, labels, reduction=reduction)
        add("nll_loss", F.log_softmax(logits, 1), labels, reduction=reduction)
        add("mse_loss", logits, probabilities, reduction=reduction)
    for reduction in (*REDUCTIONS, "batchmean"):
        add("kl_div", F.log_softmax(logits, 1), probabilities, reduction=reduction)
        add("kl_div", F.log_softmax(logits, 1), probabilities.log(), reduction=reduction, log_target=True)
    save(folder, "losses", {"cases": cases}, tensors)
