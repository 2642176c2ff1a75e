#!/usr/bin/env python3
"""Runs a checkout of the official AutoAttack on images, and prints the flags after every attack as one line of JSON.

    python models/official_autoattack.py lenet5.pt --model lenet5 --data mnist --epsilon 0.3 --first 64 --reference auto-attack

The reference is a folder of https://github.com/fra31/auto-attack, which the user has. The network is one of networks.py with the
given weights, or a TorchScript archive. The ensemble runs attack by attack on the images that are still right, because the
official class tells the flags only at its end. That is the same computation: it cuts new batches before every attack, and sets the
seed before every batch. `scripts/parity` compares the flags with those of `sat evaluate --mode compat`.
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import command_line
import reference_data
from command_line import positive, radius
from networks import NORMALIZATIONS

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


def load(arguments: argparse.Namespace) -> nn.Module:
    """Returns the network in evaluation mode. Raises ValueError with one sentence."""
    if arguments.model is None:
        with contextlib.suppress(RuntimeError):
            return torch.jit.load(arguments.weights, map_location="cpu").eval()
    normalize = [arguments.normalize] if arguments.normalize else None
    return command_line.network(arguments.weights, arguments.model, [], normalize)[0]


def flags(network: nn.Module, images: Tensor, labels: Tensor, arguments: argparse.Namespace) -> dict[str, list[int]]:
    """Returns for every attack of the standard version whether each image is right after it and all attacks before it."""
    from autoattack import AutoAttack

    official = AutoAttack(
        network,
        norm=NORMS[arguments.norm],
        eps=arguments.epsilon,
        seed=arguments.seed,
        version="standard",
        device="cpu",
        verbose=False,
    )
    size = arguments.batch_size
    with torch.no_grad():
        right = torch.cat([network(part).argmax(1) for part in images.split(size)]) == labels
    found = {"clean": right.int().tolist()}
    for attack in official.attacks_to_run.copy():
        left = right.nonzero()[:, 0]
        if len(left):
            official.attacks_to_run = [attack]
            _, answers = official.run_standard_evaluation(images[left], labels[left], bs=size, return_labels=True)
            right[left[answers != labels[left]]] = False
        found[attack] = right.int().tolist()
        print(f"{attack}: {int(right.sum())} of {len(labels)} left", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", help="file of weights, or TorchScript archive")
    parser.add_argument("--model", help="name of the network in networks.py; default: the one that a file of sat names")
    parser.add_argument("--normalize", choices=sorted(NORMALIZATIONS), help="default: what a file of sat names, else none")
    parser.add_argument("--data", required=True, help="digits, mnist, cifar10, cifar100, or a .safetensors or .npz file")
    parser.add_argument("--data-root", type=Path, default=reference_data.default_root(), help="folder of the data sets")
    parser.add_argument("--first", type=positive, default=64, help="number of test images; default: %(default)s")
    parser.add_argument("--epsilon", type=radius, required=True, help="largest perturbation, such as 0.3 or 8/255")
    parser.add_argument("--norm", choices=NORMS, default="linf")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=positive, default=250)
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--reference", type=Path, required=True, help="folder of the official AutoAttack")
    arguments = parser.parse_args()
    if not (arguments.reference / "autoattack" / "autoattack.py").exists():
        sys.exit(
            f"official_autoattack: {arguments.reference} holds no autoattack/autoattack.py; clone the official AutoAttack there"
        )
    sys.path.insert(0, str(arguments.reference))
    torch.set_num_threads(arguments.threads)
    try:
        network = load(arguments)
        data = reference_data.test_data(arguments.data, arguments.data_root)
    except (ValueError, OSError) as error:
        sys.exit(f"official_autoattack: {error}")
    images, labels = reference_data.batch(data, slice(arguments.first))
    started = time.perf_counter()
    # The official code prints to standard output, which is for the document.
    with contextlib.redirect_stdout(sys.stderr):
        found = flags(network, images, labels, arguments)
    print(json.dumps({"flags": found, "samples": len(labels), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
