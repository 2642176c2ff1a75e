"""Reading a network's weights from any file that `sat` reads them from."""

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

import safetensors_io

NESTED_UNDER = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The state_dict in a file and, for a safetensors file, its metadata. What a file is, is found by reading it.

    PyTorch files (zip or legacy pickle) may hold it bare or under one of NESTED_UNDER, with or without the `module.`
    prefix of DataParallel; they are read without executing what they contain. Raises ValueError, one sentence.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of weights")
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        state, metadata = safetensors_io.read(path)
    else:
        state, metadata = _unwrap(_read_pickle(path), path), {}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state, metadata


def load(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Puts a state_dict into a network; a ValueError that lists the keys and shapes which do not match."""
    expected = network.state_dict()
    problems = []
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in expected]
    shapes = [f"{key} is {list(state[key].shape)}, not {list(expected[key].shape)}"
              for key in expected if key in state and state[key].shape != expected[key].shape]
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
                raise ValueError(f"{path} is a TorchScript archive already, which sat reads as it is")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(f"{path} was not read: it asks for {refused[1].rstrip('.')}, "
                             "which no file of weights needs") from error
        raise ValueError(f"{path} is not a file of weights, or a damaged one") from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError,
            AssertionError) as error:
        raise ValueError(f"{path} is not a file of weights, or a damaged one") from error


def _unwrap(content: object, path: Path) -> dict[str, torch.Tensor]:
    for key in NESTED_UNDER:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no state_dict, but a {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"{path} holds no state_dict, neither at the top nor under {', '.join(NESTED_UNDER)}: "
                             f"its entry {key!r} is not a tensor but a {type(value).__name__}")
    return dict(content)
