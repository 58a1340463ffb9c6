"""Finds the lowest point of a noisy function of a dozen numbers: evolution with an adapted covariance.

The algorithm is CMA-ES as Hansen's tutorial gives it (2016, arXiv 1604.00772), with its default constants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search.

    Attributes:
        point: float64 [dimensions], the best that was tried.
        value: of the function there.
        mean: float64 [dimensions], where the search stood at its end; less a matter of luck than ``point``.
    """

    point: Floats
    value: float
    mean: Floats


def lowest(
    function: Callable[[Floats], float],
    start: Floats,
    steps: Floats,
    generations: int,
    children: int = 10,
    seed: int = 0,
) -> Found:
    """Search from a point.

    Args:
        function: takes float64 [dimensions].
        start: float64 [dimensions].
        steps: float64 [dimensions], first deviation of each.
        generations: how many.
        children: points tried in each; half of them are parents of the next.
        seed: decides which.
    """
    rng = np.random.default_rng(seed)
    cloud = _Cloud(start.astype(np.float64), steps, children // 2)
    best, value = cloud.mean, function(cloud.mean)
    for _ in range(generations):
        moves = cloud.moves(rng.standard_normal((children, len(start))))
        points = [cloud.place(move) for move in moves]
        costs = [function(point) for point in points]
        order = np.argsort(costs)
        if costs[order[0]] < value:
            best, value = points[order[0]], costs[order[0]]
        cloud.learn(moves[order[: children // 2]])
    return Found(best, value, cloud.mean)


class _Cloud:
    """Where points are drawn: a normal distribution that learns from the best of them; names of the tutorial beside."""

    def __init__(self, mean: Floats, steps: Floats, parents: int) -> None:
        size = len(mean)
        self.mean, self._steps, self._spread = mean, steps, 1.0  # m, sigma
        weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
        self._weights = weights / weights.sum()
        mass = self._mass = 1.0 / float(np.square(self._weights).sum())  # mu_eff
        self._path_rate = (mass + 2) / (size + mass + 5)  # c_sigma
        self._drift_rate = (4 + mass / size) / (size + 4 + 2 * mass / size)  # c_c
        self._one = 2 / ((size + 1.3) ** 2 + mass)  # c_1
        self._many = min(1 - self._one, 2 * (mass - 2 + 1 / mass) / ((size + 2) ** 2 + mass))  # c_mu
        self._damping = 1 + 2 * max(0.0, float(np.sqrt((mass - 1) / (size + 1))) - 1) + self._path_rate
        self._usual_length = float(np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2)))
        self._path, self._drift, self._covariance = np.zeros(size), np.zeros(size), np.eye(size)

    def moves(self, drawn: Floats) -> Floats:
        """Shape standard normal draws [children, dimensions] by the covariance."""
        values, axes = np.linalg.eigh(self._covariance)
        return np.asarray(drawn @ (axes * np.sqrt(np.maximum(values, 1e-12))).T)

    def place(self, move: Floats) -> Floats:
        """Return the point that a move leads to."""
        return self.mean + self._spread * move * self._steps

    def learn(self, chosen: Floats) -> None:
        """Follow the best moves, [parents, dimensions], best first."""
        step = self._weights @ chosen
        self.mean = self.place(step)
        values, axes = np.linalg.eigh(self._covariance)
        whitened = axes @ ((axes.T @ step) / np.sqrt(np.maximum(values, 1e-12)))
        rate, drift_rate = self._path_rate, self._drift_rate
        self._path = (1 - rate) * self._path + np.sqrt(rate * (2 - rate) * self._mass) * whitened
        length = float(np.linalg.norm(self._path)) / self._usual_length
        self._drift = (1 - drift_rate) * self._drift
        if length < 1.4 + 2 / (len(step) + 1):
            self._drift = self._drift + np.sqrt(drift_rate * (2 - drift_rate) * self._mass) * step
        self._covariance = (
            (1 - self._one - self._many) * self._covariance
            + self._one * np.outer(self._drift, self._drift)
            + self._many * (chosen.T * self._weights) @ chosen
        )
        self._spread *= float(np.exp(rate / self._damping * (length - 1)))
