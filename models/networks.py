"""The networks that `sat` knows, in plain PyTorch.

Names, state_dict keys and computations equal those of `sat models`, so both can use the same weights. Every network takes images
(N, C, H, W) in [0, 1] and returns logits (N, classes). If a network was trained on normalised images, `build` puts the
normalisation in front of it.

To add a network, write its constructor and one line in NETWORKS.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from preactivation import PreActResNet, WideResNet
from resnets import ResNet18, ResNet20, ResNet34


class MNISTCNN(nn.Module):
    """The MNIST network of the SAT paper: three convolutions and one linear layer, 729,418 parameters.

    Convolution weights start Kaiming-normal over the fan-out with the ReLU gain. Everything else starts as in PyTorch.
    """

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 8, stride=2, padding=3)
        self.conv2 = nn.Conv2d(64, 128, 6, stride=2, padding=3)
        self.conv3 = nn.Conv2d(128, 128, 5)
        self.fc = nn.Linear(2048, classes)
        for layer in (self.conv1, self.conv2, self.conv3):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))
        return self.fc(x.flatten(1))


class LeNet5(nn.Module):
    """advertorch's MNIST LeNet5: two padded 3x3 convolutions with pooling, and two linear layers; 648,226 parameters."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.linear1 = nn.Linear(64 * 7 * 7, 200)
        self.linear2 = nn.Linear(200, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.linear2(F.relu(self.linear1(x.flatten(1))))


class CNNA(nn.Sequential):
    """CNN-A of the certification papers: two strided 4x4 convolutions and two linear layers, keys 0, 2, 5 and 7.

    `channels` = 3 makes the CIFAR network (32 x 32), and `channels` = 1 the MNIST network (28 x 28).
    """

    def __init__(self, classes: int = 10, channels: int = 3):
        if channels not in (1, 3):
            raise ValueError(f"cnn-a has 1 or 3 channels, not {channels}")
        side = 8 if channels == 3 else 7
        super().__init__(
            nn.Conv2d(channels, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * side * side, 100),
            nn.ReLU(),
            nn.Linear(100, classes),
        )


class SmallCNN(nn.Module):
    """TRADES' SmallCNN for MNIST: four convolutions, two poolings, three linear layers, dropout after the first.

    The weights start as in TRADES: Kaiming-normal over the fan-in for convolutions, and zeros in the last layer.
    """

    def __init__(self, classes: int = 10):
        super().__init__()
        self.feature_extractor = nn.Sequential(
            OrderedDict(
                [
                    ("conv1", nn.Conv2d(1, 32, 3)),
                    ("relu1", nn.ReLU()),
                    ("conv2", nn.Conv2d(32, 32, 3)),
                    ("relu2", nn.ReLU()),
                    ("maxpool1", nn.MaxPool2d(2, 2)),
                    ("conv3", nn.Conv2d(32, 64, 3)),
                    ("relu3", nn.ReLU()),
                    ("conv4", nn.Conv2d(64, 64, 3)),
                    ("relu4", nn.ReLU()),
                    ("maxpool2", nn.MaxPool2d(2, 2)),
                ]
            )
        )
        self.classifier = nn.Sequential(
            OrderedDict(
                [
                    ("fc1", nn.Linear(64 * 4 * 4, 200)),
                    ("relu1", nn.ReLU()),
                    ("drop", nn.Dropout(0.5)),
                    ("fc2", nn.Linear(200, 200)),
                    ("relu2", nn.ReLU()),
                    ("fc3", nn.Linear(200, classes)),
                ]
            )
        )
        for layer in self.feature_extractor:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.classifier.fc3.weight)
        nn.init.zeros_(self.classifier.fc3.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.feature_extractor(x).flatten(1))


class Normalized(nn.Module):
    """A network that first computes (x - mean) / std per channel. Its state_dict is the state_dict of the inner network."""

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.network((x - self.mean) / self.std)

    def state_dict(self, *arguments, **options):
        return self.network.state_dict(*arguments, **options)

    def load_state_dict(self, *arguments, **options):
        return self.network.load_state_dict(*arguments, **options)


@dataclass(frozen=True)
class Architecture:
    """A constructor, its options, the allowed values of options that take only some values, and the (C, H, W) of the images."""

    constructor: Callable[..., nn.Module]
    input_shape: Callable[[Mapping[str, int]], tuple[int, int, int]]
    options: tuple[str, ...] = ("classes",)
    allowed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def _mnist(_: Mapping[str, int]) -> tuple[int, int, int]:
    return (1, 28, 28)


def _cifar(_: Mapping[str, int]) -> tuple[int, int, int]:
    return (3, 32, 32)


def _imagenet(_: Mapping[str, int]) -> tuple[int, int, int]:
    return (3, 224, 224)


def _cnn_a(options: Mapping[str, int]) -> tuple[int, int, int]:
    return (1, 28, 28) if options.get("channels", 3) == 1 else (3, 32, 32)


NETWORKS: dict[str, Architecture] = {
    "mnist-cnn": Architecture(MNISTCNN, _mnist),
    "lenet5": Architecture(LeNet5, _mnist),
    "cnn-a": Architecture(CNNA, _cnn_a, ("classes", "channels")),
    "small-cnn": Architecture(SmallCNN, _mnist),
    "resnet20": Architecture(ResNet20, _cifar),
    "resnet18": Architecture(ResNet18, _cifar),
    "prn20": Architecture(PreActResNet, _cifar, ("classes", "finalBN", "rawShortcut"), {"finalBN": (0, 1), "rawShortcut": (0, 1)}),
    "wrn34-10": Architecture(WideResNet, _cifar, ("classes", "depth", "width")),
    "resnet34": Architecture(ResNet34, _imagenet),
}

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mnist": ((0.1307,), (0.3081,)),
}


def architecture(name: str) -> Architecture:
    """Returns the registry's entry for `name`. Raises ValueError with a list of the names if it has none."""
    if name not in NETWORKS:
        raise ValueError(f"no network is called '{name}'; the names are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build(
    name: str, options: Mapping[str, int] | None = None, normalization: tuple[Sequence[float], Sequence[float]] | None = None
) -> nn.Module:
    """Makes a freshly initialised network, with a normalisation in front if (mean, std) is given.

    Raises ValueError with one sentence for an unknown name, an unknown option, or a normalisation of the wrong length.
    """
    entry = architecture(name)
    options = dict(options or {})
    for key, value in options.items():
        if key not in entry.options:
            raise ValueError(f"{name} has no option '{key}'; it has {', '.join(entry.options)}")
        if key in entry.allowed:
            if value not in entry.allowed[key]:
                raise ValueError(f"option {key} of {name} must be {' or '.join(map(str, entry.allowed[key]))}, not {value}")
        elif value < 1:
            raise ValueError(f"option {key} of {name} must be at least 1, not {value}")
    network = entry.constructor(**options)
    if normalization is None:
        return network
    mean, std = normalization
    channels = entry.input_shape(options)[0]
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"{name} takes images of {channels} channel(s), but the normalisation has "
            f"{len(mean)} mean(s) and {len(std)} standard deviation(s)"
        )
    if min(std) <= 0:
        raise ValueError("every standard deviation of the normalisation must be greater than 0")
    return Normalized(network, mean, std)
