"""How the reference treats every setting of a run's config.yaml: it follows it, says what it leaves out, or refuses it by name."""

from pathlib import Path

from adaptive_defenses import METHODS
from schedules import LEARNING_RATES

LAMBDA_KEYS = {"constant": {"value"}, "step": {"initial", "milestones"}, "linear": {"initial", "final", "start", "end"}}

# What is followed whatever its value, or changes neither the weights nor what is validated: names, when to save, where to compute.
# The options of a method and of a network are checked where these are made, and lambda's keys depend on its kind.
FREE = {
    "preset",
    "from",
    "normalization",
    "threat.epsilon",
    "attack.steps",
    "attack.stepSize",
    "awp.gamma",
    "awp.warmup",
    "model.name",
    "epochs",
    "batchSize",
    "seed",
    "optimizer.learningRate",
    "optimizer.momentum",
    "optimizer.nesterov",
    "optimizer.weightDecay",
    "optimizer.maxGradientNorm",
    "learningRateSchedule.milestones",
    "learningRateSchedule.gamma",
    "learningRateSchedule.peak",
    "averaging.decay",
    "averaging.start",
    "validation.every",
    "checkpoints.minutes",
    "logSteps",
    "smoothness.every",
    "smoothness.samples",
    "smoothness.probes",
    "execution.device",
    "execution.threads",
    "execution.memoryFormat",
}
CHOICES = {
    "method": tuple(METHODS),
    "threat.norm": ("linf", "l2"),
    "attack.randomStart": (True, False),
    "optimizer.name": ("sgd", "adam"),
    "learningRateSchedule.kind": tuple(LEARNING_RATES),
    "averaging.kind": ("none", "ema", "swa"),
    "averaging.statistics": ("perturbed", "clean"),
    "lambda.kind": tuple(LAMBDA_KEYS),
    "execution.precision": ("fp32", "bf16"),
    "execution.attackPrecision": ("fp32", "bf16"),
}
OPEN = ("methodOptions", "model.options")
DATA_SETS = ("digits", "mnist", "cifar10", "cifar100")


def refuse_what_is_not_here(config: dict) -> None:
    """Raises ValueError, one sentence that names the setting, for a run that the reference cannot train."""
    for path, value in settings(config):
        group, _, key = path.rpartition(".")
        if path in CHOICES:
            if value not in CHOICES[path]:
                here = " and ".join(map(shown, CHOICES[path]))
                raise ValueError(f"{path} is {shown(value)} in this run, which is not in the reference; it has {here}")
        elif path == "augmentation" or group == "augmentation":
            if value not in (0, False, None, "none"):
                raise ValueError(
                    f"{path} is {shown(value)} in this run, and the reference augments no images; train the run with "
                    "--set augmentation=none"
                )
        elif path == "data":
            file = Path(str(value))
            if value not in DATA_SETS and (value == "imagenette" or file.is_dir() or file.suffix == ".bin"):
                raise ValueError(
                    f"data is {value} in this run, which the reference does not read; it has {', '.join(DATA_SETS)}, and .npz "
                    "and .safetensors files"
                )
        elif path not in FREE and not (group == "lambda" and key in LAMBDA_KEYS.get(config["lambda"].get("kind"), ())):
            raise ValueError(f"the reference does not know the setting {path} of this config.yaml, so it cannot train the run")


def remarks(config: dict) -> list[str]:
    """What of the run the reference leaves out though it trains it, a sentence each."""
    found = []
    for key in ("precision", "attackPrecision"):
        if config.get("execution", {}).get(key, "fp32") != "fp32":
            found.append(
                f"execution.{key} is {config['execution'][key]} in this run; the reference computes in float32, so the two part "
                "by the rounding of the shorter numbers from the first step on"
            )
    if config.get("smoothness", {}).get("every", 0):
        found.append(f"smoothness.every is {config['smoothness']['every']} in this run; the reference does not measure smoothness")
    return found


def settings(config: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Every single setting with its path, such as threat.norm, but for those under OPEN."""
    found = []
    for key, value in config.items():
        path = prefix + key
        if path in OPEN:
            continue
        found += settings(value, path + ".") if isinstance(value, dict) and value else [(path, value)]
    return found


def shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
