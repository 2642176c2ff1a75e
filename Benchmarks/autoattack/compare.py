#!/usr/bin/env python3
"""Runs AutoAttack in `sat` and in the PyTorch port of its reference by turns, and prints the ratios of their times.

Both programs run the whole ensemble on the same images with the same batch size and number of threads. Each ratio compares two runs
of one round, and the result is the median over the rounds. The system measures the peak memory of the process. Processor seconds
include the start of the program and the time that threads wait for each other. With `--threads 1`, their ratio is valid on a busy
machine too.
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
    """Runs a program. Returns its JSON document with its peak memory in MiB and its processor seconds."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(words, stdout=output, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        output.seek(0)
        errors.seek(0)
        if status != 0:
            sys.exit(f"compare: {words[0]} failed: {errors.read().decode().strip()}")
        return json.load(output) | {"peak": usage.ru_maxrss / 1024, "processor": usage.ru_utime + usage.ru_stime}


def run(arguments: argparse.Namespace, program: str, weights: str) -> dict:
    common = [
        "--model",
        "lenet5",
        "--data",
        "mnist",
        "--data-root",
        arguments.data,
        "--first",
        str(arguments.images),
        "--epsilon",
        "0.3",
        "--seed",
        "0",
        "--batch-size",
        str(arguments.batch_size),
        "--threads",
        str(arguments.threads),
        "--json",
    ]
    path = f"{arguments.data}/checkpoints/{weights}"
    if program == "sat":
        return measure([arguments.sat, "evaluate", path, "--attack", "autoattack", "--mode", "fast", "--quiet", *common])
    return measure([sys.executable, str(PORT), "--weights", path, *common])


def correct(document: dict) -> int:
    return document["robust"] if isinstance(document["robust"], int) else document["robust"]["correct"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sat", required=True, help="sat program to measure")
    parser.add_argument("--data", required=True, help="folder with mnist/ and checkpoints/")
    parser.add_argument("--images", type=int, default=200, help="number of test images; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=1, help="number of rounds; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=200, help="images per batch; default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="number of threads; default: all cores")
    arguments = parser.parse_args()
    for name, weights, target in NETWORKS:
        rounds = [{program: run(arguments, program, weights) for program in ("sat", "port")} for _ in range(arguments.rounds)]
        print(
            f"{name}: LeNet5, {arguments.images} test images of MNIST, L-inf 0.3, batches of {arguments.batch_size}, "
            f"{arguments.threads} threads, {arguments.rounds} round{'s' if arguments.rounds > 1 else ''}"
        )
        for program, title in (("sat", "sat, fast"), ("port", "PyTorch port")):
            seconds = [sum(attack["seconds"] for attack in entry[program]["attacks"]) for entry in rounds]
            peak = statistics.median(entry[program]["peak"] for entry in rounds)
            processor = statistics.median(entry[program]["processor"] for entry in rounds)
            print(
                f"  {title:12} {statistics.median(seconds):9.1f} s   processor {processor:7.1f} s   peak {peak:6.0f} MiB   "
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
            f"  port / sat   {statistics.median(ratios):9.2f} x   ({min(ratios):.2f} to {max(ratios):.2f}; target: {target} x)   "
            f"processor "
            f"{statistics.median(entry['port']['processor'] / entry['sat']['processor'] for entry in rounds):.2f} x"
        )


if __name__ == "__main__":
    main()
