#!/usr/bin/env python3
"""Times adversarial training of a network of models/ in PyTorch and prints one line of JSON.

    python reference.py --mode plain --method at --data digits.npz --weights demo.safetensors --batches 31

Both modes train as the paper says: projected gradient ascent in evaluation mode from a uniform start, then one SGD step (learning
rate 0.01, momentum 0.9, weight decay 5e-4) in training mode on the last iterate. With p-sat, a sample moves only while its
probability margin psi is at most lambda. The forward pass for the gradient also gives psi. Stopped samples still pass through the
network, and the ascent ends when all samples have stopped.

plain   as in the authors' code: contiguous float32, weights that always require gradients
best    the same arithmetic as fast as PyTorch can: channels_last, weights frozen during the ascent, in-place updates;
        with --attack-precision bf16, the ascent runs under autocast

Before the measurement, the program trains one uncounted batch on a copy of the network.
"""

import argparse
import copy
import gzip
import json
import math
import resource
import struct
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))

import networks
import safetensors_io
import weights

Maximiser = Callable[[nn.Module, Tensor, Tensor, Tensor, argparse.Namespace], tuple[Tensor, float]]


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns psi (N,), the largest probability of another class minus the probability of the right class."""
    probabilities = logits.softmax(1)
    right = probabilities.gather(1, labels[:, None]).squeeze(1)
    return probabilities.scatter(1, labels[:, None], -1.0).amax(1) - right


def maximise_plain(
    network: nn.Module, x0: Tensor, labels: Tensor, noise: Tensor, arguments: argparse.Namespace
) -> tuple[Tensor, float]:
    """Returns the last iterate and the mean fraction of samples that a step moves."""
    x = torch.clamp(x0 + noise, 0, 1)
    moved = 0.0
    for _ in range(arguments.steps):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = network(x)
            loss = F.cross_entropy(logits, labels, reduction="sum")
            gradient = torch.autograd.grad(loss, x)[0]
        x = x.detach()
        if arguments.method == "p-sat":
            mask = (margin(logits.detach(), labels) <= arguments.difficulty).float()
            if mask.sum() == 0:
                break
        else:
            mask = torch.ones(len(x))
        moved += mask.mean().item()
        x = x + arguments.step_size * mask.view(-1, 1, 1, 1) * torch.sign(gradient)
        x = torch.min(torch.max(x, x0 - arguments.epsilon), x0 + arguments.epsilon)
        x = torch.clamp(x, 0, 1)
    return x, moved / arguments.steps


def maximise_best(
    network: nn.Module, x0: Tensor, labels: Tensor, noise: Tensor, arguments: argparse.Namespace
) -> tuple[Tensor, float]:
    network.requires_grad_(False)
    low, high = (x0 - arguments.epsilon).clamp_(0, 1), (x0 + arguments.epsilon).clamp_(0, 1)
    x = (x0 + noise).clamp_(0, 1)
    moved = 0.0
    for _ in range(arguments.steps):
        x.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.attack_precision == "bf16"):
            logits = network(x).float()
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
        with torch.no_grad():
            step = gradient.sign_()
            if arguments.method == "p-sat":
                active = margin(logits, labels) <= arguments.difficulty
                count = int(active.sum())
                if count == 0:
                    break
                if count < len(x):
                    step.mul_(active.view(-1, 1, 1, 1))
                moved += count / len(x)
            else:
                moved += 1.0
            x = torch.clamp_(x.detach().add_(step, alpha=arguments.step_size), low, high)
    network.requires_grad_(True)
    return x.detach(), moved / arguments.steps


def train_batch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x0: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    maximise: Maximiser,
    arguments: argparse.Namespace,
) -> tuple[float, float]:
    noise = torch.empty(x0.shape).uniform_(-arguments.epsilon, arguments.epsilon, generator=generator)
    network.eval()
    x, active = maximise(network, x0, labels, noise, arguments)
    network.train()
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(network(x), labels)
    loss.backward()
    optimizer.step()
    return loss.item(), active


def run(arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(arguments.threads)
    images, labels = read_data(arguments)
    state, metadata = weights.read_state_dict(arguments.weights)
    name = metadata.get("sat.architecture", "mnist-cnn")
    options = {key: int(value) for key, value in json.loads(metadata.get("sat.options", "{}")).items()}
    network = networks.build(name, options)
    weights.load(network, state, arguments.weights)
    expected = networks.architecture(name).input_shape(options)
    if images.shape[1:] != expected:
        raise ValueError(f"the images are {tuple(images.shape[1:])}; {name} takes {expected}")
    maximise = maximise_plain
    if arguments.mode == "best":
        network = network.to(memory_format=torch.channels_last)
        maximise = maximise_best
    generator = torch.Generator().manual_seed(arguments.seed)
    order = torch.randperm(len(images), generator=generator)
    batches = order.split(arguments.batch_size)[: arguments.batches]

    def optimizer(trained: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(trained.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    spare = copy.deepcopy(network)
    train_batch(
        spare,
        optimizer(spare),
        prepare(images[batches[0]]),
        labels[batches[0]],
        torch.Generator().manual_seed(arguments.seed),
        maximise,
        arguments,
    )
    trained = optimizer(network)
    losses, fractions, seconds = [], [], []
    for batch in batches:
        start = time.perf_counter()
        loss, active = train_batch(network, trained, prepare(images[batch]), labels[batch], generator, maximise, arguments)
        seconds.append(time.perf_counter() - start)
        losses.append(loss)
        fractions.append(active)
    return {
        "mode": arguments.mode,
        "method": arguments.method,
        "lambda": arguments.difficulty if arguments.method == "p-sat" else None,
        "threads": torch.get_num_threads(),
        "batches": len(batches),
        "samples": sum(map(len, batches)),
        "seconds": sum(seconds),
        "secondsPerBatch": sum(seconds) / len(seconds),
        "peakMemoryMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss": math.fsum(losses) / len(losses),
        "activeFraction": math.fsum(fractions) / len(fractions),
        "torch": torch.__version__,
    }


def prepare(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def read_data(arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Reads images (N, C, H, W), bytes or floats in [0, 1], and int64 labels (N,)."""
    if arguments.data:
        if arguments.data.endswith(".npz"):
            with np.load(arguments.data) as archive:
                images, labels = (torch.from_numpy(archive[key]) for key in ("images", "labels"))
        else:
            tensors, _ = safetensors_io.read(arguments.data)
            images, labels = tensors["images"], tensors["labels"]
    elif arguments.images and arguments.labels:
        images, labels = read_idx(arguments.images, 3)[:, None], read_idx(arguments.labels, 1)
    else:
        raise ValueError("give --data FILE, or both --images FILE and --labels FILE")
    if len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images but {len(labels)} labels")
    return images, labels.long()


