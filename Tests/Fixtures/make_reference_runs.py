"""Makes Tests/Fixtures/reference: the first steps of runs that `models/reference_run.py` trains with PyTorch.

    python Tests/Fixtures/make_reference_runs.py

`sat train` wrote config.yaml; later changes are by hand. digits.safetensors holds 120 of the digits that come with sat. Each other
.yaml file changes some settings of config.yaml. For these changed runs, the script also writes the first numbers of the final
weights. It needs the digits (scripts/bootstrap).
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
VARIANTS = ("cyclic", "clipped", "ema", "swa")
STEPS = 12


def steps(config: dict, channels_last: bool = False) -> tuple[list[dict], dict]:
    """Returns the steps, and the first numbers of each final weight."""
    with tempfile.TemporaryDirectory() as folder:
        reference = reference_run.Reference(config, Path(folder), ROOT / "data")
        if channels_last:
            reference.network.to(memory_format=torch.channels_last)
        reference.train(config["epochs"], STEPS)
        kept, _ = safetensors_io.read(Path(folder) / "last" / "weights.safetensors")
        return (
            [json.loads(line) for line in (Path(folder) / "steps.jsonl").read_text().splitlines()],
            {name: tensor.flatten()[:4].tolist() for name, tensor in kept.items()},
        )


def with_rounding(config: dict) -> tuple[list[dict], dict, dict]:
    """Returns the steps, the weights, and the largest differences from runs in which PyTorch adds in another order.

    These differences grow quickly, because rounding can flip the sign of a gradient near zero.
    """
    plain, kept = steps(config)
    others = [steps(config, channels_last=True)]
    with torch.backends.mkldnn.flags(enabled=False):
        others.append(steps(config))
    rounding = {
        key: max(abs(a[key] - b[key]) / max(1, abs(a[key])) for other, _ in others for a, b in zip(plain, other, strict=True))
        for key in ("loss", "gradientNorm")
    }
    rounding["weights"] = max(
        abs(a - b) for _, other in others for name in kept for a, b in zip(kept[name], other[name], strict=True)
    )
    return plain, kept, rounding


def merged(config: dict, changes: dict) -> dict:
    return config | {
        key: config[key] | value if isinstance(value, dict) and isinstance(config.get(key), dict) else value
        for key, value in changes.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    data = FOLDER / "digits.safetensors"
    (images, labels), _ = reference_data.training_data("digits", ROOT / "data")
    chosen = torch.arange(0, len(labels), len(labels) // 120)[:120]
    safetensors_io.write(data, {"images": images[chosen].contiguous(), "labels": labels[chosen].contiguous()})
    common = run_config.read(FOLDER / "config.yaml") | {"data": str(data)}
    runs = {method: common | {"method": method} for method in METHODS}
    runs |= {name: merged(common, run_config.read(FOLDER / f"{name}.yaml")) for name in VARIANTS}
    rounding, weights = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        coloured = Path(folder) / "coloured.safetensors"
        # The networks with BatchNorm take 32 x 32 pixels in three colours.
        safetensors_io.write(
            coloured,
            {
                "images": torch.nn.functional.pad(images[chosen], (2, 2, 2, 2)).repeat(1, 3, 1, 1),
                "labels": labels[chosen].contiguous(),
            },
        )
        for name, config in runs.items():
            if config["model"]["name"] != "mnist-cnn":
                config["data"] = str(coloured)
            plain, kept, rounding[name] = with_rounding(config)
            (FOLDER / f"{name}.steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in plain))
            if name in VARIANTS:
                weights[name] = kept
    (FOLDER / "weights.json").write_text(json.dumps(weights) + "\n")
    (FOLDER / "rounding.json").write_text(json.dumps(rounding, indent=1) + "\n")


if __name__ == "__main__":
    main()
