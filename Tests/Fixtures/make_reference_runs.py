"""Makes Tests/Fixtures/reference: a few steps of runs as `models/reference_run.py` trains them, with PyTorch.

    python Tests/Fixtures/make_reference_runs.py

config.yaml there is written by `sat train` and kept by hand; digits.safetensors are 120 of the digits that come with sat.
Needs the defenses and the digits (scripts/bootstrap).
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "reference"
sys.path.insert(0, str(ROOT / "models"))

import reference_data  # noqa: E402
import reference_run  # noqa: E402
import run_config  # noqa: E402
import safetensors_io  # noqa: E402

METHODS = ("at", "p-sat")
STEPS = 12


def steps(config: dict, channels_last: bool = False) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        reference = reference_run.Reference(config, Path(folder), ROOT / "data")
        if channels_last:
            reference.network.to(memory_format=torch.channels_last)
        reference.train(config["epochs"], STEPS)
        return [json.loads(line) for line in (Path(folder) / "steps.jsonl").read_text().splitlines()]


def main() -> None:
    torch.set_num_threads(1)
    data = FOLDER / "digits.safetensors"
    (images, labels), _ = reference_data.training_data("digits", ROOT / "data")
    chosen = torch.arange(0, len(labels), len(labels) // 120)[:120]
    safetensors_io.write(data, {"images": images[chosen].contiguous(), "labels": labels[chosen].contiguous()})
    rounding = {}
    for method in METHODS:
        config = run_config.read(FOLDER / "config.yaml") | {"method": method, "data": str(data)}
        plain = steps(config)
        (FOLDER / f"{method}.steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in plain))
        # How far PyTorch is from itself when it sums in another order: the signs of gradients near zero make much of little.
        others = [steps(config, channels_last=True)]
        with torch.backends.mkldnn.flags(enabled=False):
            others.append(steps(config))
        rounding[method] = {key: max(abs(a[key] - b[key]) / max(1, abs(a[key])) for other in others
                                     for a, b in zip(plain, other, strict=True)) for key in ("loss", "gradientNorm")}
    (FOLDER / "rounding.json").write_text(json.dumps(rounding, indent=1) + "\n")


if __name__ == "__main__":
    main()
