"""Repeats the training of a run of `sat train` in plain PyTorch, with the same initial weights, order of the data and noise.

    python models/reference_run.py runs/digits-p-sat runs/digits-p-sat.pytorch
    sat compare runs/digits-p-sat runs/digits-p-sat.pytorch

The program reads only the config.yaml of the run. sat uses PyTorch's CPU generator, so the same seeds give the same draws. The two
programs add in different orders, so they agree within rounding until rounding errors grow. The output has the form of a run's
folder: metrics.jsonl, steps.jsonl, and the checkpoints best and last, which `sat evaluate` reads. defenses.py and
adaptive_defenses.py hold the methods, and networks.py holds the networks.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

import adaptive_defenses
import networks
import reference_average
import reference_data
import run_config
import run_settings
import safetensors_io
import schedules
import weights
from command_line import positive
from defenses import Settings, ascend, project, starting_point
from run_config import number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run of sat train")
    parser.add_argument("output", type=Path, help="new folder for the reference run")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=reference_data.default_root(),
        help="folder of the data sets; default: the environment variable SAT_DATA, else data/",
    )
    parser.add_argument("--epochs", type=positive, help="number of epochs; default: the epochs of the run")
    parser.add_argument("--steps", type=positive, help="stop after this number of updates; saves no checkpoint inside an epoch")
    parser.add_argument("--threads", type=positive, help="number of threads; default: PyTorch decides")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        config = run_config.read(arguments.run / "config.yaml")
        if os.path.lexists(arguments.output):
            raise ValueError(f"{arguments.output} already exists; delete it, or name another folder")
        try:
            run_settings.refuse_unsupported(config)
            reference = Reference(config, arguments.output, arguments.data_root)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{arguments.run / 'config.yaml'} lacks a setting ({error}); expected the config.yaml of a run"
            ) from error
        for remark in run_settings.remarks(config):
            print(f"reference_run: {remark}", file=sys.stderr)
        arguments.output.mkdir(parents=True)
        (arguments.output / "config.yaml").write_text((arguments.run / "config.yaml").read_text())
        reference.train(arguments.epochs or config["epochs"], arguments.steps)
    except OSError as error:
        sys.exit(
            f"reference_run: {error.filename or arguments.output} cannot be created or written ({error.strerror}); "
            "name another folder for the reference run"
        )
    except ValueError as error:
        sys.exit(f"reference_run: {error}")


class Reference:
    def __init__(self, config: dict, output: Path, data_root: Path):
        self.config, self.output = config, output
        self.training, self.validation = reference_data.training_data(config["data"], data_root)
        seed = config["seed"]
        # sat has three streams of random draws. The first draws the weights, and later the masks of dropout.
        torch.manual_seed(4 * seed % 2**64)
        self.shuffling = torch.Generator().manual_seed((4 * seed + 1) % 2**64)
        self.perturbing = torch.Generator().manual_seed((4 * seed + 2) % 2**64)
        self.network = build(config)
        self.settings = Settings(
            epsilon=number(config["threat"]["epsilon"]),
            steps=config["attack"]["steps"],
            step_size=number(config["attack"]["stepSize"]),
            norm=config["threat"]["norm"],
            schedule=lambda epoch: schedules.difficulty(config["lambda"], epoch),
            options=config.get("methodOptions") or {},
            training_size=len(self.training[1]),
            awp=number(config["awp"]["gamma"]),
            awp_warmup=config["awp"]["warmup"],
            start="uniform" if config["attack"]["randomStart"] else "none",
        )
        self.defense = adaptive_defenses.make(config["method"], self.settings)
        self.optimizer = optimizer(config["optimizer"], self.network)
        self.optimizer.register_step_pre_hook(lambda *_: self.clip_gradients())
        averaging = config["averaging"]
        self.average = None if averaging["kind"] == "none" else reference_average.Average(self.network, averaging)
        self.is_cyclic = config["learningRateSchedule"]["kind"] == "cyclic"
        self.gradient_norm = 0.0
        self.steps = 0
        self.best = -1.0
        self.seen: list[tuple[Tensor, Tensor]] = []
        # The hook does not hold `self`, because some methods copy the network, and a copy copies the hooks and what they hold.
        self.network.register_forward_hook(recorder(self.seen))

    def train(self, epochs: int, steps: int | None) -> None:
        batches = -(-len(self.training[1]) // self.config["batchSize"])
        schedule = schedules.LEARNING_RATES[self.config["learningRateSchedule"]["kind"]](
            self.optimizer, self.config["learningRateSchedule"], self.config["epochs"], batches
        )
        for epoch in range(epochs):
            metrics = self.train_epoch(epoch, steps, schedule if self.is_cyclic else None)
            if metrics is None:
                return
            ending = self.defense.finish_epoch(epoch, self.network)
            if not self.is_cyclic:
                schedule.step()
            if self.average is not None:
                self.average.epoch_ended(self.network, epoch, lambda network, epoch=epoch: self.statistics_batches(network, epoch))
            text = f"epoch {epoch + 1}/{epochs}   loss {metrics['train']['loss']:.3f}   "
            if (epoch + 1) % self.config["validation"]["every"] == 0 or epoch + 1 == epochs or ending:
                metrics["validation"] = found = self.validate()
                text += f"clean {100 * found['clean']:.1f} %   robust {100 * found['robust']:.1f} %   "
            append(self.output / "metrics.jsonl", metrics | {"time": time.time()})
            self.save("last")
            if metrics.get("validation", {}).get("robust", -1.0) > self.best:
                self.best = metrics["validation"]["robust"]
                self.save("best")
            print(f"{text}{metrics['seconds']:.1f} s", flush=True)
            if ending:
                print(f"{self.config['method']} ended the training: {ending}", flush=True)
            if ending or self.steps == steps:
                return

    def train_epoch(self, epoch: int, steps: int | None, each_step: lr_scheduler.LRScheduler | None) -> dict | None:
        start = time.perf_counter()
        order = torch.randperm(len(self.training[1]), generator=self.shuffling)
        self.network.train()
        loss = correct = size = largest = norms = 0.0
        batches = order.split(self.config["batchSize"])
        for positions in batches:
            if self.steps == steps:
                return None
            images, labels = reference_data.batch(self.training, positions)
            self.seen.clear()
            rate = self.optimizer.param_groups[0]["lr"]
            batch_loss = self.defense.step(self.network, self.optimizer, images, labels, positions, epoch, self.perturbing)
            if not math.isfinite(batch_loss):
                raise ValueError(f"the training loss became {batch_loss} in epoch {epoch}; sat also ends a run then")
            # The last pass in training mode is the pass of the adversarial examples.
            examples, logits = self.seen[-1]
            sizes = (examples - images).flatten(1).norm(float("inf") if self.settings.norm == "linf" else 2, dim=1)
            append(
                self.output / "steps.jsonl",
                {"step": self.steps, "epoch": epoch, "loss": batch_loss, "gradientNorm": self.gradient_norm},
            )
            self.steps += 1
            if each_step is not None:
                each_step.step()
            if self.average is not None:
                self.average.step_taken(self.network, epoch)
            loss += batch_loss * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
            size += sizes.sum().item()
            largest = max(largest, sizes.max().item())
            norms += self.gradient_norm
        count, seconds = len(order), time.perf_counter() - start
        return {
            "epoch": epoch,
            "learningRate": rate,
            "train": {"loss": loss / count, "accuracy": correct / count},
            "perturbation": {"mean": size / count, "max": largest},
            "gradientNorm": norms / len(batches),
            "seconds": seconds,
            "samplesPerSecond": count / seconds,
        }

    def clip_gradients(self) -> None:
        """Records the norm of all gradients and clips it, just before the optimizer uses them."""
        parameters, limit = list(self.network.parameters()), self.config["optimizer"]["maxGradientNorm"]
        self.gradient_norm = nn.utils.clip_grad_norm_(parameters, limit or float("inf")).item()

    def statistics_batches(self, network: nn.Module, epoch: int) -> list[Tensor]:
        """Returns batches of the training images, in their order, for the BatchNorm statistics of the averaged weights."""
        stream = 4 * self.config["seed"] + 3 + (2 * epoch + 1) * 0x9E3779B97F4A7C15
        generator = torch.Generator().manual_seed(stream % 2**64)
        size, found = self.config["batchSize"], []
        for start in range(0, len(self.training[1]), size):
            images, labels = reference_data.batch(self.training, slice(start, start + size))
            perturbs = self.config["averaging"]["statistics"] == "perturbed"
            found.append(ascend(network, images, labels, self.settings, generator) if perturbs else images)
        return found

    @property
    def result(self) -> nn.Module:
        """The network to validate and to save."""
        return self.average.network if self.average is not None and self.average.count else self.network

    def validate(self) -> dict:
        """Returns the accuracies, clean and under the training attack. An image is lost if any iterate is misclassified."""
        network = self.result.eval()
        generator = torch.Generator().manual_seed(self.config["seed"])
        s, clean, robust, count = self.settings, 0, 0, len(self.validation[1])
        for start in range(0, count, self.config["batchSize"]):
            images, labels = reference_data.batch(self.validation, slice(start, start + self.config["batchSize"]))
            with torch.no_grad():
                held = network(images).argmax(1) == labels
            clean += held.sum().item()
            x = starting_point(images, s.epsilon, s.norm, s.start, generator)
            for step in range(s.steps + 1):
                x.requires_grad_()
                logits = network(x)
                held &= logits.argmax(1) == labels
                if step < s.steps:
                    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
                    if s.norm == "l2":
                        gradient /= gradient.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
                    else:
                        gradient = gradient.sign()
                    x = project(x.detach() + s.step_size * gradient, images, s.epsilon, s.norm).detach()
            robust += held.sum().item()
        return {"clean": clean / count, "robust": robust / count, "samples": count}

    def save(self, name: str) -> None:
        folder = self.output / name
        folder.mkdir(exist_ok=True)
        model = self.config["model"]
        metadata = {
            "sat.architecture": model["name"],
            "sat.options": json.dumps({key: str(value) for key, value in (model["options"] or {}).items()}),
        }
        if self.config["normalization"] != "none":
            metadata["sat.normalization"] = self.config["normalization"]
        safetensors_io.write(folder / "weights.safetensors", self.result.state_dict(), metadata)


def recorder(seen: list) -> Callable:
    """Makes a hook that records the images and the logits of every pass in training mode."""

    def record(network: nn.Module, inputs: tuple, logits: Tensor) -> None:
        if network.training:
            seen.append((inputs[0].detach(), logits.detach()))

    return record


def build(config: dict) -> nn.Module:
    normalization = None
    if (text := config["normalization"]) != "none":
        normalization = networks.NORMALIZATIONS.get(text) or tuple([float(x) for x in part.split(",")] for part in text.split())
    options = {key: int(value) for key, value in (config["model"]["options"] or {}).items()}
    network = networks.build(config["model"]["name"], options, normalization)
    if config["from"] != "none":
        path = Path(config["from"])
        inside = [p for p in (path / "weights.safetensors", path / "best" / "weights.safetensors") if p.exists()]
        path = inside[0] if inside else path
        weights.load(network, weights.read_state_dict(path)[0], str(path))
    return network


def optimizer(settings: dict, network: nn.Module) -> torch.optim.Optimizer:
    rate, decay = settings["learningRate"], settings["weightDecay"]
    if settings["name"] == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(), lr=rate, momentum=settings["momentum"], nesterov=settings["nesterov"], weight_decay=decay
    )


def append(path: Path, line: dict) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
