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
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

import command_line
import reference_data
import safetensors_io
from command_line import positive, radius
from networks import NORMALIZATIONS
from reference_attacks.apgd import APGD
from reference_attacks.common import Counted, size
from reference_attacks.fab import FAB
from reference_attacks.square import Square

VERSIONS = {
    "standard": ["apgd-ce", "apgd-t", "fab-t", "square"],
    "plus": ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"],
    "rand": ["apgd-ce", "apgd-dlr"],
}
ATTACKS = ["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]


@dataclass
class Outcome:
    """Flags (N,) after each attack, 1 = still right; the images as the attacks left them; and what it cost."""

    clean: Tensor
    images: Tensor
    flags: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)


def make_attack(
    name: str, model: Counted, norm: str, epsilon: float, seed: int, version: str, queries: int = 5000, iterations: int = 100
) -> APGD | FAB | Square:
    """An attack with the parameters that a version of the ensemble gives it."""
    common = {"model": model, "norm": norm, "epsilon": epsilon, "seed": seed}
    l1 = norm == "l1"
    if name in ("apgd-ce", "apgd-dlr"):
        restarts = 5 if version == "plus" or (l1 and version == "standard") else 1
        return APGD(
            **common,
            loss=name.removeprefix("apgd-"),
            restarts=restarts,
            iterations=iterations,
            eot=20 if version == "rand" else 1,
            large_radii=l1 and version == "standard",
        )
    if name == "apgd-t":
        return APGD(
            **common,
            targets=5 if l1 and version == "standard" else 9,
            iterations=iterations,
            large_radii=l1 and version == "standard",
        )
    if name == "fab":
        return FAB(**common, restarts=5, iterations=iterations)
    if name == "fab-t":
        return FAB(**common, targets=9, iterations=iterations)
    if name == "square":
        return Square(**common, queries=queries)
    raise ValueError(f"there is no attack {name}")


def evaluate(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: str,
    epsilon: float,
    seed: int = 0,
    batch_size: int = 250,
    version: str = "standard",
    attacks: list[str] | None = None,
    queries: int = 5000,
    iterations: int = 100,
    say=lambda text: None,
) -> Outcome:
    """Runs the attacks in turn on the samples that are still classified correctly, always from the original images."""
    model = Counted(network.eval())
    clean = torch.cat(
        [model.right(images, labels) for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True)]
    )
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
    """Test images in [0, 1] and labels of a data set under the root, or of a .safetensors or .npz file."""
    return reference_data.batch(reference_data.test_data(name, root), slice(first))


def attack_names(text: str) -> list[str]:
    """Names with commas between, for argparse."""
    names = text.split(",")
    for name in names:
        if name not in ATTACKS:
            raise argparse.ArgumentTypeError(f"there is no attack '{name}'; expected {', '.join(ATTACKS)}, with commas between")
    return names


def main() -> None:
    try:
        run()
    except ValueError as error:
        sys.exit(f"autoattack_reference: {error}")


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--model", help="one of networks.py; not needed for a file of sat, which says")
    parser.add_argument("--normalize", choices=sorted(NORMALIZATIONS))
    parser.add_argument("--data", required=True, help="digits, mnist, cifar10, cifar100 or a .safetensors or .npz file")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=reference_data.default_root(),
        help="folder of the data sets; default: the variable SAT_DATA, else data/ here",
    )
    parser.add_argument("--first", type=positive)
    parser.add_argument("--epsilon", type=radius, required=True)
    parser.add_argument("--norm", choices=["linf", "l2", "l1"], default="linf")
    parser.add_argument("--version", choices=VERSIONS, default="standard")
    parser.add_argument("--attack", type=attack_names, help="only these, with commas")
    parser.add_argument("--queries", type=positive, default=5000, help="of Square")
    parser.add_argument("--iterations", type=positive, default=100, help="of APGD and FAB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=positive, default=250)
    parser.add_argument("--threads", type=positive)
    parser.add_argument("--save", help="write the images as the attacks left them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.norm == "linf" and given.epsilon > 1:
        parser.error("argument --epsilon: expected at most 1 in linf, since images lie in [0, 1]")
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.save:
        safetensors_io.writable(given.save)
    network, name, options = command_line.network(given.weights, given.model, [], [given.normalize] if given.normalize else None)
    x, y = read_data(given.data, given.data_root, given.first)
    command_line.check_images(network, name, options, x, y)
    begun = time.perf_counter()
    outcome = evaluate(
        network,
        x,
        y,
        given.norm,
        given.epsilon,
        given.seed,
        given.batch_size,
        given.version,
        given.attack,
        given.queries,
        given.iterations,
        say=lambda text: print(text, file=sys.stderr),
    )
    seconds = time.perf_counter() - begun
    if given.save:
        safetensors_io.write(given.save, {"images": outcome.images, "labels": y})
    if not given.json:
        print(f"clean: {int(outcome.clean.sum())} of {len(x)}")
        for name, flags in outcome.flags.items():
            print(
                f"{name}: {int(flags.sum())} of {len(x)}, {outcome.seconds[name]:.1f} s, {outcome.forwards[name]} forward, "
                f"{outcome.backwards[name]} backward"
            )
        print(f"largest perturbation: {size(outcome.images - x, given.norm).max():.6f}")
        return
    last = list(outcome.flags.values())[-1] if outcome.flags else outcome.clean
    print(
        json.dumps(
            {
                "clean": int(outcome.clean.sum()),
                "samples": len(x),
                "seconds": seconds,
                "attacks": [
                    {
                        "name": name,
                        "robust": int(flags.sum()),
                        "seconds": outcome.seconds[name],
                        "forward": outcome.forwards[name],
                        "backward": outcome.backwards[name],
                    }
                    for name, flags in outcome.flags.items()
                ],
                "robust": int(last.sum()),
                "flags": {"clean": outcome.clean.int().tolist()} | {n: f.int().tolist() for n, f in outcome.flags.items()},
                "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
