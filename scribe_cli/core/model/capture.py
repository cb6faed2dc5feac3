"""Capture: three coordinates of one number, nu in (0, 1] per cell (MODELS.md 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp

from ..numerics.special import log_expm1, log_sigmoid


@dataclass(frozen=True)
class CaptureCoordinate:
    """to_log_nu: log-scale coordinate -> log nu; from_log_nu: the way back."""

    support: str
    to_log_nu: Callable
    from_log_nu: Callable
    text: str


# logit nu = -log(phi) = -log(e^{-log nu} - 1)
COORDINATES = {
    "p_capture": CaptureCoordinate("unit", log_sigmoid, lambda s: -log_expm1(-s), "nu"),
    "phi_capture": CaptureCoordinate("positive", lambda x: log_sigmoid(-x), lambda s: log_expm1(-s), "1/nu - 1"),
    "eta_capture": CaptureCoordinate("positive", lambda x: -jnp.exp(x), lambda s: jnp.log(-s), "-log nu"),
}
