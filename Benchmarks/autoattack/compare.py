#!/usr/bin/env python3
"""Runs AutoAttack in `sat` and in the PyTorch port of its reference in turn and prints the ratios of their times.

Both run the whole ensemble on the same images with the same batch size and number of threads; a ratio is taken inside a round,
and the median over the rounds is what counts. Peak memory is that of the process, as the system counts it. Processor seconds
include the start of the program and what its threads spend waiting for each other; with `--threads 1` their ratio holds on a
busy machine too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PORT = Path(__file__).resolve().parents[2] / "models" / "autoattack_reference.py"
NETWORKS = [("robust", "advertorch_mnist_lenet5_advtrained.pt", 2.5), ("undefended", "advertorch_mnist_lenet5_clntrained.pt", 20.0)]


def measure(words: list[str]) -> dict:
    """The program's JSON document, with its peak memory in MiB and its processor seconds."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(words, stdout=output, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        output.seek(0)
        errors.seek(0)
        if status != 0:
            sys.exit(f"compare: {words[0]} failed: {errors.read().decode().strip()}")
        return json.load(output) | {"peak": usage.ru_maxrss / 1024, "processor": usage.ru_utime + usage.ru_stime}


def run(given: argparse.Namespace, program: str, weights: str) -> dict:
    common = [
        "--model",
        "lenet5",
        "--data",
        "mnist",
        "--data-root",
        given.data,
        "--first",
        str(given.images),
        "--epsilon",
        "0.3",
        "--seed",
        "0",
        "--batch-size",
        str(given.batch_size),
        "--threads",
        str(given.threads),
        "--json",
    ]
    path = f"{given.data}/checkpoints/{weights}"
    if program == "sat":
        return measure([given.sat, "evaluate", path, "--attack", "autoattack", "--mode", "fast", "--quiet", *common])
    return measure([sys.executable, str(PORT), "--weights", path, *common])


def correct(document: dict) -> int:
    return document["robust"] if isinstance(document["robust"], int) else document["robust"]["correct"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sat", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args()
    for name, weights, wanted in NETWORKS:
        rounds = [{program: run(given, program, weights) for program in ("sat", "port")} for _ in range(given.rounds)]
        print(
            f"{name}: LeNet5, {given.images} test images of MNIST, L-inf 0.3, batches of {given.batch_size}, {given.threads} "
            f"threads, "
            f"{given.rounds} round{'s' if given.rounds > 1 else ''}"
        )
        for program, what in (("sat", "sat, fast"), ("port", "PyTorch port")):
            seconds = [sum(attack["seconds"] for attack in entry[program]["attacks"]) for entry in rounds]
            peak = statistics.median(entry[program]["peak"] for entry in rounds)
            processor = statistics.median(entry[program]["processor"] for entry in rounds)
            print(
                f"  {what:12} {statistics.median(seconds):9.1f} s   processor {processor:7.1f} s   peak {peak:6.0f} MiB   "
                f"robust {correct(rounds[0][program])}"
            )
            all_seconds = sum(attack["seconds"] for attack in rounds[0][program]["attacks"]) or 1
            for attack in rounds[0][program]["attacks"]:
                print(
                    f"    {attack['name']:10} {attack['seconds']:9.1f} s {100 * attack['seconds'] / all_seconds:4.0f} %   "
                    f"{attack['forward']:9} forward {attack['backward']:8} backward   {attack['robust']} left"
                )
        ratios = [
            sum(a["seconds"] for a in entry["port"]["attacks"]) / sum(a["seconds"] for a in entry["sat"]["attacks"])
            for entry in rounds
        ]
        print(
            f"  port / sat   {statistics.median(ratios):9.2f} x   ({min(ratios):.2f} to {max(ratios):.2f}; wanted: {wanted} x)   "
            f"processor "
            f"{statistics.median(entry['port']['processor'] / entry['sat']['processor'] for entry in rounds):.2f} x"
        )


if __name__ == "__main__":
    main()
