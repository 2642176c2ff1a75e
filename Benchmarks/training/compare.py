#!/usr/bin/env python3
"""Runs the programs of this benchmark by turns and prints the ratios of their times.

Each program prints one line of JSON (see reference.py). Each ratio compares two runs of one round, so that other load on the
machine affects both. The result is the median over the rounds.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys

PROGRAMS = {"sat": "sat", "bf16": "sat, bf16", "plain": "PyTorch, plain", "best": "PyTorch, best", "best-bf16": "PyTorch, bf16"}
OPTIONAL = {"bf16", "best-bf16"}


def measure(command: str, method: str, difficulty: str) -> dict:
    words = shlex.split(command.format(method=method, difficulty=difficulty))
    finished = subprocess.run(words, capture_output=True, text=True)
    if finished.returncode != 0:
        sys.exit(f"compare: {words[0]} failed: {finished.stderr.strip()}")
    return json.loads(finished.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; default: %(default)s")
    parser.add_argument("--lambda", dest="difficulty", required=True, help="lambda of P-SAT")
    parser.add_argument("--methods", nargs="+", default=["at", "p-sat"], help="methods to measure; default: at p-sat")
    for name in PROGRAMS:
        parser.add_argument(
            f"--{name}", dest=name, required=name not in OPTIONAL, help=f"command of {name}, with {{method}} and {{difficulty}}"
        )
    arguments = parser.parse_args()
    programs = {name: title for name, title in PROGRAMS.items() if getattr(arguments, name)}
    for method in arguments.methods:
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append({name: measure(getattr(arguments, name), method, arguments.difficulty) for name in programs})
        print(
            f"{method}: {rounds[0]['sat']['batches']} batches of {rounds[0]['sat']['samples'] // rounds[0]['sat']['batches']}, "
            f"{rounds[0]['sat']['threads']} threads, {len(rounds)} rounds"
        )
        for name, title in programs.items():
            seconds = [entry[name]["secondsPerBatch"] for entry in rounds]
            print(
                f"  {title:16} {statistics.median(seconds):7.3f} s per batch ({min(seconds):.3f} to {max(seconds):.3f})   "
                f"peak {statistics.median(entry[name]['peakMemoryMiB'] for entry in rounds):6.0f} MiB   "
                f"active {rounds[0][name]['activeFraction']:.3f}   loss {rounds[0][name]['loss']:.4f}"
            )
        for ours in [name for name in ("sat", "bf16") if name in programs]:
            for name in ("plain", "best", *(["best-bf16"] if ours == "bf16" and "best-bf16" in programs else [])):
                ratios = [entry[name]["secondsPerBatch"] / entry[ours]["secondsPerBatch"] for entry in rounds]
                print(
                    f"  {name + ' / ' + PROGRAMS[ours]:24} {statistics.median(ratios):5.2f} x  ({min(ratios):.2f} to "
                    f"{max(ratios):.2f})"
                )


if __name__ == "__main__":
    main()
