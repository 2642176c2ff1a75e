"""Weights, images and noise by the formula of make_fixtures.py, and functions that all parts share."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

import safetensors_io

IMAGES, NOISE = 1000, 2000


def unit(count: int, k: int) -> np.ndarray:
    """Returns v(0, k) ... v(count - 1, k) of make_fixtures.py in float64."""
    wrap = np.uint64(0xFFFFFFFF)
    h = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B1) + np.uint64((k + 1) * 0x85EBCA77 % 2**32)) & wrap
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x7FEB352D)) & wrap
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x846CA68B)) & wrap
    h = h ^ (h >> np.uint64(16))
    return 2.0 * (h.astype(np.float64) / 4294967296.0) - 1.0


def values(shape: Sequence[int], k: int, scale: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    return torch.from_numpy((offset + scale * unit(math.prod(shape), k)).astype(np.float32)).reshape(tuple(shape))


def images(shape: Sequence[int], k: int = IMAGES) -> torch.Tensor:
    return values(shape, k, 0.5, 0.5)


def fill(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """Gives a network the weights of the formula, in place."""
    state = network.state_dict()
    for k, (key, tensor) in enumerate(state.items()):
        if key.endswith("weight") and tensor.dim() > 1:
            new = values(tensor.shape, k, gain * math.sqrt(6 / math.prod(tensor.shape[1:])))
        elif key.endswith("weight"):
            new = values(tensor.shape, k, 0.1, 1.0)
        elif key.endswith("bias"):
            new = values(tensor.shape, k, 0.1)
        else:
            new = torch.ones_like(tensor) if key.endswith("running_var") else torch.zeros_like(tensor)
        tensor.copy_(new)
    return network


def subset(tensor: torch.Tensor) -> torch.Tensor:
    """Returns every stride-th element, at most 32."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 32)][:32].clone()


def subsets(network: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """Returns the subset of every entry of the state_dict, and the float64 sums of the entries in order."""
    state = network.state_dict()
    stored = {f"{prefix}/{key}": subset(tensor) for key, tensor in state.items()}
    stored[f"{prefix}/sums"] = torch.stack([tensor.double().sum() for tensor in state.values()])
    return stored


def save(folder: Path, name: str, description: Mapping, tensors: Mapping[str, torch.Tensor] | None = None) -> None:
    """Writes NAME.json, with one line per case, and NAME.safetensors."""
    parts = []
    for key, value in description.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        else:
            text = json.dumps(value)
        parts.append(f" {json.dumps(key)}: {text}")
    safetensors_io.write_atomically(folder / f"{name}.json", ("{\n" + ",\n".join(parts) + "\n}\n").encode())
    if tensors is not None:
        safetensors_io.write(folder / f"{name}.safetensors", tensors)
