"""The average of a network's weights over its training, as the setting `averaging` of a run describes it."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn


class Average:
    """A network with averaged weights.

    `ema` (Polyak and Juditsky 1992) changes at every update, `swa` (Izmailov et al. 2018) at the end of every epoch.
    """

    def __init__(self, network: nn.Module, settings: dict):
        self.network = copy.deepcopy(network).eval()
        self.settings, self.count = settings, 0

    def step_taken(self, trained: nn.Module, epoch: int) -> None:
        if self.settings["kind"] == "ema" and epoch >= self.settings["start"]:
            self._take(trained, 1 - self.settings["decay"])

    def epoch_ended(self, trained: nn.Module, epoch: int, batches: Callable[[nn.Module], list[Tensor]]) -> None:
        """Updates the average after an epoch. `batches` makes the images for the new statistics of BatchNorm."""
        if self.settings["kind"] != "swa" or epoch < self.settings["start"]:
            return
        self._take(trained, 1 / (self.count + 1))
        if any(isinstance(module, nn.BatchNorm2d) for module in self.network.modules()):
            update_bn(batches(self.network), self.network)
            self.network.eval()

    @torch.no_grad()
    def _take(self, trained: nn.Module, weight: float) -> None:
        theirs = trained.state_dict()
        for name, mine in self.network.state_dict().items():
            if self.count and mine.is_floating_point():
                mine += weight * (theirs[name] - mine)
            else:
                mine.copy_(theirs[name])
        self.count += 1
