"""Reads and writes .safetensors files: 8 bytes with the length of the header, a JSON header, then the raw tensors."""

import json
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000


def write(path: str | os.PathLike, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors in the given order, with optional metadata. The file appears complete or not at all."""
    header: dict = {"__metadata__": dict(metadata)} if metadata else {}
    chunks, offset = [], 0
    for name, tensor in tensors.items():
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_atomically(path, b"".join([struct.pack("<Q", len(text)), text, *chunks]))


def read(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Returns the tensors and the metadata of a file. Raises ValueError with one sentence if it is not a safetensors file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); expected a safetensors file") from error
    if not looks_like_safetensors(content):
        raise ValueError(f"{path} is not a safetensors file")
    length = struct.unpack("<Q", content[:8])[0]
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        return {name: _tensor(content, 8 + length, entry) for name, entry in header.items()}, metadata
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is a damaged safetensors file: {error}") from error


def looks_like_safetensors(content: bytes) -> bool:
    """Returns true if the content starts with a header length that fits its size, and with a JSON object."""
    if len(content) < 10:
        return False
    length = struct.unpack("<Q", content[:8])[0]
    return 2 <= length <= min(LONGEST_HEADER, len(content) - 8) and content[8:9] == b"{"


def _tensor(content: bytes, start: int, entry: dict) -> torch.Tensor:
    dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
    begin, end = entry["data_offsets"]
    count = 1
    for size in shape:
        count *= size
    size = torch.empty((), dtype=dtype).element_size()
    if not 0 <= begin <= end <= len(content) - start or min(shape, default=0) < 0 or count * size != end - begin:
        raise ValueError(f"shape {shape} does not fit bytes {begin} to {end} of {len(content) - start}")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content[start + begin : start + end]), dtype=dtype).reshape(shape)


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Writes a temporary file in the same folder and renames it, so that nobody ever reads a half-written file."""
    target = writable(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".writing.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ValueError(f"{path} was not written: {error.strerror}") from error


def writable(path: str | os.PathLike) -> Path:
    """Follows the symbolic links of a path and returns the file to write, so that the links stay.

    Raises ValueError with one sentence if no file can be written there.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent} to write {target.name} into")
    # A rename would replace a device, a pipe or a socket.
    if os.path.lexists(target) and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise ValueError(f"{path} is {kind}, so nothing was written to it; expected the name of a file")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written, because you may not create files in the folder {target.parent}")
    return target
