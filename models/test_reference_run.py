"""Tests of the parts of reference runs: `python -m unittest discover models`."""

import contextlib
import io
import json
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch
from torch.optim import swa_utils

MODELS = Path(__file__).resolve().parent
sys.path.insert(0, str(MODELS))

import networks  # noqa: E402
import reference_average  # noqa: E402
import reference_data  # noqa: E402
import reference_run  # noqa: E402
import run_config  # noqa: E402
import schedules  # noqa: E402
import weights  # noqa: E402

FIXTURES = MODELS.parent / "Tests" / "Fixtures" / "reference"


class ConfigTests(unittest.TestCase):
    def read(self, text: str) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.yaml"
            path.write_text(text)
            return run_config.read(path)

    def test_reads_a_configuration_of_sat(self):
        config = self.read(
            "a: 1\nb:\n  c: 5e-4\n  d: 8/255\n  e: {}\nf:\n- 40\n- 50\ng:\n  m:\n  - epoch: 30\n    value: 0.25\n"
            "  - epoch: 45\n    value: 1\n  n: []\nh: 'x y'\ni: true\nj: mnist-cnn\n"
        )
        self.assertEqual(
            config,
            {
                "a": 1,
                "b": {"c": 5e-4, "d": "8/255", "e": {}},
                "f": [40, 50],
                "g": {"m": [{"epoch": 30, "value": 0.25}, {"epoch": 45, "value": 1}], "n": []},
                "h": "x y",
                "i": True,
                "j": "mnist-cnn",
            },
        )
        self.assertEqual(run_config.number(config["b"]["d"]), 8 / 255)

    def test_refuses_other_texts(self):
        for text in ("- 1\n", "a: 1\n  nonsense\n"):
            with self.assertRaises(ValueError):
                self.read(text)

    def test_quoted_words(self):
        self.assertEqual(self.read("a: 'it''s'\nb: \"d\\xFCnn \\u2013 \\\"x\\\"\"\n"), {"a": "it's", "b": 'dünn – "x"'})


class ScheduleTests(unittest.TestCase):
    def test_lambda(self):
        linear = {"kind": "linear", "initial": 0, "final": 1, "start": 2, "end": 6}
        self.assertEqual([schedules.difficulty(linear, e) for e in range(8)], [0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
        step = {"kind": "step", "initial": 0, "milestones": [{"epoch": 1, "value": 0.5}, {"epoch": 3, "value": 1}]}
        self.assertEqual([schedules.difficulty(step, e) for e in range(4)], [0, 0.5, 0.5, 1])


class DataTests(unittest.TestCase):
    def test_idx_and_the_split(self):
        labels = torch.tensor([0] * 15 + [1] * 25)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "mnist").mkdir()
            images = torch.arange(40 * 4, dtype=torch.uint8)
            for name, values, shape in (("images-idx3", images, (40, 2, 2)), ("labels-idx1", labels.to(torch.uint8), (40,))):
                head = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
                (Path(folder) / "mnist" / f"train-{name}-ubyte").write_bytes(head + values.numpy().tobytes())
            train, validation = reference_data.training_data("mnist", Path(folder))
        # A tenth of 15 and of 25, with halves rounded up.
        self.assertEqual(torch.bincount(validation[1]).tolist(), [2, 3])
        self.assertEqual(len(train[1]), 35)
        batch, _ = reference_data.batch(train, slice(0, 1))
        self.assertEqual(tuple(batch.shape), (1, 1, 2, 2))
        self.assertLessEqual(batch.max().item(), 1)


class RunTests(unittest.TestCase):
    def config(self, **changes) -> dict:
        return run_config.read(FIXTURES / "config.yaml") | {"data": str(FIXTURES / "digits.safetensors")} | changes

    def test_repeats_the_committed_steps(self):
        torch.set_num_threads(1)
        for method in ("at", "p-sat"):
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                config = self.config(method=method)
                reference_run.Reference(config, Path(folder), Path("data")).train(1, 3)
                lines = [json.loads(line) for line in (Path(folder) / "steps.jsonl").read_text().splitlines()]
            expected = [json.loads(line) for line in (FIXTURES / f"{method}.steps.jsonl").read_text().splitlines()][:3]
            for line, known in zip(lines, expected, strict=True):
                self.assertAlmostEqual(line["loss"], known["loss"], delta=1e-3)

    def test_repeats_the_committed_variants(self):
        torch.set_num_threads(1)
        for name in ("cyclic", "clipped", "ema"):
            changes = run_config.read(FIXTURES / f"{name}.yaml")
            config = self.config()
            config |= {key: config[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                reference_run.Reference(config, Path(folder), Path("data")).train(1, 3)
                lines = [json.loads(line) for line in (Path(folder) / "steps.jsonl").read_text().splitlines()]
            expected = [json.loads(line) for line in (FIXTURES / f"{name}.steps.jsonl").read_text().splitlines()][:3]
            for line, known in zip(lines, expected, strict=True):
                self.assertAlmostEqual(line["loss"], known["loss"], delta=1e-3)
                self.assertAlmostEqual(line["gradientNorm"], known["gradientNorm"], delta=1e-2 * known["gradientNorm"])

    def test_averages_equal_those_of_torch(self):
        for kind, function in (("ema", swa_utils.get_ema_multi_avg_fn(0.7)), ("swa", swa_utils.get_swa_multi_avg_fn())):
            torch.manual_seed(1)
            network = torch.nn.Linear(3, 2)
            average = reference_average.Average(network, {"kind": kind, "decay": 0.7, "start": 1})
            theirs = swa_utils.AveragedModel(network, multi_avg_fn=function)
            for epoch in range(4):
                with torch.no_grad():
                    network.weight += torch.randn(2, 3)
                if epoch >= 1:
                    theirs.update_parameters(network)
                average.step_taken(network, epoch)
                average.epoch_ended(network, epoch, lambda network: [])
            self.assertEqual(average.count, 3)
            torch.testing.assert_close(average.network.weight, theirs.module.weight)

    def test_a_whole_epoch_writes_a_run(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            reference_run.Reference(self.config(method="trades", methodOptions={}), Path(folder), Path("data")).train(1, None)
            metrics = json.loads((Path(folder) / "metrics.jsonl").read_text())
            self.assertEqual(metrics["validation"]["samples"], 11)
            self.assertLessEqual(metrics["perturbation"]["max"], 0.2 + 1e-6)
            state, metadata = weights.read_state_dict(Path(folder) / "best" / "weights.safetensors")
            weights.load(networks.build(metadata["sat.architecture"]), state, "the reference")

    def test_refusals(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["reference_run.py", f"{folder}/nowhere", f"{folder}/out"]
            with (
                mock.patch.object(sys, "argv", arguments),
                self.assertRaisesRegex(SystemExit, "nowhere/config.yaml cannot be read"),
            ):
                reference_run.main()
            self.assertFalse((Path(folder) / "out").exists())


if __name__ == "__main__":
    unittest.main()
