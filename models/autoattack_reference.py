#!/usr/bin/env python3
"""AutoAttack in plain PyTorch with the behaviour of its reference implementation, for comparison with `sat evaluate`.

    python models/autoattack_reference.py --weights lenet5.pt --model lenet5 --data mnist --data-root data --first 200 \\
        --epsilon 0.3 --norm linf --seed 0 --batch-size 200 --json

The code follows the papers and the described behaviour of the reference (https://github.com/fra31/auto-attack). It repeats the
mistakes of the reference, so that results can be compared sample by sample. Three rules come from there. All samples stay in their
batch until the end of an attack. Every batch starts from the same seed of the global CPU generator. Every attack splits the
remaining samples into new batches. `reference_attacks/` holds the attacks; this file holds the ensemble and the command line.
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
    """The result of an ensemble: flags (N,) after each attack (1 = still classified correctly), the attacked images, the costs."""

    clean: Tensor
    images: Tensor
    flags: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)


def make_attack(
    name: str, model: Counted, norm: str, epsilon: float, seed: int, version: str, queries: int = 5000, iterations: int = 100
) -> APGD | FAB | Square:
    """Makes an attack with the parameters of a version of the ensemble."""
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
    report=lambda text: None,
) -> Outcome:
    """Runs the attacks in turn on the samples that are still classified correctly. Every attack starts from the original images."""
    model = Counted(network.eval())
    clean = torch.cat(
        [model.right(images, labels) for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True)]
    )
    outcome = Outcome(clean.clone(), x.clone())
    right = clean.clone()
    for name in attacks or VERSIONS[version]:
        started, before = time.perf_counter(), (model.forwards, model.backwards)
        for block in right.nonzero()[:, 0].split(batch_size):
            if not len(block):
                continue
            attack = make_attack(name, model, norm, epsilon, seed, version, queries, iterations)
            adversarial = attack.perturb(x[block].clone(), y[block].clone())
            broken = block[~model.right(adversarial, y[block])]
            right[broken] = False
            outcome.images[broken] = adversarial[[int((block == i).nonzero()) for i in broken]]
        outcome.flags[name] = right.clone()
        outcome.seconds[name] = time.perf_counter() - started
        outcome.forwards[name], outcome.backwards[name] = model.forwards - before[0], model.backwards - before[1]
        report(f"{name}: {int(right.sum())} of {len(x)} left after {outcome.seconds[name]:.1f} s")
    return outcome


def read_data(name: str, root: Path, first: int | None) -> tuple[Tensor, Tensor]:
    """Reads test images in [0, 1] and labels of a data set under the root, or of a .safetensors or .npz file."""
    return reference_data.batch(reference_data.test_data(name, root), slice(first))


def attack_names(text: str) -> list[str]:
    """Splits comma-separated names of attacks, for argparse."""
    names = text.split(",")
    for name in names:
        if name not in ATTACKS:
            raise argparse.ArgumentTypeError(
                f"there is no attack '{name}'; expected {', '.join(ATTACKS)}, or several of them separated by commas"
            )
    return names


def main() -> None:
    try:
        run()
    except ValueError as error:
        sys.exit(f"autoattack_reference: {error}")


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", required=True, help="file of weights, from sat or PyTorch")
    parser.add_argument("--model", help="name of the network in networks.py; default: the network that a file of sat names")
    parser.add_argument("--normalize", choices=sorted(NORMALIZATIONS), help="default: what a file of sat names, else none")
    parser.add_argument("--data", required=True, help="digits, mnist, cifar10, cifar100, or a .safetensors or .npz file")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=reference_data.default_root(),
        help="folder of the data sets; default: the environment variable SAT_DATA, else data/",
    )
    parser.add_argument("--first", type=positive, help="number of test images to use; default: all")
    parser.add_argument("--epsilon", type=radius, required=True, help="largest perturbation, such as 0.3 or 8/255")
    parser.add_argument("--norm", choices=["linf", "l2", "l1"], default="linf")
    parser.add_argument("--version", choices=VERSIONS, default="standard")
    parser.add_argument("--attack", type=attack_names, help="comma-separated attacks; default: all attacks of the version")
    parser.add_argument("--queries", type=positive, default=5000, help="queries of Square; default: %(default)s")
    parser.add_argument("--iterations", type=positive, default=100, help="iterations of APGD and FAB; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=positive, default=250)
    parser.add_argument("--threads", type=positive)
    parser.add_argument("--save", help="file for the attacked images, .safetensors")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    arguments = parser.parse_args()
    if arguments.norm == "linf" and arguments.epsilon > 1:
        parser.error("argument --epsilon: expected at most 1 for linf, because images lie in [0, 1]")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.save:
        safetensors_io.writable(arguments.save)
    network, name, options = command_line.network(
        arguments.weights, arguments.model, [], [arguments.normalize] if arguments.normalize else None
    )
    x, y = read_data(arguments.data, arguments.data_root, arguments.first)
    command_line.check_images(network, name, options, x, y)
    started = time.perf_counter()
    outcome = evaluate(
        network,
        x,
        y,
        arguments.norm,
        arguments.epsilon,
        arguments.seed,
        arguments.batch_size,
        arguments.version,
        arguments.attack,
        arguments.queries,
        arguments.iterations,
        report=lambda text: print(text, file=sys.stderr),
    )
    seconds = time.perf_counter() - started
    if arguments.save:
        safetensors_io.write(arguments.save, {"images": outcome.images, "labels": y})
    if not arguments.json:
        print(f"clean: {int(outcome.clean.sum())} of {len(x)}")
        for name, flags in outcome.flags.items():
            print(
                f"{name}: {int(flags.sum())} of {len(x)}, {outcome.seconds[name]:.1f} s, {outcome.forwards[name]} forward, "
                f"{outcome.backwards[name]} backward"
            )
        print(f"largest perturbation: {size(outcome.images - x, arguments.norm).max():.6f}")
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
