"""Count kernels: one file = one likelihood in natural coordinates, on the log scale throughout."""

from __future__ import annotations

import abc

from ... import registry


class AbstractKernel(abc.ABC):
    """A law of counts. `n` maps each of `coords` to an array; all broadcast against the counts u."""

    name: str
    symbol: str  # in equations
    equation: str  # its pmf
    coords: tuple[str, ...]
    thinned: str  # the coordinate that log capture is added to

    @abc.abstractmethod
    def log_prob(self, n, u):
        """log P(u), normalised, float64."""

    def log_probs(self, n, u):
        """log P of counts u (rows or 1, counts), which rise along each row, for coordinates (rows, n): (rows, counts, n)."""
        return self.log_prob({name: v[:, None] for name, v in n.items()}, u[..., None])

    @abc.abstractmethod
    def log_prob_zero(self, n):
        """log P(0)."""

    def rising(self, n):
        """(slope, ((sign, log_a), ...)) with log P(u) = log P(0) + u slope + sum_i sign_i log (a_i)_u - log u!; or None.

        (a)_u is the rising factorial. What lets counts be summed by tails (ENGINE.md 1, 2), of a kernel that has it.
        """
        return None

    def descent(self, n):
        """ratio(u, above) -> P(u+1)/P(u) from above = P(u+2)/P(u+1), of a kernel without rising factorials; or None."""
        return None

    @abc.abstractmethod
    def sample(self, key, n, shape):
        """Counts of this shape, float64."""

    @abc.abstractmethod
    def mean(self, n):
        """E[u]."""

    @abc.abstractmethod
    def variance(self, n):
        """Var[u]."""

    def thin(self, n, log_nu):
        """The law of the counts after each molecule is kept with probability exp(log_nu)."""
        return {**n, self.thinned: n[self.thinned] + log_nu}


def load(name: str) -> AbstractKernel:
    return registry.load(__name__)[name]
