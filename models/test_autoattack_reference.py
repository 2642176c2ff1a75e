"""Tests the attacks of reference_attacks/ on problems with known answers: `python -m unittest discover models`."""

import unittest

import torch
from torch import Tensor, nn

from autoattack_reference import evaluate
from reference_attacks.apgd import APGD, Trace
from reference_attacks.common import Counted, cross_entropy, size
from reference_attacks.fab import FAB
from reference_attacks.projections import PLANES, l1_ball
from reference_attacks.square import Square

torch.set_num_threads(1)
NORMS = ["linf", "l2", "l1"]


def linear(seed: int, features: int = 48, classes: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))


def reach(norm: str, w: Tensor, x: Tensor, epsilon: float) -> float:
    """Returns the largest fall of <w, x> inside the ball and the box, by bisection on the multiplier of the ball's constraint."""
    room = torch.where(w > 0, x, 1 - x).double()
    w = w.double()
    if norm == "linf":
        return float((w.abs() * room.clamp(max=epsilon)).sum())
    if norm == "l1":
        order = w.abs().argsort(descending=True)
        left = epsilon - torch.cat((torch.zeros(1), room[order].cumsum(0)[:-1]))
        return float((w.abs()[order] * torch.minimum(room[order], left.clamp(min=0))).sum())
    low, high = 0.0, 1e6
    for _ in range(200):
        m = (low + high) / 2
        low, high = (m, high) if torch.minimum(m * w.abs(), room).norm() < epsilon else (low, m)
    return float((w.abs() * torch.minimum(low * w.abs(), room)).sum())


def robust(network: nn.Module, x: Tensor, y: Tensor, norm: str, epsilon: float) -> Tensor:
    """Marks the samples of a linear classifier that no perturbation breaks."""
    weight, logits = network[1].weight.detach(), network(x).detach()
    flat = x.flatten(1)
    return torch.tensor(
        [
            all(
                logits[i, y[i]] - logits[i, j] > reach(norm, weight[y[i]] - weight[j], flat[i], epsilon)
                for j in range(len(weight))
                if j != y[i]
            )
            for i in range(len(x))
        ]
    )


class Projections(unittest.TestCase):
    def test_l1_ball(self):
        torch.manual_seed(1)
        x, d = torch.rand(20, 1, 5, 5), torch.randn(20, 1, 5, 5)
        d[:5] *= 0.01
        result = l1_ball(x, d, 2.0)
        self.assertLessEqual(size(result, "l1").max().item(), 2.0 + 1e-5)
        self.assertTrue(((x + result) >= -1e-6).all() and ((x + result) <= 1 + 1e-6).all())
        # The result is the nearest point if no other feasible point makes an acute angle with the direction to d.
        for _ in range(200):
            other = (torch.rand_like(x) - x) * torch.rand(20, 1, 1, 1)
            other = other * (2.0 / size(other, "l1").clamp(min=2.0)).view(-1, 1, 1, 1)
            self.assertLess((((d - result) * (other - result)).flatten(1).sum(1)).max().item(), 1e-4)

    def test_planes(self):
        for norm in NORMS:
            torch.manual_seed(2)
            x, w = torch.rand(40, 30), torch.randn(40, 30)
            w[:, :3] = 0
            scale = torch.linspace(0.01, 1.5, 40)
            b = (w * x).sum(1) - scale * torch.randn(40).sign() * 3
            delta = PLANES[norm](x.clone(), w.clone(), b.clone())
            self.assertTrue(((x + delta) >= -1e-6).all() and ((x + delta) <= 1 + 1e-6).all())
            for i in range(40):
                gap = float((w[i] * x[i]).sum() - b[i])
                v = w[i] if gap >= 0 else -w[i]
                moved = float(-(v * delta[i]).sum())
                everything = float((v.abs() * torch.where(v > 0, x[i], 1 - x[i])).sum())
                self.assertAlmostEqual(moved, min(abs(gap), everything), delta=1e-4)
                if abs(gap) < everything:
                    # A slightly smaller ball must not reach the plane.
                    self.assertLess(reach(norm, v, x[i], float(size(delta[i : i + 1], norm)) * 0.999), abs(gap) + 1e-5)


class Attacks(unittest.TestCase):
    def test_ensemble_on_linear_classifiers(self):
        for norm, epsilon in (("linf", 0.03), ("l2", 0.15), ("l1", 0.6)):
            network = linear(3, features=100, classes=10)
            x = torch.rand(60, 1, 10, 10)
            y = network(x).argmax(1)
            expected = robust(network, x, y, norm, epsilon)
            self.assertTrue(10 < int(expected.sum()) < 55)
            outcome = evaluate(network, x, y, norm, epsilon, batch_size=25, queries=30)
            self.assertEqual(outcome.flags["square"].tolist(), expected.tolist(), norm)
            self.assertLessEqual(size(outcome.images - x, norm).max().item(), epsilon + 1e-5)

    def test_checkpoints(self):
        network = Counted(linear(4))
        x = torch.rand(6, 3, 4, 4)
        trace = Trace()
        APGD(network, "linf", 0.1, 0).run(x, network(x).argmax(1), cross_entropy, 0.1, 100, trace=trace)
        self.assertEqual([i + 1 for i in trace.checkpoints], [22, 41, 57, 70, 80, 87, 93, 99])

    def test_fab_finds_the_distance_of_a_linear_classifier(self):
        network = linear(5, classes=4)
        x = 0.3 + 0.4 * torch.rand(10, 3, 4, 4)
        y = network(x).argmax(1)
        weight, logits = network[1].weight.detach(), network(x).detach()
        for norm in NORMS:
            dual = {"linf": 1, "l2": 2, "l1": float("inf")}[norm]
            distance = torch.tensor(
                [
                    min(
                        (logits[i, y[i]] - logits[i, j]).item() / torch.linalg.vector_norm(weight[y[i]] - weight[j], dual).item()
                        for j in range(4)
                        if j != y[i]
                    )
                    for i in range(10)
                ]
            )
            _, norms = FAB(Counted(network), norm, 1.0, 0).run(x, y, 0)
            # In L1 the box limits the step, because a single pixel would have to move far.
            self.assertTrue((norms >= distance * (1 - 1e-4)).all(), norm)
            if norm != "l1":
                self.assertTrue((norms <= distance * 1.01).all(), f"{norm}: {norms / distance}")

    def test_square_stays_feasible_and_never_gets_worse(self):
        network = Counted(linear(6, features=3 * 15 * 20))
        x = torch.rand(8, 3, 15, 20)
        y = network(x).argmax(1)
        for norm, epsilon in (("linf", 0.01), ("l2", 0.1), ("l1", 0.5)):
            torch.manual_seed(0)
            before = None
            with torch.no_grad():
                for best, margin in Square(network, norm, epsilon, 0, queries=40).iterates(x, y):
                    self.assertLessEqual(size(best - x, norm).max().item(), epsilon * (1 + 1e-4))
                    self.assertTrue((before is None) or bool((margin <= before).all()))
                    before = margin.clone()


if __name__ == "__main__":
    unittest.main()
