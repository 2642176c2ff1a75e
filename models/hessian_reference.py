#!/usr/bin/env python3
"""Hessians of networks in plain PyTorch by double backward, the reference for the numbers and the speed of `sat hessian`.

    python hessian_reference.py --model mnist-cnn --weights WEIGHTS.safetensors --images IMAGES.safetensors --first 16

The program prints the loss, the gradient norm and the extreme eigenvalues. With --per-sample, it prints the dominant eigenvalue of
every sample's own Hessian instead, computed sample by sample. The Hessian is the one of the mean cross-entropy in evaluation mode,
over all parameters and without weight decay.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

import command_line
import reference_data
from command_line import positive

Product = Callable[[torch.Tensor], torch.Tensor]


class LossHessian:
    """Products with the Hessian of the mean cross-entropy of one batch. All products use one graph of the gradient."""

    def __init__(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.parameters = list(network.parameters())
        loss = F.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, self.parameters, create_graph=True)
        self.gradient = flat(gradients)
        self.loss, self.size = loss.item(), self.gradient.numel()

    def __call__(self, vector: torch.Tensor) -> torch.Tensor:
        return flat(torch.autograd.grad(self.gradient, self.parameters, vector, retain_graph=True))


def flat(tensors: list[torch.Tensor] | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def power_method(
    product: Product, start: torch.Tensor, tolerance: float = 1e-4, residual: float = 1e-2, iterations: int = 200
) -> tuple[float, int]:
    """Returns the eigenvalue of largest magnitude, with its sign, and the number of products.

    Both tolerances have the meaning and the defaults of `PowerMethod` in `sat`.
    """
    vector, value = start / start.norm(), 0.0
    for iteration in range(1, iterations + 1):
        image = product(vector)
        before, value = value, (vector @ image).item()
        size = image.norm()
        if size == 0:
            return 0.0, iteration
        if abs(value - before) <= tolerance * abs(value) and (image - value * vector).norm() <= residual * abs(value):
            return value, iteration
        vector = image / size
    return value, iterations


def lanczos(product: Product, start: torch.Tensor, steps: int) -> torch.Tensor:
    """Returns all Ritz values after `steps` steps, in rising order. Orthogonalises every vector twice by Gram-Schmidt."""
    basis, diagonal, below = [start / start.norm()], [], []
    for _ in range(steps):
        image = product(basis[-1])
        diagonal.append(torch.dot(basis[-1], image))
        for _ in range(2):
            for vector in basis:
                image = image - torch.dot(vector, image) * vector
        length = image.norm()
        if length < 1e-10 * max(abs(value) for value in diagonal):
            break
        below.append(length)
        basis.append(image / length)
    matrix = torch.diag(torch.stack(diagonal))
    count = len(diagonal)
    for i, value in enumerate(below[: count - 1]):
        matrix[i, i + 1] = matrix[i + 1, i] = value
    return torch.linalg.eigvalsh(matrix)


def per_sample(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
) -> list[tuple[float, int]]:
    """Returns the dominant eigenvalue of each sample's own Hessian by the power method, and the number of products."""
    found = []
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        hessian = LossHessian(network, image, label)
        start = torch.randn(hessian.size, generator=generator, dtype=images.dtype)
        found.append(power_method(hessian, start))
    return found


def main() -> None:
    try:
        run()
    except ValueError as error:
        sys.exit(f"hessian_reference: {error}")


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="name of the network in networks.py; default: the network that a file of sat names")
    parser.add_argument("--weights", required=True, help="file of weights, from sat or PyTorch")
    parser.add_argument("--images", required=True, help=".safetensors or .npz file with images in [0, 1] and labels")
    parser.add_argument("--first", type=positive, default=128, help="number of images to use; default: %(default)s")
    parser.add_argument("--threads", type=positive, default=1, help="number of threads; default: %(default)s")
    parser.add_argument("--products", type=positive, help="only time this number of products for the whole batch")
    parser.add_argument("--per-sample", action="store_true", help="compute the dominant eigenvalue of every sample instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network, name, options = command_line.network(arguments.weights, arguments.model, [], None)
    images, labels = reference_data.batch(reference_data.image_file(arguments.images), slice(arguments.first))
    command_line.check_images(network, name, options, images, labels)
    generator = torch.Generator().manual_seed(0)

    start = time.perf_counter()
    if arguments.per_sample:
        found = per_sample(network, images, labels, generator)
        result = {"eigenvalues": [value for value, _ in found], "iterations": [count for _, count in found]}
    elif arguments.products:
        hessian = LossHessian(network, images, labels)
        vector = torch.randn(hessian.size, generator=generator)
        hessian(vector)
        seconds = []
        for _ in range(arguments.products):
            started = time.perf_counter()
            hessian(vector)
            seconds.append(time.perf_counter() - started)
        result = {"secondsPerProduct": min(seconds)}
    else:
        hessian = LossHessian(network, images, labels)
        values = lanczos(hessian, torch.randn(hessian.size, generator=generator), 30)
        result = {
            "loss": hessian.loss,
            "gradientNorm": hessian.gradient.norm().item(),
            "largest": values[-3:].flip(0).tolist(),
            "smallest": values[0].item(),
        }
    result["seconds"] = time.perf_counter() - start
    result["peakMemoryMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
