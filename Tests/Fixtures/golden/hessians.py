"""hessian.{json,safetensors}: the Hessian of the MNIST network at formula weights by PyTorch's double backward, float64.

`product` is the subset of H v, and `productNorm` is the norm of H v. v = values(k = 3000) covers all parameters in their order. The
eigenvalues are Ritz values after 40 steps of Lanczos. `perSample` holds the dominant eigenvalue of each image's own Hessian.
Another solver in float64 agrees to 1e-8. The script takes two minutes.
"""

from pathlib import Path

import torch

import hessian_reference
import networks
from formula import fill, images, save, subset, values

DIRECTION = 3000
BATCH = 3


def make(folder: Path) -> None:
    network = fill(networks.build("mnist-cnn", {}).eval()).double()
    x = images((BATCH, 1, 28, 28)).double()
    # Every second label is the network's answer, and the others are wrong.
    answers = network(x).argmax(dim=1)
    labels = torch.where(torch.arange(BATCH) % 2 == 0, answers, (answers + 3) % 10)
    hessian = hessian_reference.LossHessian(network, x, labels)
    product = hessian(values((hessian.size,), DIRECTION).double())
    generator = torch.Generator().manual_seed(0)

    def ritz(operator: hessian_reference.LossHessian, steps: int) -> torch.Tensor:
        return hessian_reference.lanczos(operator, torch.randn(operator.size, generator=generator, dtype=torch.float64), steps)

    spectrum = ritz(hessian, 40)
    dominant = []
    for image, label in zip(x.split(1), labels.split(1), strict=True):
        found = ritz(hessian_reference.LossHessian(network, image, label), 40)
        dominant.append(found[found.abs().argmax()].item())
    save(
        folder,
        "hessian",
        {
            "labels": labels.tolist(),
            "loss": hessian.loss,
            "gradientNorm": hessian.gradient.norm().item(),
            "productNorm": product.norm().item(),
            "largest": spectrum[-3:].flip(0).tolist(),
            "smallest": spectrum[0].item(),
            "perSample": dominant,
        },
        {"product": subset(product)},
    )
