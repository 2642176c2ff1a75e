"""Projections by sorting, as in the reference.

Each projection searches the multiplier m at which a non-decreasing, piecewise linear function of m reaches a given value. The code
sorts the breakpoints, computes the values there as running sums, and finds the segment by bisection.
"""

import math

import torch
from torch import Tensor

INFINITE = 1e12


def _last_below(values: Tensor, goal: Tensor) -> Tensor:
    """Returns, for every row of non-decreasing values, the largest index with a value below goal, or 0."""
    low = torch.zeros(len(values), dtype=torch.long)
    high = torch.full_like(low, values.shape[1] - 1)
    for _ in range(math.ceil(math.log2(values.shape[1]))):
        middle = (low + high) // 2
        below = values.gather(1, middle[:, None])[:, 0] < goal
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def l1_ball(x: Tensor, delta: Tensor, epsilon: float) -> Tensor:
    """Returns the point nearest to delta with an L1 norm of at most epsilon and with x + point in [0, 1]. x is in [0, 1]."""
    flat, d = x.reshape(len(x), -1), delta.reshape(len(x), -1)
    size = d.abs()
    # The box alone reduces every coordinate by `least`. A coordinate can shrink by `size` at most.
    least = torch.clamp(torch.maximum(flat + d - 1, -flat - d), min=0)
    result = d.sign() * (size - least)
    rows = ((size - least).sum(1) > epsilon).nonzero()[:, 0]
    if len(rows):
        least, size, sign = least[rows], size[rows], d[rows].sign()
        # Coordinate i shrinks by clamp(m, least, size), so the slope rises at `least` and falls at `size`.
        points, order = torch.cat((least, size), 1).sort(1)
        slope = (1 - 2 * (order >= size.shape[1]).float()).cumsum(1)
        gaps = torch.diff(points, dim=1)
        taken = least.sum(1, keepdim=True) + torch.cat((torch.zeros(len(rows), 1), (gaps * slope[:, :-1]).cumsum(1)), 1)
        goal = size.sum(1) - epsilon
        at = _last_below(taken, goal)[:, None]
        m = points.gather(1, at) + (goal[:, None] - taken.gather(1, at)) / slope.gather(1, at)
        result[rows] = sign * (size - torch.minimum(torch.maximum(m, least), size))
    return result.view(x.shape)


def _oriented(points: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turns the plane so that every point lies on its positive side.

    Returns w, the amount by which <w, x> must fall, and the room of every coordinate up to the box in that direction.
    """
    gap = (w * points).sum(1) - b
    sign = torch.where(gap >= 0, 1.0, -1.0)
    w = w * sign[:, None]
    return w, gap.abs(), torch.where(w > 0, points, 1 - points) * (w != 0)


def plane_linf(points: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Returns the smallest L-inf step from every point (B, d) to the plane <w, x> = b inside [0, 1].

    If the plane does not meet the box, the step leads to the corner of the box.
    """
    w, gap, room = _oriented(points, w, b)
    slope = w.abs()
    # If every coordinate moves by min(m, room), <w, x> falls by a function of m with breakpoints at the rooms.
    points_, order = room.sort(1)
    slopes = slope.gather(1, order)
    remaining = slopes.flip(1).cumsum(1).flip(1)
    before = torch.cat((torch.zeros(len(w), 1), points_[:, :-1]), 1)
    lowered = ((points_ - before) * remaining).cumsum(1)
    start = torch.cat((torch.zeros(len(w), 1), lowered[:, :-1]), 1)
    at = _last_below(torch.cat((start, lowered[:, -1:]), 1), gap).clamp_(max=w.shape[1] - 1)[:, None]
    m = before.gather(1, at) + (gap[:, None] - start.gather(1, at)) / remaining.gather(1, at).clamp(min=1e-38)
    m = torch.where((gap >= lowered[:, -1])[:, None], points_[:, -1:], m)
    return -w.sign() * torch.minimum(m.clamp(min=0), room)


def plane_l2(points: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Returns the smallest L2 step, as plane_linf does. Every coordinate moves by -m w until the box stops it."""
    w, gap, room = _oriented(points, w, b)
    usable = w.abs() >= 1e-8
    ratio = torch.where(usable, room / w.abs().clamp(min=1e-30), torch.full_like(w, INFINITE)).clamp(max=INFINITE)
    points_, order = ratio.sort(1)
    squares = (w**2 * usable).gather(1, order)
    remaining = squares.flip(1).cumsum(1).flip(1)
    before = torch.cat((torch.zeros(len(w), 1), points_[:, :-1]), 1)
    step = torch.where(points_ >= INFINITE, torch.zeros_like(points_), points_ - before)
    lowered = (step * remaining).cumsum(1)
    start = torch.cat((torch.zeros(len(w), 1), lowered[:, :-1]), 1)
    at = _last_below(torch.cat((start, lowered[:, -1:]), 1), gap).clamp_(max=w.shape[1] - 1)[:, None]
    m = before.gather(1, at) + (gap[:, None] - start.gather(1, at)) / remaining.gather(1, at).clamp(min=1e-38)
    m = torch.where((gap >= lowered[:, -1])[:, None], torch.full_like(m, INFINITE), m)
    return -torch.sign(w) * usable * torch.minimum(m.clamp(min=0) * w.abs(), room)


def plane_l1(points: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Returns the smallest L1 step, as plane_linf does. Coordinates with large |w| move first, each to the end of its room."""
    w, gap, room = _oriented(points, w, b)
    weight, order = w.abs().sort(1, descending=True)
    gain = weight * room.gather(1, order)
    after = gain.cumsum(1)
    used = (gap[:, None] - (after - gain)).clamp(min=0)
    move = torch.where(weight > 0, torch.minimum(used, gain) / weight.clamp(min=1e-30), torch.zeros_like(gain))
    return -w.sign() * torch.zeros_like(w).scatter(1, order, move)


PLANES = {"linf": plane_linf, "l2": plane_l2, "l1": plane_l1}
