"""Treats every setting of a run's config.yaml: the reference follows it, reports that it ignores it, or refuses it by name."""

from pathlib import Path

from adaptive_defenses import METHODS
from schedules import LEARNING_RATES

LAMBDA_KEYS = {"constant": {"value"}, "step": {"initial", "milestones"}, "linear": {"initial", "final", "start", "end"}}

# Settings that may have any value. The reference follows them, or they change neither the weights nor the validation, such as
# names, the times of checkpoints and the device. Methods and networks check their own options, and the keys of lambda depend on
# its kind.
ANY_VALUE = {
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
CHECKED_ELSEWHERE = ("methodOptions", "model.options")
DATA_SETS = ("digits", "mnist", "cifar10", "cifar100")


def refuse_unsupported(config: dict) -> None:
    """Raises ValueError with one sentence that names the setting if the reference cannot train the run."""
    for path, value in settings(config):
        group, _, key = path.rpartition(".")
        if path in CHOICES:
            if value not in CHOICES[path]:
                supported = " and ".join(map(shown, CHOICES[path]))
                raise ValueError(f"{path} is {shown(value)} in this run, but the reference supports only {supported}")
        elif path == "augmentation" or group == "augmentation":
            if value not in (0, False, None, "none"):
                raise ValueError(
                    f"{path} is {shown(value)} in this run, but the reference does not augment images; train the run with "
                    "--set augmentation=none"
                )
        elif path == "data":
            file = Path(str(value))
            if value not in DATA_SETS and (value == "imagenette" or file.is_dir() or file.suffix == ".bin"):
                raise ValueError(
                    f"data is {value} in this run, which the reference does not read; it reads {', '.join(DATA_SETS)}, and .npz "
                    "and .safetensors files"
                )
        elif path not in ANY_VALUE and not (group == "lambda" and key in LAMBDA_KEYS.get(config["lambda"].get("kind"), ())):
            raise ValueError(f"the reference does not know the setting {path} of this config.yaml, so it cannot train the run")


def remarks(config: dict) -> list[str]:
    """Returns a sentence for each setting that the reference ignores when it trains the run."""
    found = []
    for key in ("precision", "attackPrecision"):
        if config.get("execution", {}).get(key, "fp32") != "fp32":
            found.append(
                f"execution.{key} is {config['execution'][key]} in this run; the reference computes in float32, so the runs differ "
                "by rounding from the first step on"
            )
    if config.get("smoothness", {}).get("every", 0):
        found.append(f"smoothness.every is {config['smoothness']['every']} in this run; the reference does not measure smoothness")
    return found


def settings(config: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Returns every setting with its path, such as threat.norm, except those in CHECKED_ELSEWHERE."""
    found = []
    for key, value in config.items():
        path = prefix + key
        if path in CHECKED_ELSEWHERE:
            continue
        found += settings(value, path + ".") if isinstance(value, dict) and value else [(path, value)]
    return found


def shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
