"""files/odd-*.ts: TorchScript classifiers of (N, 1, 6, 6) in four classes that an evaluation warns about or refuses; one plain."""

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
    """Moves its logits with every pass."""

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
    """BatchNorm that evaluation mode does not change, because its statistics are the batch's."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.batch_norm(x, None, None, None, None, True, 0.1, 1e-5).flatten(1))


class FirstRow(Plain):
    """Answers every image as the first of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))[:1].expand(x.shape[0], 4)


class InPlace(Plain):
    """Normalises its input in place, as torchvision's Normalize(inplace=True) does; the answers are the plain one's."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.sub_(0.25).mul_(2.0).flatten(1) * 0.5 + 0.25)


class DropoutBelow(Plain):
    """Dropout that is in training mode below a network in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.head(x))


class NotFinite(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * torch.tensor([1.0, 1.0, 1.0, float("nan")])


class Backward(Plain):
    """As Optimising, by `backward()`."""

    def forward(self, x: Tensor) -> Tensor:
        moved = x.detach().requires_grad_(True)
        self.linear(moved.flatten(1)).logsumexp(1).sum().backward()
        step = moved.grad
        assert step is not None
        return self.linear((x + 0.01 * step).flatten(1))


class Adapting(Plain):
    """Moves a parameter with every pass, too little to be seen in its answers."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.shift.add_(1e-8)
        return self.linear(x.flatten(1)) + self.shift


class SquareRoot(Plain):
    """Its gradient is NaN at the dark pixels, 0 times the infinite slope of a square root at 0."""

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
    """What tracing makes of a batch size that is written into the code."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(3, 36))


class OneRow(Plain):
    """The same for one image; of others it makes one long row."""

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
        # Centred, so that no class is the answer to everything.
        with torch.no_grad():
            network.linear.bias.sub_(network.linear(images((64, 1, 6, 6)).flatten(1)).mean(0))
        if name == "plain":
            for other, dtype in TYPES.items():
                save(folder, other, torch.jit.script(copy.deepcopy(network).eval().to(dtype)))
        script = torch.jit.script(network)
        # The plain one also as saved in training mode, which loading has to undo and tell.
        for mode in [True, False] if name == "plain" else [False]:
            script.train(mode)
            if name == "dropout-below":
                getattr(script.head, "1").train()
            save(folder, "training" if mode else name, script)


def save(folder: Path, label: str, script: torch.jit.ScriptModule) -> None:
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    safetensors_io.write_atomically(folder / "files" / f"odd-{label}.ts", _without_debug_records(buffer))
