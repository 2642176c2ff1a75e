#!/usr/bin/env python3
"""Writes random checkpoints and the tensors that torch.load reads from them, for the property test of the reader.

    python random_checkpoints.py FOLDER [COUNT] [SEED]

Each file has a random format (zip or legacy), pickle protocol, element types, views, shared storages, lazy bits, and objects of
Python beside the weights. FOLDER/expected.json lists for each file the tensors under "state_dict", with their types, shapes and
bytes. Mixtures that torch.save or torch.load refuses are drawn again.
"""

import argparse
import collections
import datetime
import functools
import json
import random
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

REALS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
COMPLEX = (torch.complex64, torch.complex128)
NARROW = (torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex32)


class Settings(dict):
    """A dictionary with attributes, as configuration libraries have."""

    __getattr__ = dict.__getitem__


class Callback:
    """An object with a reference to itself."""

    def __init__(self, network: nn.Module):
        self.network, self.me = network, self

    def __call__(self) -> None:
        raise RuntimeError("a checkpoint must not call this")


class Network(nn.Module):
    """A small module with a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.register_buffer("nothing", None)


def main() -> None:
    folder = Path(sys.argv[1])
    count, seed = (int(text) for text in [*sys.argv[2:4], *("300", "0")[len(sys.argv) - 2 :]])
    warnings.filterwarnings("ignore")
    torch.manual_seed(seed)
    generator = random.Random(seed)
    expected: list[dict] = []
    while len(expected) < count:
        path = folder / f"{len(expected)}.pt"
        zipped, protocol = generator.random() < 0.6, generator.choice((0, 1, 2, 2, 2, 3, 4, 5))
        content, is_module = _content(generator, zipped)
        try:
            torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            loaded = torch.load(path, weights_only=False)["state_dict"]
        except Exception as error:
            path.unlink(missing_ok=True)
            print(f"drawn again: zip {zipped}, protocol {protocol}: {type(error).__name__}: {str(error)[:80]}")
            continue
        state = loaded.state_dict() if is_module else loaded
        tensors = [
            {"key": key, "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "bytes": _bytes(value)}
            for key, value in state.items()
            if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized and not value.is_meta
        ]
        expected.append({"file": path.name, "zipped": zipped, "protocol": protocol, "tensors": tensors})
    (folder / "expected.json").write_text(json.dumps(expected))


def _bytes(value: torch.Tensor) -> str:
    value = value.detach().resolve_conj().resolve_neg().reshape(-1).clone(memory_format=torch.contiguous_format)
    return bytes(value.view(torch.uint8).tolist()).hex()


def _content(generator: random.Random, zipped: bool) -> tuple[dict, bool]:
    is_module = generator.random() < 0.15
    network = Network()
    state = network if is_module else _state(generator, zipped)
    content: dict = {"state_dict": state}
    for name, value in _odd_objects(network).items():
        if generator.random() < 0.3:
            content[name] = value
    items = list(content.items())
    generator.shuffle(items)
    return dict(items), is_module


def _state(generator: random.Random, zipped: bool) -> dict:
    state: dict = OrderedDict() if generator.random() < 0.5 else {}
    bases: list[torch.Tensor] = []
    for number in range(generator.randint(1, 8)):
        name = ".".join(generator.choice(("layer", "conv", "0", "b\u00e9", "weight")) for _ in range(generator.randint(1, 3)))
        state[f"{name}.{number}"] = _tensor(generator, bases, zipped)
    for name, make in (
        ("sparse", lambda: torch.eye(2).to_sparse()),
        ("quantized", lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
        ("meta", lambda: torch.ones(2, device="meta")),
        ("count", lambda: 3),
        ("extra", lambda: {"a": torch.ones(1)}),
    ):
        if generator.random() < 0.1:
            state[name] = make()
    return state


def _tensor(generator: random.Random, bases: list[torch.Tensor], zipped: bool) -> torch.Tensor:
    if bases and generator.random() < 0.3:
        base = generator.choice(bases)
    else:
        # The legacy format does not have the narrow types.
        dtype = generator.choice(REALS + REALS + WHOLE + COMPLEX + (NARROW if zipped else ()))
        base = (torch.randn(generator.randint(1, 4), generator.randint(1, 5)) * 50).abs().to(dtype)
        bases.append(base)
    view = generator.choice(
        (
            lambda t: t,
            lambda t: t,
            lambda t: t.t(),
            lambda t: t[0],
            lambda t: t[:, ::2],
            lambda t: t[-1, -1],
            lambda t: t[:0],
            lambda t: t[:, :1].expand(-1, 3),
        )
    )(base)
    kind = generator.random()
    if view.is_complex() and kind < 0.5:
        # One storage cannot be saved as two types, so the imaginary part has a storage of its own.
        view = view.conj() if kind < 0.25 else view.clone().conj().imag
    elif view.is_floating_point() and kind < 0.15 and view.element_size() > 1:
        view = torch._neg_view(view)
    if view.is_floating_point() and generator.random() < 0.3:
        view = nn.Parameter(view, requires_grad=generator.random() < 0.5)
    if generator.random() < 0.1:
        view.note = "an attribute of Python"
    return view


def _odd_objects(network: nn.Module) -> dict:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    return {
        "optimizer": optimizer,
        "optimizer_state": torch.optim.Adam(network.parameters()).state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        "args": argparse.Namespace(lr=0.1, names=["a", "\u00e9"], nested=argparse.Namespace(x=None)),
        "settings": Settings(lr=0.1),
        "callback": Callback(network),
        "function": functools.partial(print, "called"),
        "builtin": len,
        "time": datetime.datetime(2024, 5, 6),
        "span": datetime.timedelta(1),
        "path": Path("a/b"),
        "counter": collections.Counter("hello"),
        "default": collections.defaultdict(list, {"loss": [1.0, float("nan")]}),
        "deque": collections.deque([1, 2], 5),
        "set": {1, 2},
        "frozen": frozenset({3}),
        "range": range(3),
        "complex": 1 + 2j,
        "slice": slice(1, 2),
        "bytes": b"abc",
        "no bytes": b"",
        "bytearray": bytearray(b"abc"),
        "big": 2**70,
        "minus": -(2**40),
        "long text": "x" * 300,
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "random": torch.get_rng_state(),
        "class": Network,
    }


if __name__ == "__main__":
    main()
