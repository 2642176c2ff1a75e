#!/usr/bin/env python3
"""Turns weights of one of the networks of networks.py into a TorchScript file, which `sat` runs without Python.

    python export_torchscript.py lenet5.pt --model lenet5 --output lenet5.ts
    python export_torchscript.py resnet20.th --model resnet20 --normalize imagenet --output resnet20.ts
    python export_torchscript.py runs/digits-p-sat/best/weights.safetensors --output digits.ts

Weights may be a PyTorch state_dict (zip or legacy pickle; bare or under state_dict, model_state_dict, model, net,
network, best or last; with or without `module.`) or a .safetensors file. One that `sat` wrote names its own network, options
and normalisation.
"""

import argparse
import io
import sys
import warnings

import torch
from torch import nn
from torch.jit.frontend import FrontendError

import command_line
import networks
from safetensors_io import writable, write_atomically


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="the file of weights")
    parser.add_argument("--model", metavar="NAME", help=f"the network: {', '.join(networks.NETWORKS)}")
    parser.add_argument(
        "--model-option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of the network, such as classes=100; may be repeated",
    )
    parser.add_argument(
        "--normalize",
        metavar=("MEAN", "STD"),
        nargs="+",
        help="normalise inputs first: two comma-separated lists, one value a channel, or one of "
        f"{', '.join(networks.NORMALIZATIONS)}",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="the TorchScript file to write")
    given = parser.parse_args(arguments)
    try:
        print(export(given))
    except (ValueError, OSError) as error:
        print(f"export_torchscript: {error}", file=sys.stderr)
        return 1
    return 0


def export(given: argparse.Namespace) -> str:
    """Does what the command line asks and returns the line to print."""
    writable(given.output)
    network, name, options = command_line.network(given.weights, given.model, given.model_option, given.normalize)
    example = torch.rand(2, *networks.architecture(name).input_shape(options), generator=torch.Generator().manual_seed(0))
    script = to_torchscript(network, example)
    with torch.no_grad():
        expected, actual = network(example), script(example)
    if not torch.allclose(expected, actual, rtol=1e-5, atol=1e-6):
        raise ValueError(f"{given.weights} gives non-finite logits, or TorchScript computes others than Python")
    content = io.BytesIO()
    torch.jit.save(script, content)
    write_atomically(given.output, content.getvalue())
    shape = " x ".join(map(str, example.shape[1:]))
    count = sum(parameter.numel() for parameter in network.parameters())
    return f"{given.output}: {name}, {count:,} parameters, images {shape} in [0, 1], {expected.shape[1]} classes"


def to_torchscript(network: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """The network as TorchScript: compiled from its source where that is possible, else recorded on `example`.

    A recording keeps only the operations that the example met; networks that branch on their input must compile.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch.jit.script(network)
        except (FrontendError, RuntimeError, TypeError, OSError):
            with torch.no_grad():
                return torch.jit.trace(network, example)


if __name__ == "__main__":
    sys.exit(main())
