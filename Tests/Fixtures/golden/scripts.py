"""files/odd-*.ts: TorchScript classifiers of (N, 1, 6, 6) in four classes that an evaluation has to warn about, and a plain one."""

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


class NotFinite(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * torch.tensor([1.0, 1.0, 1.0, float("nan")])


KINDS = {"plain": Plain, "softmax": Softmax, "dropout": Dropout, "noise": Noise, "memory": Memory, "optimising": Optimising,
         "rounding": Rounding, "detached": Detached, "batch-statistics": BatchStatistics, "not-finite": NotFinite}


def make(folder: Path) -> None:
    for name, kind in KINDS.items():
        network = fill(kind())
        # Centred, so that no class is the answer to everything.
        with torch.no_grad():
            network.linear.bias.sub_(network.linear(images((64, 1, 6, 6)).flatten(1)).mean(0))
        script = torch.jit.script(network)
        # The plain one also as saved in training mode, which loading has to undo and tell.
        for mode in ([True, False] if name == "plain" else [False]):
            script.train(mode)
            buffer = io.BytesIO()
            torch.jit.save(script, buffer)
            label = "training" if mode else name
            safetensors_io.write_atomically(folder / "files" / f"odd-{label}.ts", _without_debug_records(buffer))
