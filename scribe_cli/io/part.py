"""Part: what is seen of a fit, of some of its axes some places, of a component or a dataset the one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.axes import SLOT, Axes, in_order


@dataclass(frozen=True)
class Part:
    """at: {axis: positions, in the order they are seen; or one position, and then arrays lose the axis}.

    Axes that are not named are seen whole.
    """

    at: Mapping[str, np.ndarray | int] = field(default_factory=dict)

    @property
    def picked(self) -> dict[str, int]:
        """{axis: position} of the axes that arrays lose."""
        return {axis: place for axis, place in self.at.items() if np.ndim(place) == 0}

    @property
    def picks(self) -> Part:
        """The same component and dataset, of all genes and cells."""
        return Part(self.picked)

    @property
    def labelled(self) -> Part:
        """The same places, with the axes that are picked kept: of one position each."""
        return Part({axis: np.atleast_1d(places) for axis, places in self.at.items()})

    def axes(self, axes: Axes) -> Axes:
        """Those of `axes` that arrays keep."""
        return in_order(set(axes) - set(self.picked))

    def of(self, values: np.ndarray, axes: Axes) -> np.ndarray:
        """Values with these axes, draws in front or not, on the part."""
        for axis in axes:
            if axis in self.at:
                values = values.take(self.at[axis], axes.index(axis) - len(axes))
        return values

    def rank3(self, value: np.ndarray, axes: Axes) -> np.ndarray:
        """The same of a rank-3 value, which keeps the slots of the axes that are picked, of size 1."""
        for axis in axes:
            if axis in self.at:
                value = np.take(value, np.atleast_1d(self.at[axis]), SLOT[axis])
        return value

    def sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """{axis: its size on the part}, without the axes that are picked."""
        return {axis: len(self.at.get(axis, range(n))) for axis, n in sizes.items() if axis not in self.picked}

    def names(self, axis: str, coords: Mapping[str, Sequence[str]]) -> np.ndarray:
        """The names along an axis, of one that is picked its one name."""
        return np.asarray(coords[axis], object)[np.atleast_1d(self.places(axis, len(coords[axis])))]

    def places(self, axis: str, size: int) -> np.ndarray | int:
        """The positions seen of an axis of this size."""
        return self.at.get(axis, np.arange(size))


WHOLE = Part()
