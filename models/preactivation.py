"""Residual networks with BatchNorm and ReLU before each convolution, for 32 x 32 colour images."""

import math

from torch import Tensor, nn
from torch.nn import functional as F


class PreActBlock(nn.Module):
    """BatchNorm, ReLU and a 3x3 convolution, twice. If the shape changes, the shortcut is a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, raw_shortcut: bool):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.raw_shortcut = raw_shortcut
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        if self.shortcut is not None:
            x = self.shortcut(x if self.raw_shortcut else activated)
        return y + x


class PreActResNet(nn.Module):
    """The SAT paper's PRN-20: blocks [2, 2, 2, 2], widths 64-128-256-512, no last BatchNorm; 11,171,146 parameters.

    `finalBN` = 1 adds BatchNorm and ReLU before the pooling (Rice et al., AWP). With `rawShortcut` = 1, the shortcut convolutions
    take a block's input before BatchNorm and ReLU (RobustBench's PreActBlock).
    """

    def __init__(self, classes: int = 10, finalBN: int = 0, rawShortcut: int = 0):
        super().__init__()

        def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                PreActBlock(inputs, outputs, stride, rawShortcut == 1), PreActBlock(outputs, outputs, 1, rawShortcut == 1)
            )

        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.layer1 = stage(64, 64, 1)
        self.layer2 = stage(64, 128, 2)
        self.layer3 = stage(128, 256, 2)
        self.layer4 = stage(256, 512, 2)
        self.bn = nn.BatchNorm2d(512) if finalBN == 1 else None
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        if self.bn is not None:
            x = F.relu(self.bn(x))
        return self.linear(F.avg_pool2d(x, 4).flatten(1))


class WideBlock(nn.Module):
    """PreActBlock with the keys of TRADES' file. The shortcut convolution takes the input after BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.convShortcut = None
        if inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        if self.convShortcut is not None:
            x = self.convShortcut(activated)
        return y + x


class WideStage(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, stride: int):
        super().__init__()
        self.layer = nn.Sequential(*(WideBlock(outputs if i else inputs, outputs, 1 if i else stride) for i in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """WRN-depth-width of Zagoruyko and Komodakis; 46,160,474 parameters at depth 34, width 10 and 10 classes.

    Convolution weights start normal with standard deviation sqrt(2 / (k * k * outputs)). The bias of fc starts at zero.
    """

    def __init__(self, classes: int = 10, depth: int = 34, width: int = 10):
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"the depth of wrn34-10 must be 6n + 4, not {depth}")
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.block1 = WideStage(16, 16 * width, blocks, 1)
        self.block2 = WideStage(16 * width, 32 * width, blocks, 2)
        self.block3 = WideStage(32 * width, 64 * width, blocks, 2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                k, outputs = module.kernel_size[0], module.out_channels
                nn.init.normal_(module.weight, 0, math.sqrt(2 / (k * k * outputs)))
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.avg_pool2d(F.relu(self.bn1(x)), 8).flatten(1))
