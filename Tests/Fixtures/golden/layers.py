"""layers.{json,safetensors}: outputs and gradients of single layers and activations.

A case stores CASE/x, the parameters under their PyTorch names, CASE/y, CASE/gradY (the gradient with respect to y), CASE/grad.x and
CASE/grad.NAME. BatchNorm also stores its buffers as CASE/before.NAME and, in training, as CASE/after.NAME. The .json has the
operation and its options under PyTorch's names; `parameters` lists the names in the order of the state_dict. Dropout draws from
PyTorch's default generator with the seed in the options.
"""

from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from formula import save, values

LAYERS: list[tuple[str, str, tuple[int, ...], dict]] = [
    ("linear", "Linear", (3, 5), {"in_features": 5, "out_features": 4}),
    ("linear-no-bias", "Linear", (3, 5), {"in_features": 5, "out_features": 4, "bias": False}),
    ("linear-3d", "Linear", (2, 3, 5), {"in_features": 5, "out_features": 4}),
    ("conv2d", "Conv2d", (2, 3, 7, 6), {"in_channels": 3, "out_channels": 4, "kernel_size": 3}),
    ("conv2d-strided", "Conv2d", (2, 3, 8, 7), {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}),
    (
        "conv2d-rectangular",
        "Conv2d",
        (2, 2, 7, 8),
        {"in_channels": 2, "out_channels": 3, "kernel_size": [3, 2], "stride": [1, 2], "padding": [1, 0]},
    ),
    (
        "conv2d-groups",
        "Conv2d",
        (2, 4, 6, 6),
        {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, "groups": 2, "bias": False},
    ),
    ("conv2d-dilated", "Conv2d", (1, 2, 8, 8), {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "dilation": 2}),
    ("batch-norm-train", "BatchNorm2d", (4, 3, 3, 2), {"num_features": 3, "training": True}),
    ("batch-norm-eval", "BatchNorm2d", (4, 3, 3, 2), {"num_features": 3, "training": False}),
    ("batch-norm-momentum", "BatchNorm2d", (4, 3, 3, 2), {"num_features": 3, "momentum": 0.3, "eps": 0.001, "training": True}),
    ("batch-norm-no-affine", "BatchNorm2d", (4, 3, 3, 2), {"num_features": 3, "affine": False, "training": True}),
    ("max-pool", "MaxPool2d", (2, 2, 7, 6), {"kernel_size": 2}),
    ("max-pool-overlapping", "MaxPool2d", (2, 2, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg-pool", "AvgPool2d", (2, 2, 7, 6), {"kernel_size": 2}),
    ("avg-pool-overlapping", "AvgPool2d", (2, 2, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("adaptive-avg-pool-1", "AdaptiveAvgPool2d", (2, 3, 7, 6), {"output_size": 1}),
    ("adaptive-avg-pool-3x2", "AdaptiveAvgPool2d", (2, 3, 7, 6), {"output_size": [3, 2]}),
    ("flatten", "Flatten", (2, 3, 2, 2), {}),
]

ACTIVATIONS: list[tuple[str, dict]] = [
    ("relu", {}),
    ("leaky_relu", {"negative_slope": 0.1}),
    ("elu", {"alpha": 1.0}),
    ("gelu", {}),
    ("silu", {}),
    ("softplus", {}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("softmax", {"dim": 1}),
    ("log_softmax", {"dim": 1}),
]


def make(folder: Path) -> None:
    cases, tensors = [], {}
    for number, (name, kind, shape, options) in enumerate(LAYERS):
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items() if key != "training"}
        layer = getattr(nn, kind)(**given).train(options.get("training", True))
        _fill(layer, 10 * number + 1)
        stored = _run(layer, values(shape, 10 * number, 2.0), dict(layer.named_parameters()))
        if options.get("training") and kind == "BatchNorm2d":
            stored |= {f"after.{key}": value.clone() for key, value in layer.named_buffers()}
        cases.append(
            {
                "name": name,
                "layer": kind,
                "shape": shape,
                "options": options,
                "parameters": [key for key, _ in layer.named_parameters()],
            }
        )
        tensors |= {f"{name}/{key}": value for key, value in stored.items()}
    for name, options in ACTIVATIONS:
        stored = _run(partial(getattr(F, name), **options), values((3, 5), 500, 4.0), {})
        cases.append({"name": name, "function": name, "shape": (3, 5), "options": options, "parameters": []})
        tensors |= {f"{name}/{key}": value for key, value in stored.items()}
    for name, probability, seed in (("dropout-half", 0.5, 3), ("dropout-fifth", 0.2, 4)):
        torch.manual_seed(seed)
        stored = _run(partial(F.dropout, p=probability), values((6, 7), 600), {})
        cases.append(
            {"name": name, "function": "dropout", "shape": (6, 7), "parameters": [], "options": {"p": probability, "seed": seed}}
        )
        tensors |= {f"{name}/{key}": value for key, value in stored.items()}
    save(folder, "layers", {"cases": cases}, tensors)


def _fill(layer: nn.Module, k: int) -> None:
    with torch.no_grad():
        for index, (_, tensor) in enumerate(layer.state_dict().items()):
            if tensor.is_floating_point():
                tensor.copy_(values(tensor.shape, k + index, 0.4, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0))


def _run(function, x: torch.Tensor, parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    stored = {"x": x.clone()} | {name: value.detach().clone() for name, value in parameters.items()}
    if isinstance(function, nn.BatchNorm2d):
        stored |= {f"before.{key}": value.clone() for key, value in function.named_buffers()}
    x = x.clone().requires_grad_()
    y = function(x)
    grad_y = values(y.shape, 900)
    gradients = torch.autograd.grad(y, [x, *parameters.values()], grad_y)
    stored |= {"y": y.detach(), "gradY": grad_y}
    return stored | {f"grad.{name}": value for name, value in zip(["x", *parameters], gradients, strict=True)}
