"""files/: small good and bad files for the readers, and expected.safetensors with the tensors of the good ones.

Every PyTorch file has two versions, FILE.zip.pt (today's format) and FILE.legacy.pt (the format before PyTorch 1.6). Expected
tensors have the name FILE/KEY, with FILE without its endings. For every good file, contents.json lists the key of the state_dict
(`under`, empty for the top) and its keys in order. For every bad file, it lists the words that a reader's error must contain. The
pickles called `malicious-...` create the file MARKER if a reader executes them.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

import safetensors_io
from formula import images, save, values

MARKER = "sat-fixture-was-executed"
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def make(folder: Path) -> None:
    folder = folder / "files"
    folder.mkdir(exist_ok=True)
    good, expected = [], {}
    for name, (content, under) in _contents().items():
        torch.save(content, folder / f"{name}.zip.pt")
        with _stable_storage_keys():
            torch.save(content, folder / f"{name}.legacy.pt", _use_new_zipfile_serialization=False)
        state = content[under] if under else content
        expected |= {
            f"{name}/{key.removeprefix('module.')}": torch.as_tensor(value).detach().contiguous().clone()
            for key, value in state.items()
        }
        good.append({"name": name, "under": under, "keys": list(state)})
    bad = []
    for name, (body, names) in _bad_pickles().items():
        (folder / f"{name}.zip.pt").write_bytes(_zip_around(body))
        (folder / f"{name}.legacy.pt").write_bytes(_legacy_around(body))
        bad.append({"name": name, "names": names})
    expected |= _torchscript(folder) | _npz(folder)
    save(folder, "contents", {"marker": MARKER, "good": good, "bad": bad})
    safetensors_io.write(folder / "expected.safetensors", expected)


def _contents() -> dict[str, tuple[dict, str]]:
    """Returns for each name the content to save and the key of its state_dict."""
    network = nn.Sequential(OrderedDict([("conv", nn.Conv2d(1, 2, 3)), ("bn", nn.BatchNorm2d(2)), ("fc", nn.Linear(8, 3))]))
    with torch.no_grad():
        for k, tensor in enumerate(network.state_dict().values()):
            tensor.copy_(values(tensor.shape, k))
    state = network.state_dict()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    base = values((4, 6), 50)
    dtypes = OrderedDict(
        (str(dtype).removeprefix("torch."), (values((2, 3), 51) * 100).to(dtype))
        for dtype in (
            torch.float32,
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int64,
            torch.int32,
            torch.int16,
            torch.int8,
            torch.uint8,
            torch.bool,
        )
    )
    views = OrderedDict(
        [
            ("whole", base),
            ("row", base[1]),
            ("columns", base[:, 2:5]),
            ("transposed", base.t()),
            ("strided", base[::2, ::3]),
            ("expanded", base[0, :1].expand(3)),
            ("scalar", base[3, 5]),
        ]
    )
    odd = OrderedDict([("scalar", torch.tensor(2.5)), ("empty", torch.empty(0, 3)), ("one", torch.ones(1))])
    return {
        "module": (state, ""),
        "dict": ({key: value.clone() for key, value in state.items()}, ""),
        "dtypes": (dtypes, ""),
        "views": (views, ""),
        "odd-shapes": (odd, ""),
        "parameters": ({key: nn.Parameter(value.clone()) for key, value in list(state.items())[:2]}, ""),
        "prefixed": (OrderedDict((f"module.{key}", value.clone()) for key, value in state.items()), ""),
        "nested": (
            {
                "epoch": 3,
                "best": 0.5,
                "name": "caf\u00e9",
                "shape": torch.Size([2, 3]),
                "state_dict": state,
                "flags": (True, None, -7, 2**40, [1, 2.5], {"a": b"b"}),
                "optimizer": optimizer.state_dict(),
            },
            "state_dict",
        ),
        "nested-model": ({"model": state, "epoch": 3}, "model"),
        "nested-model-state": ({"model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()}, "model_state_dict"),
    }


@contextmanager
def _stable_storage_keys():
    """Names storages by the order of their first use, because the legacy format names them by their address, which changes."""
    numbers: dict[int, int] = {}
    with mock.patch.object(
        torch.UntypedStorage,
        "_cdata",
        create=True,
        new_callable=lambda: property(lambda storage: 1000 + numbers.setdefault(storage.data_ptr() or id(storage), len(numbers))),
    ):
        yield


def _call(module: str, name: str, argument: bytes) -> bytes:
    """Makes a protocol 2 pickle {"weight": module.name(argument)}."""
    return (
        b"\x80\x02}X\x06\x00\x00\x00weight"
        + f"c{module}\n{name}\n".encode()
        + b"X"
        + struct.pack("<I", len(argument))
        + argument
        + b"\x85Rs."
    )


def _tensor(size: tuple[int, ...], stride: tuple[int, ...], offset: int, count: int = 4) -> bytes:
    """Makes a pickle {"weight": tensor} over a float32 storage "0" of `count` elements."""

    def integers(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(_long, numbers)) + b"t"

    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + _long(count)
    return (
        b"\x80\x02}X\x06\x00\x00\x00weightctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"tQ"
        + _long(offset)
        + integers(size)
        + integers(stride)
        + b"\x89ccollections\nOrderedDict\n)RtRs."
    )


def _long(number: int) -> bytes:
    data = number.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + data


def _bad_pickles() -> dict[str, tuple[bytes, list[str]]]:
    """Returns for each name the pickle, and the words that a reader's error must contain."""
    touch = f"touch {MARKER}".encode()
    python = f"open('{MARKER}', 'w')".encode()
    instance = b"\x80\x02cmypackage.models\nSecretNet\n)\x81}X\x01\x00\x00\x00aK\x01sb."
    cyclic = b"\x80\x02]q\x00h\x00a."
    return {
        "malicious-os-system": (_call("os", "system", touch), ["os.system"]),
        "malicious-posix-system": (_call("posix", "system", touch), ["posix.system"]),
        "malicious-builtins-eval": (_call("builtins", "eval", python), ["builtins.eval"]),
        "malicious-old-builtins-exec": (_call("__builtin__", "exec", python), ["exec"]),
        "malicious-torch-load": (_call("torch.serialization", "load", MARKER.encode()), ["torch.serialization.load"]),
        "malicious-getattr": (_call("builtins", "getattr", b"x"), ["builtins.getattr"]),
        "unknown-class": (instance, ["mypackage.models.SecretNet"]),
        "bad-size": (_tensor((1000, 1000), (1000, 1), 0), []),
        "bad-offset": (_tensor((2, 2), (2, 1), 3), []),
        "bad-negative": (_tensor((2, 2), (-2, 1), 0), []),
        "bad-overflow": (_tensor((2**40, 2**40), (2**40, 1), 0), []),
        "bad-count": (_tensor((2, 2), (2, 1), 0, count=2**50), []),
        "cyclic": (cyclic, []),
        "not-a-dict": (b"\x80\x02]q\x00(K\x01K\x02e.", []),
        "empty-dict": (b"\x80\x02}q\x00.", []),
    }


