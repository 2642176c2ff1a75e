"""Reads the weights of a network from any kind of file that `sat` reads."""

import argparse
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy
import torch
from torch import nn

import safetensors_io

# The keys under which training scripts save a state_dict, the usual ones first. `sat` tries them in the same order.
NESTED_UNDER = ("state_dict", "model_state_dict", "model", "net", "network", "best", "last")
# The prefixes that DataParallel, torch.compile and an attribute called model put before all keys.
PREFIXES = ("module.", "_orig_mod.", "model.")
# The names of the mean and the standard deviation in a normalisation in front of the network.
NORMALIZATION_KEYS = (("mean", "std"), ("mu", "sigma"))

# Types beside the weights of checkpoints that only hold values: the arguments of the script, and NumPy's numbers.
_SCALAR = numpy.float64(0).__reduce__()[0]
PLAIN_TYPES = [
    argparse.Namespace,
    numpy.dtype,
    *{type(numpy.dtype(code)) for code in "?bhilqBHILQefd"},
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


def read_state_dict(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Returns the state_dict of a file, and the metadata of a safetensors file. The content decides the format, not the name.

    A PyTorch file (zip or legacy pickle) may hold the state_dict at the top or under one of NESTED_UNDER, beside other things, and
    with or without one of PREFIXES before all keys. Reading never executes code of the file.

    The metadata "sat.normalization" describes a normalisation in front of the network, also if it was a layer in the file. Raises
    ValueError with one sentence.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of weights")
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file; expected a file of weights")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); expected a file of weights") from error
    if start[8:] == b"{":
        state, metadata = safetensors_io.read(path)
    else:
        state, metadata = _unwrap(_read_pickle(path), path), {}
    state, layer = _unnormalized(_unprefixed(state))
    return state, {"sat.normalization": layer} | metadata if layer else metadata


def load(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Loads a state_dict into a network. Raises ValueError with the keys and shapes that do not match."""
    expected = network.state_dict()
    problems = []
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in expected]
    shapes = [
        f"{key} is {list(state[key].shape)}, not {list(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    for title, keys in (("missing", missing), ("unknown", unknown), ("of another shape", shapes)):
        if keys:
            more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
            problems.append(f"{title}: {', '.join(keys[:6])}{more}")
    if problems:
        raise ValueError(f"the weights in {source} do not fit the network; {'; '.join(problems)}")
    network.load_state_dict({**expected, **state})


def _read_pickle(path: Path) -> object:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ValueError(f"{path} is already a TorchScript archive, which sat reads directly")
    try:
        with torch.serialization.safe_globals(PLAIN_TYPES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(
                f"{path} was not read, because it refers to {refused[1].rstrip('.')}, which no file of weights needs"
            ) from error
        raise ValueError(f"{path} is not a file of weights, or it is damaged") from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{path} is not a file of weights, or it is damaged") from error


def _unwrap(content: object, path: Path) -> dict[str, torch.Tensor]:
    found = _find(content)
    if found is None:
        raise ValueError(
            f"{path} holds no state_dict, at the top or under {', '.join(NESTED_UNDER)}; it holds a {type(content).__name__}"
        )
    return found


def _find(content: object, depth: int = 0) -> dict[str, torch.Tensor] | None:
    """Returns the tensors of the innermost dictionary under NESTED_UNDER that has any, without other values beside them."""
    if isinstance(content, argparse.Namespace):
        content = vars(content)
    if not isinstance(content, dict) or depth == 4:
        return None
    for key in NESTED_UNDER:
        if key in content and (found := _find(content[key], depth + 1)) is not None:
            return found
    return {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor)} or None


def _unprefixed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Removes the prefixes that wrappers put before all keys."""
    # AveragedModel of torch.optim.swa_utils keeps a counter beside its module.
    state = {key: value for key, value in state.items() if key != "n_averaged"}
    while prefix := next((p for p in PREFIXES if state and all(key.startswith(p) and key != p for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _unnormalized(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str | None]:
    """Splits a state_dict into the network's own tensors, and MEAN and STD of a normalisation layer in front of it.

    MEAN and STD have the shortest numbers that round to the float32 values of the layer.
    """
    for mean, std in NORMALIZATION_KEYS:
        for key in (key for key in state if key.split(".")[-1] == mean):
            pair = [_channels(state[key]), _channels(state.get(key.removesuffix(mean) + std))]
            if all(pair):
                rest = {other: value for other, value in state.items() if other not in (key, key.removesuffix(mean) + std)}
                # In a Sequential, the keys of the network begin with its index.
                behind = {other.split(".")[0] for other in rest if "." in other}
                if len(behind) == 1 and all("." in other for other in rest):
                    rest = {other.removeprefix(f"{min(behind)}."): value for other, value in rest.items()}
                return _unprefixed(rest), " ".join(pair)
    return state, None


def _channels(tensor: torch.Tensor | None) -> str | None:
    """Returns the numbers of a tensor (C,), (C, 1, 1) or (1, C, 1, 1), separated by commas, or None for another tensor."""
    if tensor is None or not tensor.is_floating_point() or tensor.dim() not in (1, 3, 4) or not 1 <= tensor.numel() <= 4:
        return None
    if sum(size != 1 for size in tensor.shape) > 1:
        return None
    return ",".join(str(number) for number in tensor.detach().float().flatten().numpy())
