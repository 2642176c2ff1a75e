#!/usr/bin/env python3
"""autoattack-real.json: results of AutoAttack's PyTorch port on real images and public robust networks, attack by attack.

    python Tests/Fixtures/golden/real_networks.py DATA     DATA holds mnist/, cifar10/ and checkpoints/

make_fixtures.py does not run this script, because it needs the real data and takes some minutes. A case has the network, its file
under DATA/checkpoints, the number of test images, the threat model, the batch size, the queries of Square and the attacks. `flags`
are 1 if a sample is still classified correctly, for clean images and after each attack.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "models")]

import torch  # noqa: E402

import networks  # noqa: E402
import weights  # noqa: E402
from autoattack_reference import NORMALIZATIONS, evaluate, read_data  # noqa: E402
from formula import save  # noqa: E402

CASES = [
    {
        "name": "cnn-a-linf",
        "model": "cnn-a",
        "file": "cifar_cnn_a_adv.model",
        "normalization": "cifar10",
        "data": "cifar10",
        "first": 12,
        "norm": "linf",
        "epsilon": 2 / 255,
        "batchSize": 5,
        "queries": 1000,
        "attacks": ["apgd-ce", "apgd-t", "fab-t", "square"],
    },
    {
        "name": "cnn-a-l2",
        "model": "cnn-a",
        "file": "cifar_cnn_a_adv.model",
        "normalization": "cifar10",
        "data": "cifar10",
        "first": 20,
        "norm": "l2",
        "epsilon": 0.25,
        "batchSize": 20,
        "queries": 300,
        "attacks": ["apgd-ce", "apgd-dlr", "square"],
    },
    {
        "name": "cnn-a-l1",
        "model": "cnn-a",
        "file": "cifar_cnn_a_adv.model",
        "normalization": "cifar10",
        "data": "cifar10",
        "first": 10,
        "norm": "l1",
        "epsilon": 3.0,
        "batchSize": 10,
        "queries": 100,
        "attacks": ["apgd-ce", "square"],
    },
    {
        "name": "lenet5-linf",
        "model": "lenet5",
        "file": "advertorch_mnist_lenet5_advtrained.pt",
        "normalization": None,
        "data": "mnist",
        "first": 12,
        "norm": "linf",
        "epsilon": 0.3,
        "batchSize": 8,
        "queries": 300,
        "attacks": ["apgd-ce", "square"],
    },
    {
        "name": "lenet5-undefended",
        "model": "lenet5",
        "file": "advertorch_mnist_lenet5_clntrained.pt",
        "normalization": None,
        "data": "mnist",
        "first": 12,
        "norm": "linf",
        "epsilon": 0.1,
        "batchSize": 12,
        "queries": 300,
        "attacks": ["square"],
    },
]


def main() -> None:
    data = Path(sys.argv[1])
    torch.set_num_threads(1)
    cases = []
    for case in CASES:
        network = networks.build(case["model"], None, NORMALIZATIONS[case["normalization"]] if case["normalization"] else None)
        state, _ = weights.read_state_dict(data / "checkpoints" / case["file"])
        weights.load(network, state, case["file"])
        x, y = read_data(case["data"], data, case["first"])
        outcome = evaluate(
            network, x, y, case["norm"], case["epsilon"], 0, case["batchSize"], attacks=case["attacks"], queries=case["queries"]
        )
        flags = {"clean": outcome.clean.int().tolist()} | {name: value.int().tolist() for name, value in outcome.flags.items()}
        print(
            case["name"], {name: sum(value) for name, value in flags.items()}, {k: round(v, 1) for k, v in outcome.seconds.items()}
        )
        cases.append(case | {"flags": flags})
    save(HERE.parent, "autoattack-real", {"cases": cases})


if __name__ == "__main__":
    main()
