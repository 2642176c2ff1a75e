"""Tests of mistakes in command lines: each gives one sentence, no traceback and no file. `python -m unittest discover models`."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy
import torch

import autoattack_reference
import command_line
import hessian_reference
import networks
import reference_data
import reference_run
import safetensors_io

torch.set_num_threads(1)
FIXTURES = Path(__file__).resolve().parents[1] / "Tests" / "Fixtures" / "reference"


class CommandLineTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        torch.manual_seed(0)
        self.network = networks.build("lenet5").eval()
        self.metadata = {"sat.architecture": "lenet5"}
        safetensors_io.write(self.folder / "w.safetensors", self.network.state_dict(), self.metadata)
        self.images = torch.rand(4, 1, 28, 28).numpy()
        self.labels = self.network(torch.from_numpy(self.images)).argmax(1).numpy()
        self.save("good", images=self.images, labels=self.labels)

    def save(self, name: str, **arrays) -> str:
        numpy.savez(self.folder / f"{name}.npz", **arrays)
        return str(self.folder / f"{name}.npz")

    def run_program(self, program, *arguments: object) -> tuple[int, str, str]:
        """Returns the exit status, the standard output and the standard error."""
        said, errors, status = io.StringIO(), io.StringIO(), 0
        with (
            mock.patch.object(sys, "argv", [program.__name__, *map(str, arguments)]),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(errors),
        ):
            try:
                program.main()
            except SystemExit as end:
                # If the code is a text, Python prints it to standard error and exits with 1.
                status = end.code if isinstance(end.code, int) else 1
                errors.write("" if isinstance(end.code, int) else f"{end.code}\n")
        return status, said.getvalue(), errors.getvalue()

    def attack(self, *arguments: object, data: object = None, weights: object = None) -> tuple[int, str, str]:
        return self.run_program(
            autoattack_reference,
            "--weights",
            weights or self.folder / "w.safetensors",
            "--epsilon",
            0.01,
            "--data",
            data or self.folder / "good.npz",
            *arguments,
        )

    def assert_refused(self, outcome: tuple[int, str, str], words: str):
        status, said, errors = outcome
        self.assertEqual((status, said, errors.count("\n")), (1, "", 1), errors)
        self.assertRegex(errors, words)

    def test_attacks_on_a_good_file(self):
        target = self.folder / "adversarial.safetensors"
        status, said, _ = self.attack("--attack", "apgd-ce", "--iterations", 2, "--first", 3, "--save", target, "--json")
        self.assertEqual((status, json.loads(said)["clean"], json.loads(said)["samples"]), (0, 3, 3))
        moved = safetensors_io.read(target)[0]["images"] - torch.from_numpy(self.images[:3])
        self.assertLessEqual(moved.abs().max().item(), 0.01 + 1e-6)

    def test_the_file_names_its_normalisation(self):
        path = str(self.folder / "n.safetensors")
        safetensors_io.write(path, self.network.state_dict(), self.metadata | {"sat.normalization": "0.25 0.5"})
        x = torch.from_numpy(self.images)
        for given, (mean, std) in ((None, (0.25, 0.5)), (["mnist"], (0.1307, 0.3081)), (["0.5", "2"], (0.5, 2))):
            network, name, options = command_line.network(path, None, [], given)
            self.assertEqual((name, options), ("lenet5", {}))
            torch.testing.assert_close(network(x), self.network((x - mean) / std))

    def test_bad_data(self):
        whole = (self.folder / "good.npz").read_bytes()
        (self.folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
        x, y = self.images, self.labels
        for data, words in (
            (self.folder / "none.npz", "neither a data set nor a file"),
            (self.folder / "cut.npz", "not an .npz file of numbers, or it is damaged"),
            (self.save("objects", images=numpy.array([{}, 1], dtype=object), labels=y), "not an .npz file of numbers"),
            (self.save("unlabelled", images=x), "holds images; expected images and labels"),
            (self.save("colour", images=x.repeat(3, axis=1), labels=y), "takes images of 1 x 28 x 28, .* of 3 x 28 x 28"),
            (self.save("small", images=x[..., :20, :20], labels=y), "takes images of 1 x 28 x 28, .* of 1 x 20 x 20"),
            (self.save("bright", images=x * 255, labels=y), "range from .* expected pixels in \\[0, 1\\]"),
            (self.save("nan", images=x * numpy.nan, labels=y), "range from nan"),
            (self.save("high", images=x, labels=y * 0 + 10), "label 10 .* 10 classes, from 0 to 9"),
            (self.save("low", images=x, labels=y - 11), "label -\\d+; expected classes from 0"),
            (self.save("few", images=x, labels=y[:2]), "expected 4 whole numbers"),
            (self.save("flat", images=x[0], labels=y), "expected uint8 or float \\(N, C, H, W\\)"),
            (self.save("empty", images=x[:0], labels=y[:0]), "expected uint8 or float"),
            ("mnist", "give the folder of the data sets with --data-root"),
        ):
            self.assert_refused(self.attack("--data-root", self.folder, data=data), words)

    def test_bad_weights_and_targets(self):
        nameless = self.folder / "nameless.safetensors"
        safetensors_io.write(nameless, self.network.state_dict())
        self.assert_refused(self.attack(weights=nameless), "give --model")
        self.assert_refused(self.attack(weights=self.folder / "none.pt"), "there is no file")
        os.mkfifo(self.folder / "pipe")
        self.assert_refused(self.attack(weights=self.folder / "pipe"), "not a regular file")
        self.assert_refused(self.attack("--save", self.folder / "none" / "x.safetensors"), "there is no folder")
        self.assert_refused(self.attack("--save", self.folder / "pipe"), "not a regular file")

    def test_wrong_usage(self):
        for arguments in (
            ["--first", 0],
            ["--batch-size", 0],
            ["--attack", "pgd"],
            ["--attack", ""],
            ["--epsilon", 2],
            ["--epsilon", -0.1],
            ["--epsilon", 0],
            ["--epsilon", "1/0"],
            ["--epsilon", "nan"],
            ["--iterations", 0],
            ["--queries", -1],
            ["--threads", 0],
        ):
            status, said, errors = self.attack(*(f"{arguments[0]}={arguments[1]}",))
            self.assertEqual((status, said), (2, ""), arguments)
            self.assertIn(f"error: argument {arguments[0]}: ", errors)

    def test_the_variable_for_the_data(self):
        with mock.patch.dict(os.environ, {"SAT_DATA": str(self.folder / "elsewhere")}):
            self.assertEqual(reference_data.default_root(), self.folder / "elsewhere")
            self.assert_refused(self.attack(data="mnist"), f"{self.folder}/elsewhere/mnist/t10k-images")
        with mock.patch.dict(os.environ, {"SAT_DATA": ""}):
            self.assertEqual(reference_data.default_root(), Path("data"))

    def test_hessian(self):
        def hessian(weights: object, images: object) -> tuple[int, str, str]:
            return self.run_program(hessian_reference, "--weights", weights, "--images", images, "--products", 1, "--first", 2)

        good = self.folder / "w.safetensors", self.folder / "good.npz"
        (self.folder / "text").write_text("no tensors here")
        self.assert_refused(hessian(self.folder / "none", good[1]), "there is no file .*none")
        self.assert_refused(hessian(self.folder / "text", good[1]), "text is not a file of weights")
        self.assert_refused(hessian(good[0], self.folder / "none"), "none' is neither")
        self.assert_refused(hessian(good[0], self.folder / "text"), "text is not a safetensors file")
        status, said, errors = hessian(*good)
        self.assertEqual(status, 0, errors)
        self.assertGreater(json.loads(said)["secondsPerProduct"], 0)

    def test_reference_run(self):
        run = self.folder / "run"
        run.mkdir()
        text = (FIXTURES / "config.yaml").read_text()
        (run / "config.yaml").write_text(text)
        (self.folder / "file").write_text("")
        for output, words in (
            (self.folder / "file" / "x", "file/x cannot be created"),
            (run, "already exists"),
            (self.folder / "out", "is neither a data set nor a file"),
        ):
            data = "data: nowhere.npz\n" if output.name == "out" else f"data: {FIXTURES / 'digits.safetensors'}\n"
            lines = [line for line in text.splitlines(keepends=True) if not line.startswith("data:")]
            (run / "config.yaml").write_text("".join(lines) + data)
            self.assert_refused(self.run_program(reference_run, run, output), words)
        for damaged in ("", "a: 1\n", "averaging: none\n"):
            (run / "config.yaml").write_text(damaged)
            self.assert_refused(self.run_program(reference_run, run, self.folder / "out"), "config.yaml")
        self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main()
