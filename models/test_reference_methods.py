"""Tests of reference runs: they train every method, and follow every setting of a config.yaml or refuse it by name."""

import contextlib
import copy
import io
import json
import re
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

MODELS = Path(__file__).resolve().parent
sys.path.insert(0, str(MODELS))

import adaptive_defenses  # noqa: E402
import curvature  # noqa: E402
import defenses  # noqa: E402
import reference_data  # noqa: E402
import reference_run  # noqa: E402
import run_config  # noqa: E402
import run_settings  # noqa: E402
import safetensors_io  # noqa: E402

FIXTURES = MODELS.parent / "Tests" / "Fixtures" / "reference"
EPSILON, STEPS, STEP_SIZE = 0.2, 2, 0.1


class Case(unittest.TestCase):
    def setUp(self):
        torch.set_num_threads(1)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        images, labels = reference_data.image_file(FIXTURES / "digits.safetensors")
        # Leaves two batches for training. Every class has at least 5 samples, so that one goes to validation.
        chosen = torch.cat([(labels == label).nonzero()[:8, 0] for label in range(5)])
        safetensors_io.write(
            self.folder / "digits.safetensors", {"images": images[chosen].contiguous(), "labels": labels[chosen].contiguous()}
        )

    def config(self, **changes) -> dict:
        """Returns a configuration with changed settings; the name a__b means the setting a.b."""
        config = run_config.read(FIXTURES / "config.yaml") | {"data": str(self.folder / "digits.safetensors"), "batchSize": 18}
        config["attack"] |= {"steps": STEPS, "stepSize": STEP_SIZE}
        for path, value in changes.items():
            *groups, key = path.split("__")
            group = config
            for name in groups:
                group = group.setdefault(name, {})
            group[key] = value
        return copy.deepcopy(config)

    def train(self, name: str, config: dict, epochs: int = 1) -> tuple[list[dict], dict]:
        """Trains a run and returns its steps and its final weights."""
        output = self.folder / name
        output.mkdir()
        run_settings.refuse_unsupported(config)
        with contextlib.redirect_stdout(io.StringIO()):
            reference = reference_run.Reference(config, output, Path("data"))
            reference.train(epochs, None)
        self.metrics = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        return [json.loads(line) for line in (output / "steps.jsonl").read_text().splitlines()], reference.network.state_dict()


class MethodTests(Case):
    # Lambda and the options of each method, and the largest perturbation that it may make, as a fraction of epsilon.
    CASES = {
        "at": (1, {}, 1),
        "p-sat": (0.5, {}, 1),
        "h-sat": (0.5, {"chunk": 6}, 1),
        "trades": (1, {"kl": "element-mean"}, 1),
        "dat": (-0.5, {"displacement": "start", "weighting": True}, 1),
        "cat20": (1, {"eta": "1/2", "hinge": "sum"}, 0.5),
        "cat18": (1, {"mixing": False}, 0),
        "iaat": (1, {"warmup": 0}, 0.1 * 0.2375),
        "epsilon-schedule": (0.25, {}, 0.25),
        "fat": (1, {"omega": 0.01}, 1),
        "mart": (1, {"start": "uniform"}, 1),
        "fast-at": (1, {"step": 1.25, "guard": True, "fall": 0.2, "guardSteps": 5}, 1),
        "free-at": (1, {"replays": 3}, 1),
    }

    def test_every_method_trains_an_epoch(self):
        self.assertEqual(set(self.CASES), set(adaptive_defenses.METHODS))
        beginning = None
        for method, (difficulty, options, reach) in self.CASES.items():
            with self.subTest(method):
                config = self.config(method=method, methodOptions=options, **{"lambda": {"kind": "constant", "value": difficulty}})
                if beginning is None:
                    torch.manual_seed(0)
                    beginning = reference_run.build(config).state_dict()
                steps, weights = self.train(method, config)
                self.assertEqual([step["step"] for step in steps], [0, 1])
                self.assertTrue(all(step["gradientNorm"] > 0 for step in steps))
                self.assertTrue(all(not torch.equal(weights[key], beginning[key]) for key in beginning))
                self.assertLessEqual(self.metrics[0]["perturbation"]["max"], reach * EPSILON + 1e-6)
                if reach:
                    self.assertGreater(self.metrics[0]["perturbation"]["max"], 0)
                # The seeds determine all draws, so a second run is equal.
                again, same = self.train(method + "-again", config)
                self.assertEqual(again, steps)
                self.assertTrue(all(torch.equal(weights[key], same[key]) for key in same))

    def test_methods_that_equal_at(self):
        steps, _ = self.train("at", self.config(method="at"))
        for method, difficulty in (("p-sat", 1), ("h-sat", 1), ("dat", 0), ("epsilon-schedule", 1), ("fat", 99)):
            config = self.config(method=method, **{"lambda": {"kind": "constant", "value": difficulty}})
            self.assertEqual(self.train(method, config)[0], steps, method)

    def test_options_are_checked(self):
        settings = defenses.Settings(EPSILON, STEPS, STEP_SIZE)
        for method, options, words in (
            ("at", {"beta": 1}, "at has no option beta"),
            ("trades", {"kl": "sum"}, "methodOptions.kl is sum; expected batchmean"),
            ("trades", {"beta": "much"}, "methodOptions.beta is much"),
            ("cat18", {"mixing": 1}, "methodOptions.mixing is 1; expected true"),
            ("h-sat", {"score": "none"}, "methodOptions.score"),
            ("free-at", {"replays": True}, "methodOptions.replays"),
        ):
            settings.options = options
            with self.assertRaisesRegex(ValueError, words):
                adaptive_defenses.make(method, settings)


