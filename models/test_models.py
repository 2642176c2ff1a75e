"""Tests of the networks, of their files and of the export: `python -m unittest discover models`."""

import argparse
import contextlib
import io
import json
import os
import re
import socket
import stat
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent))

import command_line
import export_torchscript
import networks
import safetensors_io
import weights

FILES = Path(__file__).resolve().parents[1] / "Tests" / "Fixtures" / "files"
PARAMETERS = {
    "mnist-cnn": 729_418,
    "lenet5": 648_226,
    "cnn-a": 214_918,
    "small-cnn": 312_202,
    "resnet20": 269_722,
    "resnet18": 11_173_962,
    "prn20": 11_171_146,
    "wrn34-10": 46_160_474,
    "resnet34": 21_289_802,
}


class Untypable(nn.Module):
    """A network with a forward that TorchScript's compiler refuses."""

    def forward(self, *inputs):
        return inputs[0] * 2


class NetworkTests(unittest.TestCase):
    def test_parameter_counts(self):
        with torch.device("meta"):
            counts = {name: sum(p.numel() for p in networks.build(name).parameters()) for name in networks.NETWORKS}
        self.assertEqual(counts, PARAMETERS)

    def test_published_counts_of_the_variants(self):
        for name, options, count in (
            ("prn20", {"classes": 100}, 11_217_316),
            ("prn20", {"finalBN": 1}, 11_172_170),
            ("prn20", {"rawShortcut": 1}, 11_171_146),
            ("wrn34-10", {"classes": 100}, 46_218_164),
            ("wrn34-10", {"depth": 28}, 36_479_194),
            ("resnet34", {"classes": 1000}, 21_797_672),
        ):
            with torch.device("meta"):
                network = networks.build(name, options)
            self.assertEqual(sum(p.numel() for p in network.parameters()), count, (name, options))

    def test_options_reach_the_network(self):
        for name, entry in networks.NETWORKS.items():
            others = {"channels": 1, "finalBN": 1, "depth": 10, "width": 2}
            options = {"classes": 7} | {key: value for key, value in others.items() if key in entry.options}
            logits = networks.build(name, options).eval()(torch.rand(2, *entry.input_shape(options)))
            self.assertEqual(logits.shape, (2, 7), name)

    def test_normalisation_is_in_front_and_not_in_the_state(self):
        mean, std = networks.NORMALIZATIONS["cifar10"]
        network = networks.build("resnet20", {}, (mean, std)).eval()
        self.assertEqual(list(network.state_dict()), list(network.network.state_dict()))
        x = torch.rand(2, 3, 32, 32)
        by_hand = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        torch.testing.assert_close(network(x), network.network(by_hand))

    def test_refusals(self):
        for arguments, words in (
            (("nope",), "no network is called 'nope'"),
            (("lenet5", {"channels": 3}), "no option 'channels'"),
            (("cnn-a", {"channels": 2}), "1 or 3 channels"),
            (("prn20", {"finalBN": 2}), "finalBN of prn20 must be 0 or 1"),
            (("wrn34-10", {"depth": 30}), "6n \\+ 4"),
            (("resnet20", {}, ([0.5], [0.5])), "3 channel"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                networks.build(*arguments)


class FileTests(unittest.TestCase):
    def test_safetensors_round_trip_and_damage(self):
        tensors = {str(dtype): (torch.arange(6) % 2).to(dtype).reshape(2, 3) for dtype in safetensors_io.NAMES}
        tensors |= {"empty": torch.empty(0, 4), "scalar": torch.tensor(3.5), "view": torch.rand(4, 5).t()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.safetensors"
            safetensors_io.write(path, tensors, {"model": "lenet5"})
            read, metadata = safetensors_io.read(path)
            self.assertEqual(metadata, {"model": "lenet5"})
            for name, tensor in tensors.items():
                self.assertTrue(torch.equal(read[name], tensor), name)
            whole = path.read_bytes()
            for length in range(0, len(whole), 7):
                path.write_bytes(whole[:length])
                with self.assertRaises(ValueError):
                    safetensors_io.read(path)
            self.assertEqual(os.listdir(folder), ["x.safetensors"])

    def test_state_dicts_of_both_formats(self):
        expected, _ = safetensors_io.read(FILES / "expected.safetensors")
        for case in json.loads((FILES / "contents.json").read_text())["good"]:
            for ending in ("zip", "legacy"):
                state, _ = weights.read_state_dict(FILES / f"{case['name']}.{ending}.pt")
                for key, tensor in state.items():
                    self.assertTrue(torch.equal(tensor.detach(), expected[f"{case['name']}/{key}"]), (case, key))

    def test_reads_the_wrappers_that_sat_reads(self):
        text = (FILES.parents[2] / "Sources" / "SwiftTorch" / "Checkpoints" / "CheckpointStateDict.swift").read_text()
        self.assertEqual(tuple(re.findall(r'"(\w+)"', re.search(r"usualNames = \[(.*)\]", text)[1])), weights.NESTED_UNDER)
        state = networks.build("cnn-a").state_dict()
        beside = {"epoch": 3, "args": argparse.Namespace(lr=0.1, inner=argparse.Namespace(x=1)), "acc": numpy.float64(0.5)}
        prefixed = {f"module._orig_mod.model.{key}": value for key, value in state.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.pt"
            contents = [{key: state} | beside for key in weights.NESTED_UNDER]
            contents += [
                {"best": {"net": prefixed} | beside},
                argparse.Namespace(model=state, lr=1),
                state | {"n_averaged": torch.tensor(3)},
                state | {"epoch": 7},
            ]
            for content in contents:
                for zipped in (True, False):
                    torch.save(content, path, _use_new_zipfile_serialization=zipped)
                    read, _ = weights.read_state_dict(path)
                    self.assertEqual(list(read), list(state))
                    self.assertTrue(all(torch.equal(read[key], state[key]) for key in state))
            for content in ({"args": argparse.Namespace(x=1)}, {}, [torch.ones(2)], {"optimizer": {"a": torch.ones(2)}}):
                torch.save(content, path)
                with self.assertRaisesRegex(ValueError, "holds no state_dict"):
                    weights.read_state_dict(path)

    def test_a_normalisation_inside_a_file(self):
        mean, std = [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]
        state = networks.build("cnn-a").state_dict()
        images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        whole = networks.build("cnn-a", None, (mean, std)).eval()
        weights.load(whole, state, "here")
        layers = [{"normalize.mean": mean, "normalize.std": std}, {"mu": mean, "sigma": std}, {"0.mean": mean, "0.std": std}]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.pt"
            for layer, front in zip(layers, ("module.", "", "1."), strict=True):
                layer = {key: torch.tensor(value).reshape(1, 3, 1, 1) for key, value in layer.items()}
                torch.save({"state_dict": layer | {front + key: value for key, value in state.items()}}, path)
                read, name, _ = command_line.network(path, "cnn-a", [], None)
                self.assertEqual(name, "cnn-a")
                self.assertTrue(torch.equal(read(images), whole(images)), layer.keys())

    def test_bad_files_are_named_and_not_executed(self):
        contents = json.loads((FILES / "contents.json").read_text())
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(os.chdir, os.getcwd())
            os.chdir(folder)
            for case in contents["bad"]:
                for ending in ("zip", "legacy"):
                    with self.assertRaises(ValueError) as raised:
                        weights.read_state_dict(FILES / f"{case['name']}.{ending}.pt")
                    for name in case["names"]:
                        self.assertIn(name.removeprefix("builtins."), str(raised.exception))
            self.assertEqual(os.listdir(folder), [])


class ExportTests(unittest.TestCase):
    def run_export(self, *arguments: str) -> tuple[int, str]:
        output = io.StringIO()
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            return export_torchscript.main(list(arguments)), output.getvalue()

    def test_every_network_from_a_checkpoint_with_metadata(self):
        with tempfile.TemporaryDirectory() as folder:
            source, target = f"{folder}/w.safetensors", f"{folder}/w.ts"
            for name, entry in networks.NETWORKS.items():
                options = {"classes": 5} | ({"depth": 10, "width": 1} if name == "wrn34-10" else {})
                network = networks.build(name, options).eval()
                metadata = {"sat.architecture": name, "sat.options": json.dumps({k: str(v) for k, v in options.items()})}
                safetensors_io.write(source, network.state_dict(), metadata)
                status, said = self.run_export(source, "--output", target)
                self.assertEqual(status, 0, said)
                x = torch.rand(3, *entry.input_shape({}))
                torch.testing.assert_close(torch.jit.load(target)(x), network(x))

    def test_errors_are_one_sentence_and_leave_no_file(self):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "out.ts"
            module = str(FILES / "module.zip.pt")
            for arguments, words in (
                ((module,), "give --model"),
                ((module, "--model", "lenet5"), "missing: conv1.weight"),
                ((module, "--model", "cnn-a", "--normalize", "0.5,x", "1"), "numbers"),
                ((module, "--model", "cnn-a", "--model-option", "classes"), "KEY=NUMBER"),
                ((str(FILES / "tiny.ts"), "--model", "cnn-a"), "already"),
                ((folder, "--model", "cnn-a"), "is a folder"),
            ):
                status, said = self.run_export(*arguments, "--output", str(target))
                self.assertEqual((status, said.count("\n")), (1, 1), said)
                self.assertIn(words, said)
            self.assertFalse(target.exists())

    def test_only_a_regular_file_is_replaced_and_links_stay(self):
        module = str(FILES / "module.zip.pt")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pipe, link, loop = folder / "pipe", folder / "link", folder / "loop"
            os.mkfifo(pipe)
            (folder / "to-pipe").symlink_to(pipe)
            loop.symlink_to(loop)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "socket"))
            for target, words in (
                (pipe, "not a regular file"),
                (folder / "to-pipe", "not a regular file"),
                (loop, "not a regular file"),
                (folder / "socket", "not a regular file"),
                (folder, "is a folder"),
                (folder / "none" / "x.ts", "there is no folder"),
            ):
                before = sorted((entry.name, entry.lstat().st_mode) for entry in folder.iterdir())
                status, said = self.run_export(module, "--model", "cnn-a", "--output", str(target))
                self.assertEqual((status, said.count("\n")), (1, 1), said)
                self.assertIn(words, said)
                with self.assertRaisesRegex(ValueError, words):
                    safetensors_io.write_atomically(target, b"x")
                self.assertEqual(sorted((entry.name, entry.lstat().st_mode) for entry in folder.iterdir()), before)
            self.assertTrue(stat.S_ISFIFO(pipe.lstat().st_mode))
            (folder / "deep").mkdir()
            link.symlink_to("deep/target.ts")
            for content in (b"new", b"again"):
                safetensors_io.write_atomically(link, content)
                self.assertEqual((os.readlink(link), (folder / "deep" / "target.ts").read_bytes()), ("deep/target.ts", content))
            self.assertEqual(os.listdir(folder / "deep"), ["target.ts"])

    def test_named_normalisations_equal_those_of_sat(self):
        text = (FILES.parents[2] / "Sources" / "SAT" / "Models" / "Normalization.swift").read_text()
        theirs = {
            name: tuple(tuple(float(x) for x in part.split(",")) for part in parts)
            for name, *parts in re.findall(r'\("(\w+)", \[([\d., ]+)\], \[([\d., ]+)\]\)', text)
        }
        self.assertEqual(len(theirs), 4)
        self.assertEqual(networks.NORMALIZATIONS, theirs)
        for name, (mean, std) in theirs.items():
            self.assertEqual(command_line.normalization([name]), (list(mean), list(std)))

    def test_a_network_that_does_not_compile_is_traced(self):
        x = torch.rand(2, 3)
        self.assertTrue(torch.equal(export_torchscript.to_torchscript(Untypable(), x)(x), x * 2))


if __name__ == "__main__":
    unittest.main()
