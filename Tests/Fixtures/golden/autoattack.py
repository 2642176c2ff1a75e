"""autoattack.{json,safetensors}: runs of AutoAttack's attacks, step by step, from the global generator at seed 0.

Images and weights follow the formula. The labels are the answers of the network, CNN-A with one channel. Every case has an epsilon
with which the attack breaks some samples.

`apgd` cases store the iterations that were checkpoints (from 0), the step sizes after each (checkpoints, N), the losses
(iterations, N), and flags of the samples that were never misclassified. `fab` cases store the norms for the class of a rank (0 is
untargeted), or 1e10 if there is none. `square` cases store the margins (queries + 1, N) and the subsets of the best images.
"""

from pathlib import Path

import torch

import networks
from formula import fill, images, save, subset
from reference_attacks.apgd import APGD, Trace
from reference_attacks.common import Counted, cross_entropy, dlr, target_of_rank, targeted_dlr
from reference_attacks.fab import FAB
from reference_attacks.square import Square

BATCH = 6
SHAPE = (BATCH, 1, 28, 28)
QUERIES = 120
APGD_CASES = [
    ("apgd-ce-linf", "linf", "ce", 0.012),
    ("apgd-dlr-linf", "linf", "dlr", 0.012),
    ("apgd-t-linf", "linf", "t", 0.012),
    ("apgd-ce-l2", "l2", "ce", 0.25),
    ("apgd-ce-l1", "l1", "ce", 3.0),
]
FAB_CASES = [("fab-linf", "linf", 0), ("fab-t-linf", "linf", 2), ("fab-l2", "l2", 0), ("fab-t-l2", "l2", 3), ("fab-t-l1", "l1", 2)]
# Square on images of three channels, because each channel has its own mass in L2 and L1.
COLOUR_SHAPE = (4, 3, 32, 32)
COLOUR_CASES = [("square-colour-linf", "linf", 0.01), ("square-colour-l2", "l2", 0.4), ("square-colour-l1", "l1", 6.0)]
SQUARE_CASES = [("square-linf", "linf", 0.045), ("square-l2", "l2", 0.9), ("square-l1", "l1", 6.0)]


def make(folder: Path) -> None:
    x = images(SHAPE)
    network = fill(networks.build("cnn-a", {"channels": 1})).eval()
    y = network(x).argmax(1)
    cases, tensors = [], {}
    for name, norm, loss, epsilon in APGD_CASES:
        model = Counted(network)
        torch.manual_seed(0)
        attack, trace = APGD(model, norm, epsilon, 0), Trace()
        criterion = {"ce": cross_entropy, "dlr": dlr, "t": targeted_dlr(target_of_rank(model, x, 2))}[loss]
        _, unbroken, _ = attack.run(x, y, criterion, epsilon, 100, trace=trace)
        cases.append(
            {
                "name": name,
                "kind": "apgd",
                "norm": norm,
                "loss": loss,
                "epsilon": epsilon,
                "rank": 2 if loss == "t" else 0,
                "checkpoints": trace.checkpoints,
                "unbroken": unbroken.int().tolist(),
            }
        )
        tensors |= {f"{name}/steps": torch.stack(trace.steps), f"{name}/losses": torch.stack(trace.losses).detach()}
    for name, norm, rank in FAB_CASES:
        _, norms = FAB(Counted(network), norm, 1.0, 0).run(x, y, rank)
        cases.append({"name": name, "kind": "fab", "norm": norm, "epsilon": 1.0, "rank": rank})
        tensors[f"{name}/norms"] = norms
    for case in SQUARE_CASES:
        cases.append(square(case, network, x, y, tensors))
    x3 = images(COLOUR_SHAPE)
    network = fill(networks.build("cnn-a")).eval()
    y3 = network(x3).argmax(1)
    colour = {
        "shape": list(COLOUR_SHAPE),
        "labels": y3.tolist(),
        "cases": [square(case, network, x3, y3, tensors) for case in COLOUR_CASES],
    }
    save(folder, "autoattack", {"shape": list(SHAPE), "labels": y.tolist(), "cases": cases, "colour": colour}, tensors)


def square(case: tuple[str, str, float], network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, tensors: dict) -> dict:
    name, norm, epsilon = case
    torch.manual_seed(0)
    margins, best = [], x
    with torch.no_grad():
        for best, margin in Square(Counted(network), norm, epsilon, 0, queries=QUERIES).iterates(x, y):
            margins.append(margin.clone())
    tensors |= {f"{name}/margins": torch.stack(margins), f"{name}/best": torch.stack([subset(image) for image in best])}
    return {"name": name, "kind": "square", "norm": norm, "epsilon": epsilon, "queries": QUERIES}