def read_idx(path: str, dimensions: int) -> Tensor:
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is not an IDX file of bytes in {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    if math.prod(shape) != len(content) - head:
        raise ValueError(f"{path} declares {shape} but holds {len(content) - head} bytes")
    return torch.frombuffer(bytearray(content[head:]), dtype=torch.uint8).reshape(shape)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["plain", "best"], required=True, help="see above")
    parser.add_argument(
        "--attack-precision", choices=["fp32", "bf16"], default="fp32", help="precision of the ascent in mode best; default: fp32"
    )
    parser.add_argument("--method", choices=["at", "p-sat"], required=True)
    parser.add_argument(
        "--lambda", dest="difficulty", type=lambda text: float(Fraction(text)), default=1 / 3, help="lambda of p-sat; default: 1/3"
    )
    parser.add_argument("--weights", required=True, help="initial weights: .safetensors or a PyTorch state_dict")
    parser.add_argument("--data", help=".npz or .safetensors file with images and labels")
    parser.add_argument("--images", help="IDX file of images, with or without gzip")
    parser.add_argument("--labels", help="IDX file of labels, with or without gzip")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--step-size", type=lambda text: float(Fraction(text)), default=0.02)
    parser.add_argument("--epsilon", type=lambda text: float(Fraction(text)), default=0.3)
    parser.add_argument("--batches", type=int, help="number of batches; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    try:
        print(json.dumps(run(parser.parse_args())))
    except (ValueError, OSError, KeyError) as error:
        print(f"reference: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
