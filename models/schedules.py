"""The schedules of a run: the learning rate and lambda over the epochs."""

from torch.optim import lr_scheduler

from run_config import number

# The functions take the optimizer, the settings, the number of epochs and the steps per epoch. `cyclic` advances after every
# update, and the others after every epoch.
LEARNING_RATES = {
    "constant": lambda optimizer, s, epochs, steps: lr_scheduler.ConstantLR(optimizer, factor=1),
    "multi-step": lambda optimizer, s, epochs, steps: lr_scheduler.MultiStepLR(optimizer, s["milestones"], s["gamma"]),
    "cosine": lambda optimizer, s, epochs, steps: lr_scheduler.CosineAnnealingLR(optimizer, epochs),
    "cyclic": lambda optimizer, s, epochs, steps: lr_scheduler.CyclicLR(
        optimizer,
        base_lr=0,
        max_lr=optimizer.param_groups[0]["lr"],
        step_size_up=s["peak"] * epochs * steps,
        step_size_down=(1 - s["peak"]) * epochs * steps,
        cycle_momentum=False,
    ),
}


def difficulty(schedule: dict, epoch: int) -> float:
    """Returns lambda during an epoch. Epochs count from 0."""
    if schedule["kind"] == "constant":
        return number(schedule["value"])
    if schedule["kind"] == "step":
        reached = [m["value"] for m in schedule["milestones"] if m["epoch"] <= epoch]
        return number(reached[-1] if reached else schedule["initial"])
    first, last, start, end = (number(schedule[key]) for key in ("initial", "final", "start", "end"))
    return first if epoch < start else last if epoch + 1 >= end else first + (last - first) * (epoch - start + 1) / (end - start)
