#!/usr/bin/env python3
"""Writes FOLDER/weights.safetensors, a freshly initialised network, and FOLDER/data.safetensors, random images of its size.

    python problem.py NETWORK COUNT FOLDER

Random images are enough, because the time of plain adversarial training does not depend on their content.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))

import networks
import safetensors_io


def main() -> None:
    name, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = networks.build(name)
    safetensors_io.write(folder / "weights.safetensors", network.state_dict(), {"sat.architecture": name})
    images = torch.randint(0, 256, (count, *networks.architecture(name).input_shape({})), dtype=torch.uint8)
    safetensors_io.write(folder / "data.safetensors", {"images": images, "labels": torch.arange(count) % 10})


if __name__ == "__main__":
    main()
