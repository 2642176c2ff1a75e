#!/usr/bin/env python3
"""Makes the small data sets under `datasets/`, in the forms in which people have them, by NumPy, PyTorch and pickle.

    python make_datasets.py            needs torch and numpy

Every file has three images with the labels 3, 0 and 7. Byte j of image i, in the order channels, rows, columns, is
(31 i + 7 j) mod 256.
"""

import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent / "datasets"
LABELS = np.array([3, 0, 7])


def pixels(*shape: int) -> np.ndarray:
    size = int(np.prod(shape))
    return ((31 * np.arange(3)[:, None] + 7 * np.arange(size)[None]) % 256).astype(np.uint8).reshape(3, *shape)


def python2_batch(rows: np.ndarray) -> bytes:
    """Writes a batch as the authors' Python 2 did: texts and bytes are the same kind of string."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85" + text(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\0K\1tR(K\3" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    shape = b"K" + bytes([len(rows)]) + b"M" + struct.pack("<H", rows.shape[1]) + b"\x86"
    raw = b"T" + struct.pack("<i", rows.size) + rows.tobytes()
    array += b"(K\1" + shape + dtype + b"\x89" + raw + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in LABELS) + b"e"
    return b"\x80\2}(" + text(b"labels") + labels + text(b"data") + array + text(b"batch_label") + text(b"x") + b"u."


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    rows = pixels(3072)
    ten, hundred, corrupted, pair = (FOLDER / name for name in ("cifar-10-batches-py", "cifar-100-python", "CIFAR-10-C", "pair"))
    for folder in (ten, hundred, corrupted, pair):
        folder.mkdir(parents=True)
    (ten / "test_batch").write_bytes(python2_batch(rows))
    batch = {"data": rows, "labels": LABELS.tolist()}
    (ten / "data_batch_1").write_bytes(pickle.dumps({key.encode(): value for key, value in batch.items()}, protocol=2))
    (FOLDER / "protocol5").write_bytes(pickle.dumps(batch, protocol=5))
    (FOLDER / "without-labels").write_bytes(pickle.dumps({"data": rows}, protocol=4))
    (hundred / "test").write_bytes(
        pickle.dumps({"data": rows, "fine_labels": LABELS.tolist(), "coarse_labels": [0, 1, 2]}, protocol=3)
    )
    (hundred / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class {i}" for i in range(100)]}, protocol=2))

    small = pixels(3, 5, 6)
    last = small.transpose(0, 2, 3, 1).copy()
    np.save(pair / "images.npy", small)
    np.save(pair / "labels.npy", LABELS.astype(">i4"))
    np.savez(FOLDER / "image_label.npz", image=last, label=LABELS)
    np.savez(FOLDER / "unnamed.npz", small, LABELS)
    np.savez(FOLDER / "wide.npz", x=small.astype(np.int64), y=np.eye(10, dtype=np.float32)[LABELS])
    np.savez(FOLDER / "big-endian.npz", data=(small / np.float32(255)).astype(">f4"), targets=LABELS.astype(">u2")[:, None])
    np.savez(
        FOLDER / "parts.npz",
        x_train=np.concatenate([small] * 20),
        y_train=np.concatenate([LABELS] * 20).astype(np.float64),
        x_test=small,
        y_test=LABELS,
    )
    np.savez(FOLDER / "grey.npz", train_images=pixels(6, 7), train_labels=LABELS, test_images=pixels(6, 7), test_labels=LABELS)
    torch.save((torch.from_numpy(small), torch.from_numpy(LABELS)), FOLDER / "pair.pt")
    torch.save({"images": torch.from_numpy(small) / 255, "labels": torch.from_numpy(LABELS)}, FOLDER / "dictionary.pt")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(small), torch.from_numpy(LABELS))
    torch.save(dataset, FOLDER / "dataset.pt")
    torch.save({"adv_complete": torch.from_numpy(small)}, FOLDER / "adversarial.pt")
    # Image i of severity s has the pixels of image i, plus s.
    np.save(corrupted / "fog.npy", np.concatenate([last + np.uint8(severity) for severity in range(1, 6)]))
    np.save(corrupted / "labels.npy", np.concatenate([LABELS] * 5))


if __name__ == "__main__":
    main()
