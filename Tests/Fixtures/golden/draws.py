"""draws.{json,safetensors}: the first 16 values of each draw from a CPU generator with seed 0.

Each case draws from a fresh generator, except the sequence (sequence/0, sequence/1, ...), which draws from one generator. From 16
elements on, the vector width of the processor selects the kernel for normal numbers. `capability` in the .json is the width used
here; another width may give other last bits.
"""

import math
from pathlib import Path

import torch
from torch import nn

from formula import save

SEED, KEPT = 0, 16


DRAWS: list[tuple[str, str, tuple[int, ...], dict]] = [
    ("rand", "rand", (100,), {}),
    ("rand-float64", "rand", (100,), {"dtype": "float64"}),
    ("randn-short", "randn", (7,), {}),
    ("randn", "randn", (100,), {}),
    ("randn-odd", "randn", (33,), {}),
    ("randn-float64", "randn", (100,), {"dtype": "float64"}),
    ("randint", "randint", (100,), {"low": 0, "high": 10}),
    ("randint-range", "randint", (100,), {"low": -5, "high": 1000}),
    ("randperm", "randperm", (1000,), {}),
    ("randperm-short", "randperm", (10,), {}),
    ("bernoulli", "bernoulli", (100,), {"p": 0.3}),
    ("uniform", "uniform_", (100,), {"from": -0.3, "to": 0.3}),
    ("normal", "normal_", (100,), {"mean": 1.0, "std": 0.5}),
    ("kaiming-uniform", "kaiming_uniform_", (8, 4, 3, 3), {}),
    ("kaiming-uniform-sqrt5", "kaiming_uniform_", (8, 4, 3, 3), {"a": math.sqrt(5)}),
    ("kaiming-uniform-linear", "kaiming_uniform_", (12, 7), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming-normal", "kaiming_normal_", (8, 4, 3, 3), {}),
    ("kaiming-normal-fan-out", "kaiming_normal_", (8, 4, 3, 3), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("xavier-uniform", "xavier_uniform_", (12, 7), {}),
    ("xavier-uniform-conv", "xavier_uniform_", (8, 4, 3, 3), {"gain": 2.0}),
    ("xavier-normal", "xavier_normal_", (12, 7), {}),
]

LAYERS: list[tuple[str, str, dict]] = [
    ("linear", "Linear", {"in_features": 20, "out_features": 30}),
    ("conv2d", "Conv2d", {"in_channels": 3, "out_channels": 8, "kernel_size": 3}),
    ("conv2d-groups", "Conv2d", {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 2, "bias": False}),
]


def make(folder: Path) -> None:
    cases, tensors = [], {}
    for name, function, shape, options in DRAWS:
        drawn = draw(function, shape, options, torch.Generator().manual_seed(SEED))
        cases.append({"name": name, "function": function, "shape": shape, "options": options})
        tensors[name] = drawn.reshape(-1)[:KEPT].clone()
    layers = []
    for name, kind, options in LAYERS:
        torch.manual_seed(SEED)
        layer = getattr(nn, kind)(**options)
        layers.append({"name": f"{name}-default", "layer": kind, "options": options})
        tensors |= {f"{name}-default/{key}": value.detach().reshape(-1)[:KEPT].clone() for key, value in layer.named_parameters()}
    generator = torch.Generator().manual_seed(12345)
    sequence = [
        ("rand", (5,), {}),
        ("randn", (3,), {}),
        ("randn", (20,), {}),
        ("randperm", (6,), {}),
        ("randint", (4,), {"low": 0, "high": 100}),
        ("bernoulli", (9,), {"p": 0.5}),
        ("rand", (2,), {}),
    ]
    for index, (function, shape, options) in enumerate(sequence):
        tensors[f"sequence/{index}"] = draw(function, shape, options, generator).reshape(-1)[:KEPT].clone()
    save(
        folder,
        "draws",
        {
            "seed": SEED,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cases": cases,
            "layers": layers,
            "sequenceSeed": 12345,
            "sequence": [{"function": f, "shape": s, "options": o} for f, s, o in sequence],
        },
        tensors,
    )


def draw(function: str, shape: tuple[int, ...], options: dict, generator: torch.Generator) -> torch.Tensor:
    dtype = getattr(torch, options.get("dtype", "float32"))
    match function:
        case "rand" | "randn":
            return getattr(torch, function)(shape, generator=generator, dtype=dtype)
        case "randint":
            return torch.randint(options["low"], options["high"], shape, generator=generator)
        case "randperm":
            return torch.randperm(shape[0], generator=generator)
        case "bernoulli":
            return torch.empty(shape).bernoulli_(options["p"], generator=generator)
        case "uniform_":
            return torch.empty(shape).uniform_(options["from"], options["to"], generator=generator)
        case "normal_":
            return torch.empty(shape).normal_(options["mean"], options["std"], generator=generator)
        case _:
            return getattr(nn.init, function)(torch.empty(shape), generator=generator, **options)
