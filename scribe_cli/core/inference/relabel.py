"""Draws of a mixture whose chains exchange components, brought to one labelling.

The likelihood knows no order of components: a chain may exchange two of them, and two chains may end with different orders.
Each draw is matched to a reference by the assignment of its components that is nearest (Stephens 2000, with squared
distances in the lifted coordinates), and the reference is then the mean of the matched draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..axes import COMPONENT, SLOT, Axes
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS

ROUNDS = 20  # at most; few are taken


def relabelled(
    spec: ModelSpec, draws: Mapping, pieces: Mapping, axes: Mapping[str, Axes], held: Iterable[int] = ()
) -> tuple[dict, dict, int]:
    """(draws, pieces, number of draws whose components were exchanged), of chains {name: (chain, draw, rank-3 theta)}.

    axes: {piece: axes}; held: components that labels of cells name, which are exchanged with none. The labels are those of
    the last draw of the first chain, whatever the others' are.
    """
    simplex = next(p.name for p in spec.params if p.support == "simplex")
    varying = [p.name for p in spec.params if COMPONENT in p.axes and p.name != simplex]
    log_weights = np.asarray(SUPPORTS["simplex"].to_log(np.asarray(draws[simplex])))
    order = _orders(_features([*(draws[name] for name in varying), log_weights]), held)
    exchanged = {name: _taken(draws[name], order) for name in varying}
    # log w_k / w_K with its last element, 0: so that what is not exchanged keeps its last digit
    ratios = np.concatenate([draws[simplex], np.zeros_like(draws[simplex][..., :1, :, :])], SLOT[COMPONENT])
    exchanged[simplex] = np.asarray(SUPPORTS["simplex"].from_log(_taken(ratios, order)))
    of_pieces = {n: _taken(v, order) if COMPONENT in axes[n] else v for n, v in pieces.items()}
    switched = int((order != np.arange(order.shape[-1])).any(-1).sum())
    return {**draws, **exchanged}, of_pieces, switched


def _features(values) -> np.ndarray:
    """(chain, draw, component, features)."""
    rows = [np.moveaxis(v, SLOT[COMPONENT], 2).reshape(*v.shape[:2], v.shape[SLOT[COMPONENT]], -1) for v in values]
    return np.concatenate(rows, -1)


def _orders(features: np.ndarray, held: Iterable[int] = ()) -> np.ndarray:
    """(chain, draw, component): which of a draw's components stands at each place of the labelling."""
    n_components = features.shape[2]
    flat = features.reshape(-1, *features.shape[2:])
    free = np.setdiff1d(np.arange(n_components), list(held))
    order = np.tile(np.arange(n_components), (len(flat), 1))
    if len(free) < 2:
        return order.reshape(*features.shape[:2], n_components)
    reference, scale = features[0, -1], _steps(features)
    for _ in range(ROUNDS):
        before = order.copy()
        order[:, free] = free[[_nearest(draw[free] / scale, reference[free] / scale) for draw in flat]]
        if (order == before).all():
            break
        matched = np.take_along_axis(flat, order[:, :, None], 1)
        reference, scale = matched.mean(0), _floored(matched.std(0))
    return order.reshape(*features.shape[:2], n_components)


def _steps(features: np.ndarray) -> np.ndarray:
    """(features,) the size of a step of a chain: unlike the spread of all draws it has no part in how far components are apart."""
    if features.shape[1] < 2:
        return np.ones(features.shape[-1])
    return _floored(np.median(np.abs(np.diff(features, axis=1)), (0, 1)))


def _floored(scale: np.ndarray) -> np.ndarray:
    return scale.mean(0) + 1e-9


def _nearest(of_draw: np.ndarray, reference: np.ndarray) -> np.ndarray:
    distance = ((reference[:, None] - of_draw[None]) ** 2).sum(-1)
    return linear_sum_assignment(distance)[1]


def _taken(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, order[..., None, None], SLOT[COMPONENT])
