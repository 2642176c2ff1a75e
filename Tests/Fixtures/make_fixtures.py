#!/usr/bin/env python3
"""Makes the golden numbers and the small files for the Swift tests, with PyTorch alone.

    python make_fixtures.py            writes everything beside this script; the same PyTorch writes the same bytes

Numbers are in .safetensors files, each with a .json that describes the cases. `files/` holds files for the readers.

The formula of weights and images
---------------------------------
Networks are too large to store, so the Swift tests compute the same weights. In 32-bit unsigned arithmetic that wraps around,

    h = i * 0x9E3779B1 + (k + 1) * 0x85EBCA77
    h = (h ^ (h >> 16)) * 0x7FEB352D
    h = (h ^ (h >> 15)) * 0x846CA68B
    h =  h ^ (h >> 16)
    v(i, k) = 2 * (h / 2^32) - 1                                  in float64, -1 <= v < 1, exact

i counts the elements of one tensor in row-major order from 0. k is the index of the tensor in the state_dict from 0, and
BatchNorm's buffers count too. A value is offset + scale * v in float64 (one multiplication, one addition, not fused), rounded to
float32:

    weight of more than one dimension    offset 0, scale = gain * sqrt(6 / f), f = product of all sizes but the first
    weight of one dimension (BatchNorm)  offset 1, scale = 0.1
    bias                                 offset 0, scale = 0.1
    running_mean, running_var, num_batches_tracked    0, 1, 0

The gain is 1 unless the .json has another. Images have offset 0.5, scale 0.5 and k = 1000, unless the .json has other values; i
counts over the whole batch (N, C, H, W). Noise of attacks has offset 0, scale epsilon and k = 2000. The .json holds the labels. The
subset of a tensor is every stride-th element of the flattened tensor, at most 32, with stride = max(1, floor(count / 32)).
"""

import os
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "golden"), str(HERE.parents[1] / "models")]

import attacks  # noqa: E402
import autoattack  # noqa: E402
import draws  # noqa: E402
import files  # noqa: E402
import hessians  # noqa: E402
import layers  # noqa: E402
import losses  # noqa: E402
import scripts  # noqa: E402
import strangers  # noqa: E402
import training  # noqa: E402
import training_steps  # noqa: E402
import whole_networks  # noqa: E402


def main() -> None:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # TorchScript writes sets of strings in hash order, and Python hashes strings differently in every process by default.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    torch.set_num_threads(1)
    for part in (
        layers,
        losses,
        training,
        draws,
        whole_networks,
        attacks,
        autoattack,
        training_steps,
        files,
        hessians,
        scripts,
        strangers,
    ):
        part.make(HERE)
    made = [path for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    print(f"{len(made)} files, {sum(path.stat().st_size for path in made):,} bytes")


if __name__ == "__main__":
    main()
