"""training.json: five steps of each optimizer on a small quadratic, and learning rates of schedules over 20 epochs.

The quadratic is 0.5 * sum(curvature * (p - minimum)^2) over float32 numbers. `points` holds p after each step. `rates` holds the
learning rates during epochs 0 to 19. The base rate is 0.1, and the schedule advances once after every epoch.
"""

from pathlib import Path

import torch
from torch.optim import lr_scheduler

from formula import save

START, MINIMUM, CURVATURE = [0.0, 0.0, 3.0], [1.0, -2.0, 0.5], [1.0, 8.0, 0.5]
STEPS, EPOCHS = 5, 20

OPTIMIZERS: list[tuple[str, str, dict]] = [
    ("sgd", "SGD", {"lr": 0.1}),
    ("sgd-momentum", "SGD", {"lr": 0.1, "momentum": 0.9}),
    ("sgd-dampening", "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("sgd-nesterov", "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("sgd-weight-decay", "SGD", {"lr": 0.1, "weight_decay": 0.01}),
    ("sgd-momentum-weight-decay", "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
    ("sgd-nesterov-weight-decay", "SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("adam", "Adam", {"lr": 0.1}),
    ("adam-betas", "Adam", {"lr": 0.1, "betas": [0.5, 0.9]}),
    ("adam-eps", "Adam", {"lr": 0.1, "eps": 0.1}),
    ("adam-weight-decay", "Adam", {"lr": 0.1, "weight_decay": 0.01}),
]

SCHEDULES: list[tuple[str, str, dict]] = [
    ("step", "StepLR", {"step_size": 6, "gamma": 0.5}),
    ("multi-step", "MultiStepLR", {"milestones": [5, 10, 12], "gamma": 0.1}),
    ("cosine", "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.0}),
    ("cosine-floor", "CosineAnnealingLR", {"T_max": 10, "eta_min": 0.001}),
    ("exponential", "ExponentialLR", {"gamma": 0.9}),
    ("linear", "LinearLR", {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 5}),
    (
        "one-cycle-cosine",
        "OneCycleLR",
        {
            "max_lr": 0.1,
            "total_steps": 20,
            "pct_start": 0.3,
            "anneal_strategy": "cos",
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "cycle_momentum": False,
        },
    ),
    (
        "one-cycle-linear",
        "OneCycleLR",
        {
            "max_lr": 0.1,
            "total_steps": 20,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
            "cycle_momentum": False,
        },
    ),
    (
        "cyclic-triangular",
        "CyclicLR",
        {"base_lr": 0.0, "max_lr": 0.2, "step_size_up": 8, "step_size_down": 12, "mode": "triangular", "cycle_momentum": False},
    ),
]


def make(folder: Path) -> None:
    optimizers = []
    for name, kind, options in OPTIMIZERS:
        point = torch.tensor(START, requires_grad=True)
        optimizer = getattr(torch.optim, kind)([point], **_tuples(options))
        points = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            (0.5 * torch.tensor(CURVATURE) * (point - torch.tensor(MINIMUM)) ** 2).sum().backward()
            optimizer.step()
            points.append(point.tolist())
        optimizers.append({"name": name, "optimizer": kind, "options": options, "points": points})
    schedules = []
    for name, kind, options in SCHEDULES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        schedule = getattr(lr_scheduler, kind)(optimizer, **options)
        rates = []
        for epoch in range(EPOCHS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if epoch < EPOCHS - 1:
                schedule.step()
        schedules.append({"name": name, "schedule": kind, "options": options, "rates": rates})
    save(
        folder,
        "training",
        {
            "start": START,
            "minimum": MINIMUM,
            "curvature": CURVATURE,
            "baseRate": 0.1,
            "optimizers": optimizers,
            "schedules": schedules,
        },
    )


def _tuples(options: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
