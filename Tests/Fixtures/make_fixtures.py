#!/usr/bin/env python3
"""Makes the golden numbers and the small files that the Swift tests compare with, from PyTorch alone.

    python make_fixtures.py            writes everything beside this script; same PyTorch, same bytes

Numbers are .safetensors with a .json that says how each was made; files for the readers are under `files/`.

The formula of weights and images
---------------------------------
Networks are too large to store, so both sides compute their weights. With 32-bit unsigned arithmetic that wraps,

    h = i * 0x9E3779B1 + (k + 1) * 0x85EBCA77
    h = (h ^ (h >> 16)) * 0x7FEB352D
    h = (h ^ (h >> 15)) * 0x846CA68B
    h =  h ^ (h >> 16)
    v(i, k) = 2 * (h / 2^32) - 1                                  in float64, -1 <= v < 1, exact

where i counts the elements of one tensor in row-major order from 0 and k is the index, from 0, of the tensor in the
state_dict's order with BatchNorm's buffers counted. A value is offset + scale * v, in float64 (one multiplication, one
addition, not fused), rounded to float32:

    weight of more than one dimension    offset 0, scale = gain * sqrt(6 / f), f = product of all sizes but the first
    weight of one dimension (BatchNorm)  offset 1, scale = 0.1
    bias                                 offset 0, scale = 0.1
    running_mean, running_var, num_batches_tracked    0, 1, 0

gain is 1 unless the .json says otherwise. Images are offset 0.5, scale 0.5 with k = 1000, unless the .json says
otherwise, over the whole batch (N, C, H, W); attack noise is offset 0, scale epsilon with k = 2000; labels are in the
.json. The subset of a tensor is every stride-th element of it flattened, at most 32, with stride = max(1, count / 32
rounded down).
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
import training  # noqa: E402
import training_steps  # noqa: E402
import whole_networks  # noqa: E402


def main() -> None:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # TorchScript writes sets of strings in hash order, which Python shuffles unless told not to.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    torch.set_num_threads(1)
    for part in (layers, losses, training, draws, whole_networks, attacks, autoattack, training_steps, files, hessians, scripts):
        part.make(HERE)
    made = [path for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    print(f"{len(made)} files, {sum(path.stat().st_size for path in made):,} bytes")


if __name__ == "__main__":
    main()
