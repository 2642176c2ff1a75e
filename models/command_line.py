"""Functions that the programs here share: they check numbers and images, and build the network of a file of weights."""

import argparse
import json
import math

import torch
from torch import Tensor, nn

import networks
import weights


def positive(text: str) -> int:
    """Parses a whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def radius(text: str) -> float:
    """Parses a number above 0, for argparse: 0.3, or a fraction such as 8/255."""
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0, such as 0.3 or 8/255")
    return value


def network(path: str, name: str | None, options: list[str], normalize: list[str] | None) -> tuple[nn.Module, str, dict[str, int]]:
    """Builds the network of a file of weights, in evaluation mode. Returns it with its name and its options.

    A file that `sat` wrote records name, options and normalisation. The arguments take precedence: `name`, `options` as KEY=VALUE,
    and `normalize` as a name, or as MEAN and STD. Raises ValueError with one sentence.
    """
    state, metadata = weights.read_state_dict(path)
    name = name or metadata.get("sat.architecture")
    if name is None:
        raise ValueError(f"{path} does not name its network; give --model with one of {', '.join(networks.NETWORKS)}")
    try:
        recorded = [f"{key}={value}" for key, value in json.loads(metadata.get("sat.options", "{}")).items()]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} has sat.options that are not options of a network: {metadata['sat.options']}") from error
    chosen = dict(_option(pair) for pair in [*recorded, *options])
    if normalize is None and "sat.normalization" in metadata:
        normalize = metadata["sat.normalization"].split(" ")
    built = networks.build(name, chosen, normalization(normalize))
    weights.load(built, state, path)
    return built.eval(), name, chosen


def normalization(words: list[str] | None) -> tuple[list[float], list[float]] | None:
    """Returns the mean and the standard deviation that --normalize names."""
    if words is None:
        return None
    if len(words) == 1 and words[0] in networks.NORMALIZATIONS:
        mean, std = networks.NORMALIZATIONS[words[0]]
        return list(mean), list(std)
    if len(words) != 2:
        raise ValueError(
            "--normalize takes MEAN and STD, such as 0.4914,0.4822,0.4465 0.2471,0.2435,0.2616, or one of "
            + ", ".join(networks.NORMALIZATIONS)
        )
    try:
        mean, std = ([float(value) for value in part.split(",")] for part in words)
    except ValueError:
        raise ValueError(f"--normalize takes comma-separated numbers, not '{' '.join(words)}'") from None
    return mean, std


def _option(pair: str) -> tuple[str, int]:
    key, separator, value = pair.partition("=")
    if not separator or not value.strip().isdecimal():
        raise ValueError(f"a model option must be KEY=NUMBER, such as classes=100, not '{pair}'")
    return key.strip(), int(value)


def check_images(network: nn.Module, name: str, options: dict[str, int], images: Tensor, labels: Tensor) -> None:
    """Raises ValueError with one sentence if the network cannot take the images (N, C, H, W) or has no class for a label."""
    expected, found = (
        " x ".join(map(str, shape)) for shape in (networks.architecture(name).input_shape(options), images.shape[1:])
    )
    sentence = f"{name} takes images of {expected}, but the data has images of {found}"
    # Compares the channels first, because a normalisation of three channels would turn one channel into three.
    if expected.split()[0] != found.split()[0]:
        raise ValueError(sentence)
    try:
        with torch.no_grad():
            classes = network(images[:1]).shape[1]
    except RuntimeError as error:
        raise ValueError(sentence) from error
    if labels.max() >= classes:
        raise ValueError(f"the data has the label {labels.max().item()} but {name} has {classes} classes, from 0 to {classes - 1}")
