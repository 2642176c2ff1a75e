"""Residual networks with BatchNorm after each convolution."""

from torch import Tensor, nn
from torch.nn import functional as F


class PaddedBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters. It takes every second pixel and fills new channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.added = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.added != 0:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], [0, 0, 0, 0, self.added, self.added])
        return F.relu(y + x)


class ResNet20(nn.Module):
    """The CIFAR ResNet-20 of He et al. 2016 (section 4.2, widths 16-32-64, shortcut A); 269,722 parameters.

    The keys equal those of the common public checkpoints: conv1, bn1, layer1..3.{0,1,2}.{conv1,bn1,conv2,bn2}, linear.
    Convolution and linear weights start Kaiming-normal over the fan-in.
    """

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(PaddedBlock(16, 16, 1), PaddedBlock(16, 16, 1), PaddedBlock(16, 16, 1))
        self.layer2 = nn.Sequential(PaddedBlock(16, 32, 2), PaddedBlock(32, 32, 1), PaddedBlock(32, 32, 1))
        self.layer3 = nn.Sequential(PaddedBlock(32, 64, 2), PaddedBlock(64, 64, 1), PaddedBlock(64, 64, 1))
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


class ProjectedBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut. If the shape changes, the shortcut is a 1x1 convolution and BatchNorm."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 for CIFAR: a 3x3 stem without pooling, widths 64-128-256-512; 11,173,962 parameters at 10 classes.

    Keys: conv1, bn1, layer1..4.{0,1}.{conv1,bn1,conv2,bn2,shortcut.0,shortcut.1}, linear.
    """

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(ProjectedBlock(64, 64, 1), ProjectedBlock(64, 64, 1))
        self.layer2 = nn.Sequential(ProjectedBlock(64, 128, 2), ProjectedBlock(128, 128, 1))
        self.layer3 = nn.Sequential(ProjectedBlock(128, 256, 2), ProjectedBlock(256, 256, 1))
        self.layer4 = nn.Sequential(ProjectedBlock(256, 512, 2), ProjectedBlock(512, 512, 1))
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(F.avg_pool2d(x, 4).flatten(1))


class DownsampledBlock(nn.Module):
    """ProjectedBlock with torchvision's keys."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        return F.relu(y + x)


class ResNet34(nn.Module):
    """torchvision's ResNet-34 for 224 x 224 images; 21,289,802 parameters at 10 classes.

    Keys: conv1, bn1, layer1..4.i.{conv1,bn1,conv2,bn2,downsample.0,downsample.1}, fc. Convolution weights start
    Kaiming-normal over the fan-out with the ReLU gain.
    """

    def __init__(self, classes: int = 10):
        super().__init__()

        def stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
            return nn.Sequential(*(DownsampledBlock(outputs if i else inputs, outputs, 1 if i else stride) for i in range(blocks)))

        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, 3, 1)
        self.layer2 = stage(64, 128, 4, 2)
        self.layer3 = stage(128, 256, 6, 2)
        self.layer4 = stage(256, 512, 3, 2)
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
