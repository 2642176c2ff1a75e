"""Reads images of data sets and files as `sat` does, and splits training images by its rule."""

import gzip
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy
import torch
from torch import Tensor

import safetensors_io

VALIDATION_FRACTION = 0.1
CIFAR_VALIDATION = 5000


def training_data(name: str, root: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Returns the images and labels for training, and those for validation.

    `name` is a data set, or the path of a .safetensors or .npz file. Images are (N, C, H, W), uint8 or float in [0, 1]; labels are
    int64. Raises ValueError with one sentence.
    """
    if name in ("cifar10", "cifar100"):
        images, labels = _cifar(name, root / name)
        return ((images[CIFAR_VALIDATION:], labels[CIFAR_VALIDATION:]), (images[:CIFAR_VALIDATION], labels[:CIFAR_VALIDATION]))
    if name == "digits":
        images, labels = _idx_pair(_digits(root))
    elif name == "mnist":
        images, labels = _idx_pair(root / "mnist")
    else:
        images, labels = image_file(name)
    held_out = _validation(labels)
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def test_data(name: str, root: Path) -> tuple[Tensor, Tensor]:
    """Returns the test images and labels, in the form of `training_data`."""
    if name in ("cifar10", "cifar100"):
        return _cifar(name, root / name, test=True)
    if name in ("digits", "mnist"):
        return _idx_pair(_digits(root) if name == "digits" else root / name, "t10k")
    return image_file(name)


def default_root() -> Path:
    """Returns the default folder of the data sets: the environment variable SAT_DATA, else data in the working folder."""
    return Path(os.environ.get("SAT_DATA") or "data").expanduser()


def batch(data: tuple[Tensor, Tensor], positions: Tensor | slice) -> tuple[Tensor, Tensor]:
    """Returns float images in [0, 1] and their labels."""
    images, labels = data[0][positions], data[1][positions]
    return (images.float() / 255 if images.dtype == torch.uint8 else images), labels


def _validation(labels: Tensor) -> Tensor:
    """Marks the validation samples by `sat`'s rule: the first tenth of every class in a random order, with one generator."""
    generator = torch.Generator().manual_seed(2020)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        if len(members):
            order = torch.randperm(len(members), generator=generator)
            # Rounds halves up, as `sat` does. Python's round() would round them to the even number.
            chosen[members[order[: int(VALIDATION_FRACTION * len(members) + 0.5)]]] = True
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
            try:
                with opener(candidate, "rb") as file:
                    return file.read()
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{candidate} cannot be read ({error}); download it again") from error
    raise ValueError(f"{path}[.gz] does not exist; give the folder of the data sets with --data-root")


def _idx(path: Path) -> Tensor:
    content = _bytes(path)
    try:
        rank = content[3]
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
        return torch.frombuffer(bytearray(content[4 + 4 * rank :]), dtype=torch.uint8).reshape(shape)
    except (IndexError, struct.error, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}[.gz] is a damaged IDX file; download it again") from error


def _idx_pair(folder: Path, part: str = "train") -> tuple[Tensor, Tensor]:
    return _idx(folder / f"{part}-images-idx3-ubyte")[:, None], _idx(folder / f"{part}-labels-idx1-ubyte").long()


def _cifar(name: str, folder: Path, test: bool = False) -> tuple[Tensor, Tensor]:
    label_bytes = 1 if name == "cifar10" else 2
    if test:
        files = ["test_batch.bin" if name == "cifar10" else "test.bin"]
    else:
        files = [f"data_batch_{i}.bin" for i in range(1, 6)] if name == "cifar10" else ["train.bin"]
    content = b"".join(_bytes(folder / file) for file in files)
    if not content or len(content) % (label_bytes + 3072):
        raise ValueError(f"{', '.join(files)} in {folder} do not hold whole images of {name}; download the data set again")
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, label_bytes + 3072)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1].long()


def image_file(name: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """Reads images (N, C, H, W), uint8 or float in [0, 1], and int64 labels (N,) from a .safetensors or .npz file.

    Raises ValueError with one sentence if the file has another format or another content.
    """
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"data '{path}' is neither a data set nor a file; expected digits, mnist, cifar10, cifar100 or a path")
    tensors = _npz(path) if path.suffix == ".npz" else safetensors_io.read(path)[0]
    for wanted in ("images", "labels"):
        if wanted not in tensors:
            raise ValueError(f"{path} holds {', '.join(tensors) or 'nothing'}; expected images and labels")
    images, labels = tensors["images"], tensors["labels"]
    if images.dim() != 4 or not images.numel() or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise ValueError(
            f"the images in {path} are {images.dtype} of shape {list(images.shape)}; expected uint8 or float (N, C, H, W)"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.shape != images.shape[:1]:
        raise ValueError(
            f"the labels in {path} are {labels.dtype} of shape {list(labels.shape)}; expected {len(images)} whole numbers"
        )
    if images.dtype != torch.uint8:
        images = images.float()
        if not bool(((images >= 0) & (images <= 1)).all()):
            raise ValueError(
                f"the images in {path} range from {images.min().item():g} to {images.max().item():g}; expected pixels "
                "in [0, 1], or uint8"
            )
    labels = labels.long()
    if labels.min() < 0:
        raise ValueError(f"{path} has the label {labels.min().item()}; expected classes from 0")
    return images, labels


def _npz(path: Path) -> dict[str, Tensor]:
    try:
        # Opens the file here, because numpy does not close a damaged file that it opened itself.
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files if key in ("images", "labels")}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not an .npz file of numbers, or it is damaged; expected images and labels, as numpy.savez writes them"
        ) from error