class SettingTests(Case):
    def test_unsupported_settings_are_refused_by_name(self):
        for changes, words in (
            ({"method": "magic"}, "method is magic"),
            ({"threat__norm": "l1"}, "threat.norm is l1 .* linf and l2"),
            ({"augmentation__flip": True}, "augmentation.flip is true .* --set augmentation=none"),
            ({"augmentation__padding": 4}, "augmentation.padding is 4"),
            ({"augmentation": "crop"}, "augmentation is crop"),
            ({"optimizer__name": "rmsprop"}, "optimizer.name is rmsprop"),
            ({"learningRateSchedule__kind": "linear"}, "learningRateSchedule.kind is linear"),
            ({"averaging__kind": "lookahead"}, "averaging.kind"),
            ({"averaging__statistics": "none"}, "averaging.statistics"),
            ({"lambda__kind": "cosine"}, "lambda.kind"),
            ({"lambda__period": 3}, "setting lambda.period"),
            ({"data": "imagenette"}, "data is imagenette"),
            ({"data": str(self.folder)}, "does not read"),
            ({"execution__precision": "fp16"}, "execution.precision is fp16"),
            ({"mixup": 0.2}, "the setting mixup"),
            ({"attack__restarts": 2}, "the setting attack.restarts"),
            ({"attack__randomStart": "some"}, "attack.randomStart"),
        ):
            with self.subTest(changes), self.assertRaisesRegex(ValueError, words):
                run_settings.refuse_unsupported(self.config(**changes))
        run_settings.refuse_unsupported(self.config())

    def test_no_setting_of_sat_is_unknown(self):
        known = {
            part
            for path in [
                *run_settings.ANY_VALUE,
                *run_settings.CHOICES,
                *run_settings.CHECKED_ELSEWHERE,
                "data",
                "augmentation",
            ]
            for part in path.split(".")
        }
        sources = MODELS.parent / "Sources" / "SAT"
        stored = re.compile(r"^ +public var (\w+)(?:: [\w.\[\]]+)?(?: = .*)?$", re.MULTILINE)
        files = [sources / "Training" / "TrainingConfiguration.swift", sources / "Support" / "Execution.swift"]
        names = {name for file in files for name in stored.findall(file.read_text())}
        self.assertGreater(len(names), 30)
        self.assertEqual(names - known, set())

    def test_ignored_settings_are_reported(self):
        self.assertEqual(run_settings.remarks(self.config(execution__precision="fp32", smoothness__every=0)), [])
        said = run_settings.remarks(self.config(execution__attackPrecision="bf16", smoothness__every=2))
        self.assertRegex(" ".join(said), "execution.attackPrecision is bf16 .* smoothness.every is 2")

    def test_followed_settings_make_a_difference(self):
        plain = self.train("plain", self.config(), epochs=2)
        for number, (changes, step) in enumerate(
            (
                ({"seed": 2**62 + 1}, 0),
                ({"attack__randomStart": False}, 0),
                ({"attack__stepSize": "1/9"}, 0),
                ({"threat__norm": "l2"}, 0),
                ({"threat__epsilon": "2/9"}, 0),
                ({"normalization": "mnist"}, 0),
                ({"batchSize": 17}, 0),
                ({"awp__gamma": 0.02}, 0),
                ({"awp__gamma": 0.02, "awp__warmup": 1}, 2),
                ({"optimizer__learningRate": 0.02}, 1),
                ({"optimizer__weightDecay": 0.1}, 1),
                ({"optimizer__momentum": 0.5}, 2),
                ({"optimizer__nesterov": True}, 1),
                ({"optimizer__maxGradientNorm": 0.1}, 1),
                ({"optimizer__name": "adam"}, 1),
                ({"learningRateSchedule__kind": "multi-step", "learningRateSchedule__milestones": [1]}, 3),
                ({"learningRateSchedule__kind": "cosine"}, 3),
                ({"learningRateSchedule__kind": "cyclic", "learningRateSchedule__peak": 0.5}, 1),
            )
        ):
            steps, _ = self.train(f"run{number}", self.config(**changes), epochs=2)
            first = next((a["step"] for a, b in zip(steps, plain[0], strict=False) if a != b), None)
            self.assertEqual(first, step, changes)

    def test_validation_every_second_epoch(self):
        self.train("every", self.config(validation__every=2), epochs=3)
        self.assertEqual(["validation" in epoch for epoch in self.metrics], [False, True, True])

    def test_a_loss_that_is_not_finite_ends_the_run(self):
        with self.assertRaisesRegex(ValueError, "training loss became nan in epoch"):
            self.train("nan", self.config(optimizer__learningRate=1e30))


