#!/usr/bin/env python3
"""AutoAttack in plain PyTorch, with the behaviour of its reference implementation: what `sat evaluate` is compared with.

    python models/autoattack_reference.py --weights lenet5.pt --model lenet5 --data mnist --data-root data --first 200 \\
        --epsilon 0.3 --norm linf --seed 0 --batch-size 200 --json

Written from the papers and from the described behaviour of the reference (https://github.com/fra31/auto-attack), its slips
included, so that its results can be compared sample by sample: nothing leaves a batch before an attack has ended, every batch
starts from the same seed on the global CPU generator, and the blocks are cut anew before every attack. The attacks are in
`reference_attacks/`; this file holds the ensemble and the command line.
"""

import argparse
import gzip
import json
import resource
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import networks
import safetensors_io
import weights
from reference_attacks.apgd import APGD
from reference_attacks.common import Counted, size
from reference_attacks.fab import FAB
from reference_attacks.square import Square

NORMALIZATIONS = {"cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)), "mnist": ((0.1307,), (0.3081,)),
                  "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
VERSIONS = {"standard": ["apgd-ce", "apgd-t", "fab-t", "square"],
            "plus": ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"],
            "rand": ["apgd-ce", "apgd-dlr"]}


@dataclass
class Outcome:
    """Flags (N,) after each attack, 1 = still right; the images as the attacks left them; and what it cost."""
    clean: Tensor
    images: Tensor
    flags: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)


def make_attack(name: str, model: Counted, norm: str, epsilon: float, seed: int, version: str, queries: int = 5000,
                iterations: int = 100) -> APGD | FAB | Square:
    """An attack with the parameters that a version of the ensemble gives it."""
    common = {"model": model, "norm": norm, "epsilon": epsilon, "seed": seed}
    l1 = norm == "l1"
    if name in ("apgd-ce", "apgd-dlr"):
        restarts = 5 if version == "plus" or (l1 and version == "standard") else 1
        return APGD(**common, loss=name.removeprefix("apgd-"), restarts=restarts, iterations=iterations,
                    eot=20 if version == "rand" else 1, large_radii=l1 and version == "standard")
    if name == "apgd-t":
        return APGD(**common, targets=5 if l1 and version == "standard" else 9, iterations=iterations,
                    large_radii=l1 and version == "standard")
    if name == "fab":
        return FAB(**common, restarts=5, iterations=iterations)
    if name == "fab-t":
        return FAB(**common, targets=9, iterations=iterations)
    if name == "square":
        return Square(**common, queries=queries)
    raise ValueError(f"there is no attack {name}")


def evaluate(network: nn.Module, x: Tensor, y: Tensor, norm: str, epsilon: float, seed: int = 0, batch_size: int = 250,
             version: str = "standard", attacks: list[str] | None = None, queries: int = 5000, iterations: int = 100,
             say=lambda text: None) -> Outcome:
    """Runs the attacks in turn on the samples that are still classified correctly, always from the original images."""
    model = Counted(network.eval())
    clean = torch.cat([model.right(images, labels) for images, labels in zip(x.split(batch_size), y.split(batch_size))])
    outcome = Outcome(clean.clone(), x.clone())
    right = clean.clone()
    for name in attacks or VERSIONS[version]:
        begun, before = time.perf_counter(), (model.forwards, model.backwards)
        for block in right.nonzero()[:, 0].split(batch_size):
            if not len(block):
                continue
            attack = make_attack(name, model, norm, epsilon, seed, version, queries, iterations)
            adversarial = attack.perturb(x[block].clone(), y[block].clone())
            broken = block[~model.right(adversarial, y[block])]
            right[broken] = False
            outcome.images[broken] = adversarial[[int((block == i).nonzero()) for i in broken]]
        outcome.flags[name] = right.clone()
        outcome.seconds[name] = time.perf_counter() - begun
        outcome.forwards[name], outcome.backwards[name] = model.forwards - before[0], model.backwards - before[1]
        say(f"{name}: {int(right.sum())} of {len(x)} left after {outcome.seconds[name]:.1f} s")
    return outcome


