"""files/odd-*.ts: TorchScript classifiers of (N, 1, 6, 6) in four classes. An evaluation warns about them or refuses them.

Only the plain classifier is normal.
"""

import copy
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import safetensors_io
from files import _without_debug_records
from formula import fill, images


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(36, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Softmax(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).softmax(1)


class Dropout(Plain):
    """Dropout that evaluation mode does not turn off."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.dropout(x.flatten(1), 0.5, True))


class Noise(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) + 0.3 * torch.randn(x.shape[0], 4)


class Memory(Plain):
    """Changes its logits with every pass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.passes.add_(1.0)
        return self.linear(x.flatten(1)) + torch.arange(4) * self.passes


class Optimising(Plain):
    """Takes a step on its own input first."""

    def forward(self, x: Tensor) -> Tensor:
        moved = x.detach().requires_grad_(True)
        z = self.linear(moved.flatten(1)).logsumexp(1).sum()
        step = torch.autograd.grad([z], [moved])[0]
        assert step is not None
        return self.linear((x + 0.01 * step).flatten(1))


class Rounding(Plain):
    """Its gradient is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x * 16).round().flatten(1) / 16)


class Detached(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).detach()


class BatchStatistics(Plain):
    """BatchNorm with the statistics of the batch, also in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.batch_norm(x, None, None, None, None, True, 0.1, 1e-5).flatten(1))


class FirstRow(Plain):
    """Gives every image the logits of the first image in its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))[:1].expand(x.shape[0], 4)


class InPlace(Plain):
    """Normalises its input in place, as torchvision's Normalize(inplace=True) does. Its logits equal the plain network's."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.sub_(0.25).mul_(2.0).flatten(1) * 0.5 + 0.25)


class DropoutBelow(Plain):
    """Dropout in training mode, inside a network in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.head(x))


class NotFinite(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * torch.tensor([1.0, 1.0, 1.0, float("nan")])


class Backward(Plain):
    """Does the same as Optimising, but calls `backward()`."""

    def forward(self, x: Tensor) -> Tensor:
        moved = x.detach().requires_grad_(True)
        self.linear(moved.flatten(1)).logsumexp(1).sum().backward()
        step = moved.grad
        assert step is not None
        return self.linear((x + 0.01 * step).flatten(1))


class Adapting(Plain):
    """Changes a parameter with every pass, but too little to change its logits."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.shift.add_(1e-8)
        return self.linear(x.flatten(1)) + self.shift


class SquareRoot(Plain):
    """Its gradient is NaN at dark pixels, because it is 0 times the infinite slope of a square root at 0."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x * (x > 0.5).to(x.dtype)).sqrt().square().flatten(1))


class DoubleLogits(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).double()


class HalfLogits(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).half()


class Pair(Plain):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(x.flatten(1)), x


class Named(Plain):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(x.flatten(1))}


class Counts(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return (self.linear(x.flatten(1)) * 100).long()


class FixedBatch(Plain):
    """Has a fixed batch size, as a trace of code that contains the batch size."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(3, 36))


class OneRow(Plain):
    """Has a fixed batch size of one image. For more images it returns one long row."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).reshape(1, -1)


KINDS = {
    "plain": Plain,
    "softmax": Softmax,
    "dropout": Dropout,
    "noise": Noise,
    "memory": Memory,
    "optimising": Optimising,
    "rounding": Rounding,
    "detached": Detached,
    "batch-statistics": BatchStatistics,
    "first-row": FirstRow,
    "in-place": InPlace,
    "dropout-below": DropoutBelow,
    "not-finite": NotFinite,
    "backward": Backward,
    "adapting": Adapting,
    "square-root": SquareRoot,
    "double-logits": DoubleLogits,
    "half-logits": HalfLogits,
    "pair": Pair,
    "named": Named,
    "counts": Counts,
    "fixed-batch": FixedBatch,
    "one-row": OneRow,
}
# The plain network with its weights in other types.
TYPES = {"double": torch.float64, "half": torch.float16, "bfloat16": torch.bfloat16}


def make(folder: Path) -> None:
    for name, kind in KINDS.items():
        network = fill(kind())
        # Centres the logits, so that the network does not give every image the same class.
        with torch.no_grad():
            network.linear.bias.sub_(network.linear(images((64, 1, 6, 6)).flatten(1)).mean(0))
        if name == "plain":
            for other, dtype in TYPES.items():
                save(folder, other, torch.jit.script(copy.deepcopy(network).eval().to(dtype)))
        script = torch.jit.script(network)
        # Saves the plain network in training mode too. Loading must switch it to evaluation mode and report this.
        for mode in [True, False] if name == "plain" else [False]:
            script.train(mode)
            if name == "dropout-below":
                getattr(script.head, "1").train()
            save(folder, "training" if mode else name, script)


def save(folder: Path, label: str, script: torch.jit.ScriptModule) -> None:
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    safetensors_io.write_atomically(folder / "files" / f"odd-{label}.ts", _without_debug_records(buffer))