class CurriculumTests(Case):
    def test_cat18_adds_a_step_after_success_or_patience(self):
        network, y = nn.Flatten(), torch.tensor([0, 1])
        for options, accuracy, expected in (
            ({"accuracy": 0.9, "patience": 2}, 1, [1, 2, 2, 2]),
            ({"accuracy": 0.9, "patience": 2}, 0, [0, 1, 1, 2, 2, 2]),
            ({"accuracy": 0.9, "patience": 1}, 0, [1, 2, 2]),
        ):
            cat18 = adaptive_defenses.make("cat18", defenses.Settings(EPSILON, 2, STEP_SIZE, options=options))
            found = []
            for epoch in range(len(expected)):
                cat18.seen, cat18.right = len(y), accuracy * len(y)
                self.assertIsNone(cat18.finish_epoch(epoch, network))
                found.append(cat18.k)
            self.assertEqual(found, expected)
        self.train("cat18", self.config(method="cat18", methodOptions={"patience": 1}), epochs=3)
        sizes = [epoch["perturbation"]["mean"] for epoch in self.metrics]
        self.assertTrue(0 == sizes[0] < sizes[1], sizes)

    def test_the_guard_of_fast_at_restores_the_weights(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        x = torch.rand(64, 1, 2, 2)
        y = (x.flatten(1).sum(1) > 2).long()
        with torch.no_grad():
            network[1].weight.copy_(torch.tensor([[-9.0] * 4, [9.0] * 4]))
            network[1].bias.copy_(torch.tensor([18.0, -18.0]))
        good = copy.deepcopy(network.state_dict())
        settings = defenses.Settings(0.02, 1, 0.02)
        for guard in (True, False):
            network.load_state_dict(good)
            settings.options = {"guard": guard}
            fast = adaptive_defenses.make("fast-at", settings)
            fast.first = (0, x, y)
            self.assertIsNone(fast.finish_epoch(0, network))
            with torch.no_grad():
                network[1].weight.neg_()
            bad = copy.deepcopy(network.state_dict())
            fast.first = (1, x, y)
            why = fast.finish_epoch(1, network)
            if guard:
                self.assertRegex(why, r"fell from \d+\.\d % to \d+\.\d % in epoch 1")
            else:
                self.assertIsNone(why)
            torch.testing.assert_close(network.state_dict(), good if guard else bad)
            self.assertTrue(network.training)

    def test_the_guard_ends_the_run(self):
        # With this limit, almost every accuracy counts as a fall.
        config = self.config(method="fast-at", methodOptions={"fall": -1.0}, validation__every=9)
        steps, weights = self.train("ended", config, epochs=5)
        self.assertEqual(len(steps), 4)
        self.assertIn("validation", self.metrics[-1])
        _, first = self.train("one", config)
        self.assertTrue(all(torch.equal(weights[key], first[key]) for key in first))

    def test_the_power_score_is_the_norm_of_the_hessian(self):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        x, y = torch.rand(5, 1, 2, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
        names, shapes = zip(*[(name, weight.shape) for name, weight in network.named_parameters()], strict=True)
        flat = torch.cat([weight.detach().flatten() for weight in network.parameters()])

        def loss(vector, image, label):
            parts = vector.split([shape.numel() for shape in shapes])
            state = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
            return F.cross_entropy(functional_call(network, state, (image,)), label)

        exact = torch.stack(
            [
                torch.linalg.eigvalsh(torch.autograd.functional.hessian(lambda v, i=i: loss(v, x[i : i + 1], y[i : i + 1]), flat))
                .abs()
                .max()
                for i in range(5)
            ]
        )
        torch.testing.assert_close(curvature.curvature(network, x, y, "power"), exact, rtol=1e-4, atol=0)
        # A sample with zero loss has no curvature.
        with torch.no_grad():
            network[3].bias[0] = 1e4
        self.assertEqual(curvature.curvature(network, x[:1], y[:1], "power").item(), 0)


if __name__ == "__main__":
    unittest.main()