def read_data(name: str, root: Path, first: int | None) -> tuple[Tensor, Tensor]:
    """Test images in [0, 1] and labels of mnist or cifar10 under the root, or of a .safetensors or .npz file."""
    def content(path: Path) -> bytes:
        return path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())

    if name == "mnist":
        pixels = content(root / "mnist" / "t10k-images-idx3-ubyte")
        n, h, w = struct.unpack(">III", pixels[4:16])
        x = torch.from_numpy(np.frombuffer(pixels, np.uint8, offset=16).reshape(n, 1, h, w).copy()).float() / 255
        labels = content(root / "mnist" / "t10k-labels-idx1-ubyte")
        y = torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))
    elif name == "cifar10":
        records = np.frombuffer(content(root / "cifar10" / "test_batch.bin"), np.uint8).reshape(-1, 3073)
        x = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
        y = torch.from_numpy(records[:, 0].astype(np.int64))
    elif name.endswith(".npz"):
        arrays = np.load(name)
        x, y = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]).long()
    else:
        tensors, _ = safetensors_io.read(name)
        x, y = tensors["images"], tensors["labels"].long()
    if x.dtype == torch.uint8:
        x = x.float() / 255
    return x[:first], y[:first]


def number(text: str) -> float:
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--model", help="one of networks.py; not needed for a file of sat, which says")
    parser.add_argument("--normalize", choices=NORMALIZATIONS)
    parser.add_argument("--data", required=True, help="mnist, cifar10 or a .safetensors or .npz file")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--first", type=int)
    parser.add_argument("--epsilon", type=number, required=True)
    parser.add_argument("--norm", choices=["linf", "l2", "l1"], default="linf")
    parser.add_argument("--version", choices=VERSIONS, default="standard")
    parser.add_argument("--attack", help="only these, with commas")
    parser.add_argument("--queries", type=int, default=5000, help="of Square")
    parser.add_argument("--iterations", type=int, default=100, help="of APGD and FAB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--save", help="write the images as the attacks left them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    state, metadata = weights.read_state_dict(given.weights)
    network = networks.build(given.model or metadata["sat.architecture"], None,
                             NORMALIZATIONS[given.normalize] if given.normalize else None)
    weights.load(network, state, given.weights)
    x, y = read_data(given.data, given.data_root, given.first)
    begun = time.perf_counter()
    outcome = evaluate(
        network, x, y, given.norm, given.epsilon, given.seed, given.batch_size, given.version,
        given.attack.split(",") if given.attack else None, given.queries, given.iterations,
        say=lambda text: print(text, file=sys.stderr))
    seconds = time.perf_counter() - begun
    if given.save:
        safetensors_io.write(given.save, {"images": outcome.images, "labels": y})
    if not given.json:
        print(f"clean: {int(outcome.clean.sum())} of {len(x)}")
        for name, flags in outcome.flags.items():
            print(f"{name}: {int(flags.sum())} of {len(x)}, {outcome.seconds[name]:.1f} s, {outcome.forwards[name]} forward, "
                  f"{outcome.backwards[name]} backward")
        print(f"largest perturbation: {size(outcome.images - x, given.norm).max():.6f}")
        return
    last = list(outcome.flags.values())[-1] if outcome.flags else outcome.clean
    print(json.dumps({
        "clean": int(outcome.clean.sum()), "samples": len(x), "seconds": seconds,
        "attacks": [{"name": name, "robust": int(flags.sum()), "seconds": outcome.seconds[name],
                     "forward": outcome.forwards[name], "backward": outcome.backwards[name]}
                    for name, flags in outcome.flags.items()],
        "robust": int(last.sum()),
        "flags": {"clean": outcome.clean.int().tolist()} | {n: f.int().tolist() for n, f in outcome.flags.items()},
        "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))


if __name__ == "__main__":
    main()
