"""training_steps.{json,safetensors}: two consecutive updates of a network by every defense of `models/defenses.py`.

All numbers are float64, so that rounding decides no sign. Both batches come from one pool of images. `indices` lists the samples of
each batch. Some samples are in both batches, so that a defense's memory of samples matters. `labels` are the first answers of the
network, except for every third sample. CASE/KEY are the subsets of the state after the second update, CASE/sums are their sums, and
CASE/logits are the logits of the whole pool in evaluation mode. `losses` are the losses before each update. The generator is
torch.Generator().manual_seed(seed).
"""

from pathlib import Path

import torch

import adaptive_defenses
import networks
from defenses import Settings
from formula import fill, images, save, subsets

SEED, POOL, INDICES = 7, 14, [[3, 0, 7, 1, 12, 5, 9, 4], [5, 13, 2, 3, 11, 9, 6, 0]]
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}

# The name, the method, lambda, the options, and the changes to the common settings.
CASES: list[tuple] = [
    ("at", "at", 1, {}, {}),
    ("at-l2", "at", 1, {}, {"norm": "l2", "epsilon": 1.5, "stepSize": 0.4}),
    ("at-awp", "at", 1, {}, {"awp": 0.01}),
    ("p-sat", "p-sat", 0.3, {}, {}),
    ("p-sat-0", "p-sat", 0, {}, {}),
    *(
        (f"h-sat-{score}", "h-sat", 0.5, {"score": score, "chunk": 3}, {})
        for score in ("central", "paper-upper", "paper-lower", "fixed-upper", "fixed-lower")
    ),
    ("h-sat-every", "h-sat", 0.3, {"score": "central", "every": 2}, {}),
    ("h-sat-0", "h-sat", 0, {}, {}),
    ("h-sat-0-start", "h-sat", 0, {"startAtZero": True}, {}),
    ("trades", "trades", 1, {}, {}),
    ("trades-code", "trades", 1, {"kl": "element-mean", "start": "uniform", "beta": 15}, {}),
    ("trades-awp", "trades", 1, {}, {"awp": 0.005}),
    ("dat", "dat", -5.6, {}, {}),
    ("dat-l2", "dat", -1.1, {}, {"norm": "l2", "epsilon": 1.5, "stepSize": 0.4}),
    ("dat-code", "dat", -7, {"displacement": "start", "firstStep": True, "weighting": True}, {}),
    ("cat20", "cat20", 1, {"eta": 0.5, "kappa": 2}, {}),
    ("cat20-code", "cat20", 1, {"eta": 0.8, "update": "code", "hinge": "sum"}, {}),
    ("cat18", "cat18", 1, {}, {"steps": 3, "k": 3}),
    ("cat18-plain", "cat18", 1, {"mixing": False}, {"steps": 2, "k": 2}),
    ("iaat", "iaat", 1, {"warmup": 1, "gamma": 0.5, "rate": 0.5}, {}),
    ("iaat-l2", "iaat", 1, {"warmup": 1}, {"norm": "l2", "epsilon": 1.5, "stepSize": 0.4}),
    ("epsilon-schedule", "epsilon-schedule", 0.5, {}, {}),
    ("fat", "fat", 1, {"omega": 0.02}, {}),
    ("fat-0", "fat", 0, {}, {}),
    ("mart", "mart", 1, {}, {}),
    ("fast-at", "fast-at", 1, {}, {}),
    ("free-at", "free-at", 1, {"replays": 3}, {}),
    ("free-at-l2", "free-at", 1, {"replays": 3}, {"norm": "l2", "epsilon": 1.5}),
    ("free-at-awp", "free-at", 1, {"replays": 2}, {"awp": 0.01}),
    # A network with BatchNorm, because its modes and the order of its passes matter.
    *(
        (f"resnet20-{name}", method, difficulty, {}, {"model": "resnet20", "epsilon": 0.03, "stepSize": 0.01, "steps": 3} | more)
        for name, method, difficulty, more in (
            ("at-awp", "at", 1, {"awp": 0.01}),
            ("p-sat", "p-sat", 0.1, {}),
            ("h-sat", "h-sat", 0.5, {}),
            ("trades", "trades", 1, {}),
            ("mart", "mart", 1, {}),
            ("cat20", "cat20", 1, {}),
            ("iaat", "iaat", 1, {}),
            ("free-at", "free-at", 1, {}),
        )
    ),
]
COMMON = {"model": "mnist-cnn", "norm": "linf", "epsilon": 0.3, "stepSize": 0.08, "steps": 5, "awp": 0, "k": 0}


def make(folder: Path) -> None:
    cases, tensors = [], {}
    for name, method, difficulty, options, changes in CASES:
        case = {"name": name, "method": method, "lambda": difficulty, "options": options} | COMMON | changes
        network = fill(networks.build(case["model"])).double()
        pool = images((POOL, *networks.architecture(case["model"]).input_shape({}))).double()
        labels = network.eval()(pool).argmax(1)
        labels[::3] = (labels[::3] + 1) % 10
        defense = adaptive_defenses.make(
            method,
            Settings(
                epsilon=case["epsilon"],
                steps=case["steps"],
                step_size=case["stepSize"],
                norm=case["norm"],
                schedule=lambda epoch, difficulty=difficulty: difficulty,
                options=options,
                training_size=POOL,
                awp=case["awp"],
            ),
        )
        defense.k = case["k"]
        optimizer = torch.optim.SGD(network.parameters(), **SGD)
        generator = torch.Generator().manual_seed(SEED)
        network.train()
        losses = []
        for epoch, indices in enumerate(map(torch.tensor, INDICES)):
            losses.append(defense.step(network, optimizer, pool[indices], labels[indices], indices, epoch, generator))
        network.eval()
        cases.append(case | {"labels": labels.tolist(), "losses": losses})
        tensors |= subsets(network, name) | {f"{name}/logits": network(pool).detach()}
    save(folder, "training_steps", {"seed": SEED, "indices": INDICES, "pool": POOL, "sgd": SGD, "cases": cases}, tensors)
