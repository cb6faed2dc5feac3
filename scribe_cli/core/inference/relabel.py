"""Draws of a mixture whose chains exchange components, brought to one labelling.

The likelihood knows no order of components: a chain may exchange two of them, and two chains may end with different orders.
Each draw is matched to a reference by the assignment of its components that is nearest (Stephens 2000, with squared
distances in the lifted coordinates), and the reference is then the mean of the matched draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..axes import COMPONENT, SLOT, Axes
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS

ROUNDS = 3


def relabelled(spec: ModelSpec, draws: Mapping, pieces: Mapping, axes: Mapping[str, Axes]) -> tuple[dict, dict, int]:
    """(draws, pieces, number of draws whose components were exchanged), of chains {name: (chain, draw, rank-3 theta)}.

    axes: {piece: axes}. The labels are those of the last draw of the first chain, whatever the others' are.
    """
    simplex = next(p.name for p in spec.params if p.support == "simplex")
    varying = [p.name for p in spec.params if COMPONENT in p.axes and p.name != simplex]
    log_weights = np.asarray(SUPPORTS["simplex"].to_log(np.asarray(draws[simplex])))
    by_component = {name: draws[name] for name in varying} | {simplex: log_weights}
    order = _orders(_features(by_component.values()))
    exchanged = {name: _taken(values, order) for name, values in by_component.items()}
    exchanged[simplex] = np.asarray(SUPPORTS["simplex"].from_log(exchanged[simplex]))
    of_pieces = {n: _taken(v, order) if COMPONENT in axes[n] else v for n, v in pieces.items()}
    switched = int((order != np.arange(order.shape[-1])).any(-1).sum())
    return {**draws, **exchanged}, of_pieces, switched


def _features(values) -> np.ndarray:
    """(chain, draw, component, features)."""
    rows = [np.moveaxis(v, SLOT[COMPONENT], 2).reshape(*v.shape[:2], v.shape[SLOT[COMPONENT]], -1) for v in values]
    return np.concatenate(rows, -1)


def _orders(features: np.ndarray) -> np.ndarray:
    """(chain, draw, component): which of a draw's components stands at each place of the labelling."""
    n_components = features.shape[2]
    flat = features.reshape(-1, *features.shape[2:])
    scale = flat.std(0).mean(0) + 1e-9
    scaled, reference = flat / scale, features[0, -1] / scale
    order = np.tile(np.arange(n_components), (len(flat), 1))
    for _ in range(ROUNDS):
        order = np.stack([_nearest(of_draw, reference) for of_draw in scaled])
        reference = np.take_along_axis(scaled, order[:, :, None], 1).mean(0)
    return order.reshape(*features.shape[:2], n_components)


def _nearest(of_draw: np.ndarray, reference: np.ndarray) -> np.ndarray:
    distance = ((reference[:, None] - of_draw[None]) ** 2).sum(-1)
    return linear_sum_assignment(distance)[1]


def _taken(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, order[..., None, None], SLOT[COMPONENT])
