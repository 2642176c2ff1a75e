"""The images a run was trained on, read as `sat` reads them and split by its rule."""

import gzip
import os
import struct
from pathlib import Path

import numpy
import torch
from torch import Tensor

import safetensors_io

VALIDATION_FRACTION = 0.1
CIFAR_VALIDATION = 5000


def training_data(name: str, root: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images (N, C, H, W), uint8 or float in [0, 1], and int64 labels: of training, and of validation.

    `name` is a data set or the path of a .safetensors or .npz file. Raises ValueError, one sentence.
    """
    if name in ("cifar10", "cifar100"):
        images, labels = _cifar(name, root / name)
        return ((images[CIFAR_VALIDATION:], labels[CIFAR_VALIDATION:]),
                (images[:CIFAR_VALIDATION], labels[:CIFAR_VALIDATION]))
    if name == "digits":
        images, labels = _idx_pair(_digits(root))
    elif name == "mnist":
        images, labels = _idx_pair(root / "mnist")
    else:
        images, labels = _file(Path(name))
    held_out = _validation(labels)
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def batch(data: tuple[Tensor, Tensor], positions: Tensor | slice) -> tuple[Tensor, Tensor]:
    """Float images in [0, 1] and labels."""
    images, labels = data[0][positions], data[1][positions]
    return (images.float() / 255 if images.dtype == torch.uint8 else images), labels


def _validation(labels: Tensor) -> Tensor:
    """The rule of `sat`: of every class the first tenth of a random order, all orders from one generator."""
    generator = torch.Generator().manual_seed(2020)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        if len(members):
            order = torch.randperm(len(members), generator=generator)
            # Halves away from zero, where Python's round() goes to the even number.
            chosen[members[order[:int(VALIDATION_FRACTION * len(members) + 0.5)]]] = True
    return chosen


def _digits(root: Path) -> Path:
    named = os.environ.get("SAT_DIGITS")
    candidates = [Path(named)] if named else [Path(__file__).resolve().parents[1] / "build" / "digits", root / "digits"]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ValueError(f"the digits are not in {candidates[0]}; make them with scripts/bootstrap, or name their folder in SAT_DIGITS")


def _bytes(path: Path) -> bytes:
    for candidate, opener in ((path, open), (path.with_name(path.name + ".gz"), gzip.open)):
        if candidate.exists():
            with opener(candidate, "rb") as file:
                return file.read()
    raise ValueError(f"{path}[.gz] is not there; say where the data are with --data-root")


def _idx(path: Path) -> Tensor:
    content = _bytes(path)
    rank = content[3]
    shape = struct.unpack(f">{rank}I", content[4:4 + 4 * rank])
    return torch.frombuffer(bytearray(content[4 + 4 * rank:]), dtype=torch.uint8).reshape(shape)


def _idx_pair(folder: Path) -> tuple[Tensor, Tensor]:
    return _idx(folder / "train-images-idx3-ubyte")[:, None], _idx(folder / "train-labels-idx1-ubyte").long()


def _cifar(name: str, folder: Path) -> tuple[Tensor, Tensor]:
    files, label_bytes = (([f"data_batch_{i}.bin" for i in range(1, 6)], 1) if name == "cifar10" else (["train.bin"], 2))
    content = b"".join(_bytes(folder / file) for file in files)
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, label_bytes + 3072)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1].long()


def _file(path: Path) -> tuple[Tensor, Tensor]:
    if not path.exists():
        raise ValueError(f"data '{path}' is neither a data set nor a file; expected digits, mnist, cifar10, cifar100 or a path")
    if path.suffix == ".npz":
        arrays = numpy.load(path)
        tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    else:
        tensors, _ = safetensors_io.read(path)
    if "images" not in tensors or "labels" not in tensors:
        raise ValueError(f"{path} holds {', '.join(tensors)}; expected images and labels")
    return tensors["images"], tensors["labels"].long()
