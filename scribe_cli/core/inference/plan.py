"""When the learning rate drops, and when a stochastic fit is over: each stage ends once its gain is lost in the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

WINDOW = 100  # steps, at least, whose mean losses are compared
EPOCHS = 20  # in a window of minibatches, at least
LEARNING_RATE = 0.1
STAGES = 5  # each STAGE_FACTOR times the learning rate of the one before
STAGE_FACTOR = 0.3
MAX_STEPS = 100_000
STILL = 1e-8  # of |ELBO|: a smaller gain per window is none


class Plan:
    """Keeps the losses of a fit and decides by them.

    n_steps None: until converged. n_batches: batches in an epoch; a window is a number of whole epochs, so that batches
    are compared each with itself: what makes one harder than another is no noise. Still, the losses of minibatches are
    too noisy to show a slow approach. There the guide itself is watched too: see `_travels`.
    """

    def __init__(self, n_steps: int | None, learning_rate: float | None, early_stopping: bool, n_batches: int):
        self._first = learning_rate or LEARNING_RATE
        self._until_still = early_stopping or n_steps is None
        self._bounded = n_steps is not None
        self._stage, self._stage_start = 0, 0
        self._by_batch = np.full((n_steps or MAX_STEPS) + n_batches, np.nan)
        self.n_batches = n_batches
        self.window = WINDOW if n_batches == 1 else n_batches * max(EPOCHS, math.ceil(WINDOW / n_batches))
        self._sum, self._places = {}, []
        self.last = n_steps or MAX_STEPS
        self.losses, self.rates = [], []

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return len(self.losses)

    def rate(self) -> float:
        """The learning rate of the next step: by stages, and where the steps are given falling towards their end."""
        staged = self._first * STAGE_FACTOR**self._stage if self._until_still else self._first
        lowest = STAGE_FACTOR ** (STAGES - 1)
        return min(staged, self._first * lowest ** (self.step / self.last)) if self._bounded else staged

    def add(self, losses: np.ndarray, batch: np.ndarray, rate: float, place: Mapping[str, np.ndarray]) -> None:
        """Losses of the next steps, and the batch in the epoch that each was of; place: {site: where the guide is after
        them, in units of its starting spread} for what all minibatches share, else empty."""
        step = self.step + np.arange(len(losses))
        self._by_batch[step - step % self.n_batches + batch] = losses
        self.losses.extend(losses)
        self.rates.extend([rate] * len(losses))
        self._sum = {site: self._sum.get(site, 0.0) + v for site, v in place.items()}
        if self.step % self.window == 0:
            self._places = [*self._places[-1:], {site: v / self.window for site, v in self._sum.items()}]
            self._sum = {}

    def done(self) -> bool:
        """Whether to stop; a stage that stands still gives way to the next."""
        grown = self.step - self._stage_start
        if self._until_still and grown >= 2 * self.window and self._at_a_look() and self._still():
            self._stage, self._stage_start = self._stage + 1, self.step
        return self.step >= self.last or self._stage >= STAGES

    def converged(self) -> bool:
        """All stages ended by themselves; or, told to run all steps, the last windows stand still."""
        return self._stage >= STAGES if self._until_still else self._still()

    def _at_a_look(self) -> bool:
        """Minibatches are judged at the end of a window."""
        return self.n_batches == 1 or self.step % self.window == 0

    def _still(self) -> bool:
        gain, noise = self.gain()
        return gain < 2.0 * noise + STILL * abs(self.losses[-1]) and not self._travels()

    def _travels(self) -> bool:
        """Whether the guide still goes somewhere: from one window's mean place to the next, in units of the rate.

        Steps of pure noise have about the size of the rate and no direction, and take the mean of a window 0.8 sqrt(window)
        of them; a site's mean square over its elements is compared with that. A bias of b posterior sds shows as
        b sqrt(window/batches) on top.
        """
        if len(self._places) < 2:
            return self.n_batches > 1
        before, after = self._places
        for site, place in after.items():
            moved = np.sqrt(np.mean((place - before[site]) ** 2)) / (self.rates[-1] * math.sqrt(self.window))
            if moved > 1.0 + 1.6 / math.sqrt(place.size):
                return True
        return False

    def gain(self) -> tuple[float, float]:
        """(gain of the last window over the one before, its standard error) in nats; infinite before there are two."""
        whole = self.step - self.step % self.n_batches
        if whole < 2 * self.window:
            return float("inf"), float("inf")
        before, after = self._by_batch[whole - 2 * self.window : whole].reshape(2, -1)
        return float((before - after).mean()), float((before - after).std() / math.sqrt(self.window))

    def recent(self) -> float:
        """Mean loss of the last window."""
        return float(np.mean(self.losses[-self.window :]))
