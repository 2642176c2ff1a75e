#!/usr/bin/env python3
"""Runs both sides of this benchmark in turn, round after round, and prints the ratios of their times.

A ratio is taken inside a round, so that what else the machine does falls on both; the median over the rounds is what counts.
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


def show(what: str, unit: str, pairs: list[tuple[float, float]]) -> None:
    ratios = [reference / own for own, reference in pairs]
    own, reference = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{what:42} sat {own:8.3f} {unit}   PyTorch {reference:8.3f} {unit}   "
        f"PyTorch / sat {statistics.median(ratios):5.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sat", required=True, help="command with {mode}")
    parser.add_argument("--reference", required=True, help="command with {mode}")
    given = parser.parse_args()
    modes = {"products": "--products 5", "per-sample": "--per-sample"}
    for mode, option in modes.items():
        rounds = [(measure(given.sat.format(mode=mode)), measure(given.reference.format(mode=option))) for _ in range(given.rounds)]
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
            f"  products a sample: sat {statistics.mean(own['iterations']):.1f}, PyTorch "
            f"{statistics.mean(reference['iterations']):.1f}; largest relative difference of an eigenvalue {difference:.1e}"
        )


if __name__ == "__main__":
    main()
