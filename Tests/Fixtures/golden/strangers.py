"""files/harm-*.ts: TorchScript classifiers of (N, 1, 6, 6) whose code reaches files. Nobody may run them without saying so.

The files that they would write are under /tmp and begin with sat-harm.
"""

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import safetensors_io
from files import _without_debug_records
from formula import fill
from scripts import Plain


class Writes(Plain):
    def forward(self, x: Tensor) -> Tensor:
        # TorchScript drops an operator whose result nobody uses.
        kept = torch.from_file("/tmp/sat-harm-writes", True, 16).fill_(1.0)
        return self.linear(x.flatten(1)) + kept.sum()


class Reads(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) + torch.from_file("/etc/hostname", False, 1).sum()


class Saves(Plain):
    def forward(self, x: Tensor) -> Tensor:
        torch.ops.aten.save(x, "/tmp/sat-harm-saves")
        return self.linear(x.flatten(1))


class OnLoading(nn.Module):
    """Writes in __setstate__, which runs while the archive is loaded."""

    def __init__(self):
        super().__init__()
        self.matrix = torch.zeros(4, 36)

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.matrix, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.matrix = state[0] + torch.from_file("/tmp/sat-harm-loading", True, 16).fill_(1.0).sum()
        self.training = state[1]

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.matrix)


class Below(Plain):
    """Writes in a module below it."""

    def __init__(self):
        super().__init__()
        self.inner = Writes()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Method(Plain):
    """Writes in a method that forward calls."""

    def helper(self, x: Tensor) -> Tensor:
        return x + torch.from_file("/tmp/sat-harm-method", True, 16).fill_(1.0).sum()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.helper(x).flatten(1))


class Unreached(Plain):
    """Holds harmful code that nothing calls."""

    @torch.jit.export
    def spare(self) -> Tensor:
        return torch.from_file("/tmp/sat-harm-unreached", True, 16)


class Modern(nn.Module):
    """An ordinary network with the operators of vision transformers and mobile networks."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.position = nn.Parameter(torch.zeros(1, 36, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8)) for _ in range(2)]
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x * self.squeeze(x)
        y = x.flatten(2).transpose(1, 2) + self.position
        y = self.norm(y + self.attention(y, y, y, need_weights=False)[0])
        for block in self.blocks:
            y = y + block(y)
        if y.size(1) > 36:
            raise ValueError(f"{y.size(1)} patches")
        return self.head(torch.einsum("npc->nc", y) / y.shape[1])


KINDS = {
    "writes": Writes,
    "reads": Reads,
    "saves": Saves,
    "loading": OnLoading,
    "below": Below,
    "method": Method,
    "unreached": Unreached,
}


def make(folder: Path) -> None:
    for name, kind in KINDS.items():
        save(folder, f"harm-{name}", torch.jit.script((kind() if kind is OnLoading else fill(kind())).eval()))
    network = fill(Modern()).eval()
    save(folder, "modern-scripted", torch.jit.script(network))
    save(folder, "modern-traced", torch.jit.trace(network, torch.zeros(2, 1, 6, 6), check_trace=False))


def save(folder: Path, name: str, script: torch.jit.ScriptModule) -> None:
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    safetensors_io.write_atomically(folder / "files" / f"{name}.ts", _without_debug_records(buffer))
