#!/usr/bin/env python3
"""Converts weights of a network of networks.py to a TorchScript file, which `sat` runs without Python.

    python export_torchscript.py lenet5.pt --model lenet5 --output lenet5.ts
    python export_torchscript.py resnet20.th --model resnet20 --normalize imagenet --output resnet20.ts
    python export_torchscript.py runs/digits-p-sat/best/weights.safetensors --output digits.ts

The weights may be a .safetensors file or a PyTorch file (zip or legacy pickle). In a PyTorch file the state_dict may lie at the top
or under state_dict, model_state_dict, model, net, network, best or last, with or without `module.` before its keys. A file that
`sat` wrote names its own network, options and normalisation.
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


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="file of weights")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"network: {', '.join(networks.NETWORKS)}; default: the network that a file of sat names",
    )
    parser.add_argument(
        "--model-option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="option of the network, such as classes=100; may be repeated",
    )
    parser.add_argument(
        "--normalize",
        metavar=("MEAN", "STD"),
        nargs="+",
        help="normalisation of the images: two comma-separated lists with one value per channel, or one of "
        f"{', '.join(networks.NORMALIZATIONS)}; default: the one that a file of sat names, else none",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="TorchScript file to write")
    arguments = parser.parse_args(words)
    try:
        print(export(arguments))
    except (ValueError, OSError) as error:
        print(f"export_torchscript: {error}", file=sys.stderr)
        return 1
    return 0


def export(arguments: argparse.Namespace) -> str:
    """Exports the network and returns the line to print."""
    writable(arguments.output)
    network, name, options = command_line.network(arguments.weights, arguments.model, arguments.model_option, arguments.normalize)
    example = torch.rand(2, *networks.architecture(name).input_shape(options), generator=torch.Generator().manual_seed(0))
    script = to_torchscript(network, example)
    with torch.no_grad():
        expected, actual = network(example), script(example)
    if not torch.allclose(expected, actual, rtol=1e-5, atol=1e-6):
        raise ValueError(
            f"{arguments.weights} gives logits that are not finite, or TorchScript and Python compute different logits"
        )
    content = io.BytesIO()
    torch.jit.save(script, content)
    write_atomically(arguments.output, content.getvalue())
    shape = " x ".join(map(str, example.shape[1:]))
    count = sum(parameter.numel() for parameter in network.parameters())
    return f"{arguments.output}: {name}, {count:,} parameters, images {shape} in [0, 1], {expected.shape[1]} classes"


def to_torchscript(network: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """Returns the network as TorchScript, compiled from its source if possible, else traced on `example`.

    A trace keeps only the operations that the example used. Therefore a network that branches on its input must compile.
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
