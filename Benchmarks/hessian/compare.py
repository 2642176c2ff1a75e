#!/usr/bin/env python3
"""Runs both programs of this benchmark by turns and prints the ratios of their times.

Each ratio compares two runs of one round, so that other load on the machine affects both. The result is the median over the rounds.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys


def measure(command: str) -> dict:
    finished = subprocess.run(shlex.split(command), capture_output=True, text=True)
    if finished.returncode != 0:
        sys.exit(f"compare: {command.split()[0]} failed: {finished.stderr.strip()}")
    return json.loads(finished.stdout)


def show(title: str, unit: str, pairs: list[tuple[float, float]]) -> None:
    ratios = [reference / own for own, reference in pairs]
    own, reference = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:42} sat {own:8.3f} {unit}   PyTorch {reference:8.3f} {unit}   "
        f"PyTorch / sat {statistics.median(ratios):5.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; default: %(default)s")
    parser.add_argument("--sat", required=True, help="command of the Swift program, with {mode} in place of the mode")
    parser.add_argument("--reference", required=True, help="command of the PyTorch program, with {mode} in place of its options")
    arguments = parser.parse_args()
    modes = {"products": "--products 5", "per-sample": "--per-sample"}
    for mode, option in modes.items():
        rounds = [
            (measure(arguments.sat.format(mode=mode)), measure(arguments.reference.format(mode=option)))
            for _ in range(arguments.rounds)
        ]
        own, reference = rounds[-1]
        memory = f"  peak memory of the process: sat {own['peakMemoryMiB']:.0f} MiB, PyTorch {reference['peakMemoryMiB']:.0f} MiB"
        if mode == "products":
            show("product with the mean Hessian", "s", [(a["secondsPerProduct"], b["secondsPerProduct"]) for a, b in rounds])
            print(memory)
            continue
        show("dominant eigenvalue of every sample", "s", [(a["seconds"], b["seconds"]) for a, b in rounds])
        print(memory)
        difference = max(abs(a - b) / abs(b) for a, b in zip(own["eigenvalues"], reference["eigenvalues"], strict=True))
        print(
            f"  products per sample: sat {statistics.mean(own['iterations']):.1f}, PyTorch "
            f"{statistics.mean(reference['iterations']):.1f}; largest relative difference of an eigenvalue {difference:.1e}"
        )


if __name__ == "__main__":
    main()