FLOATS = values((4,), 60).numpy().tobytes()


def _zip_around(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (("data.pkl", pickled), ("byteorder", b"little"), ("data/0", FLOATS), ("version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)
    return buffer.getvalue()


def _legacy_around(pickled: bytes) -> bytes:
    system = {"protocol_version": LEGACY_PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [pickle.dumps(part, protocol=2) for part in (LEGACY_MAGIC, LEGACY_PROTOCOL, system)]
    if b"FloatStorage" not in pickled:
        return b"".join([*head, pickled, pickle.dumps([], protocol=2)])
    # In the legacy format, the reference to a storage has one more item, for a storage that is a view.
    body = pickled.replace(b"tQ", b"NtQ") + pickle.dumps(["0"], protocol=2)
    return b"".join([*head, body, struct.pack("<q", 4), FLOATS])


class Tiny(nn.Module):
    """A convolution, a branch that a trace would lose, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, stride=2)
        self.fc = nn.Linear(18, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.conv(x))
        if x.shape[0] > 1:
            x = x * 2.0
        return self.fc(x.flatten(1))


def _torchscript(folder: Path) -> dict[str, torch.Tensor]:
    network = Tiny().eval()
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.copy_(values(parameter.shape, 70 + k, 0.5))
    script = torch.jit.script(network)
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    safetensors_io.write_atomically(folder / "tiny.ts", _without_debug_records(buffer))
    x = images((2, 1, 8, 8)).requires_grad_()
    y = network(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    return {
        "tiny/input": x.detach(),
        "tiny/output": y.detach(),
        "tiny/gradient-of-squares": gradient,
        "tiny/output-of-one": network(x[:1]).detach(),
    } | {f"tiny/{key}": value.detach().clone() for key, value in network.named_parameters()}


def _without_debug_records(archive: io.BytesIO) -> bytes:
    """Copies an archive without the records that name the folder of this script."""
    archive.seek(0)
    reader, packed = torch._C.PyTorchFileReader(archive), io.BytesIO()
    writer = torch._C.PyTorchFileWriter(packed)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name != "version" and not name.startswith(".data/"):
            data = reader.get_record(name)
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return packed.getvalue()


def _npz(folder: Path) -> dict[str, torch.Tensor]:
    """Saves images and labels with numpy: bytes and floats, stored and deflated, and one file in column order."""
    pixels = ((images((6, 1, 8, 8)) * 255).to(torch.uint8)).numpy()
    floats = images((3, 3, 4, 4)).numpy()
    labels = np.arange(6, dtype=np.int64) % 10
    with mock.patch("zipfile.time.localtime", return_value=(1980, 1, 1, 0, 0, 0, 0, 1, 0)):
        np.savez(folder / "bytes.npz", images=pixels, labels=labels)
        np.savez_compressed(folder / "bytes-compressed.npz", images=pixels, labels=labels)
        np.savez_compressed(folder / "floats-compressed.npz", images=floats, labels=labels[:3])
        np.savez(folder / "column-order.npz", images=np.asfortranarray(floats), labels=labels[:3].astype(np.int32))
        np.savez(folder / "float64.npz", images=floats.astype(np.float64), labels=labels[:3].astype(np.uint8))
        np.savez(folder / "objects.npz", images=np.array([{"a": 1}], dtype=object), labels=labels[:1])
    return {
        "npz/bytes": torch.from_numpy(pixels),
        "npz/bytes-labels": torch.from_numpy(labels),
        "npz/floats": torch.from_numpy(floats),
        "npz/floats-labels": torch.from_numpy(labels[:3]),
    }
