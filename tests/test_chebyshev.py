"""Interpolation in log capture: exact where it must be, within its bound elsewhere, a straight line beyond."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core.inference import initial
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.numerics import chebyshev
from scribe_cli.core.numerics.lanes import smooth
from scribe_cli.run.fitting import interpolation
from tests import recipes_zoo as recipes
from tests import recovery

INSIDE = np.linspace(-5.0, -0.5, 301)


def interpolated(f, nodes, s):
    return np.asarray(chebyshev.weights(jnp.asarray(s), nodes)) @ f(nodes["s"])


def test_polynomials_of_lower_degree_are_exact():
    """Of the bent variable, in which the interpolant is one."""
    nodes = chebyshev.nodes(-5.0, -0.5, 6)
    z = lambda s: np.sin(nodes["bend"] * (s + 2.75) / 2.25) / np.sin(nodes["bend"])  # noqa: E731
    f = np.polynomial.Polynomial([2.3, -1.0, 0.5, 0.2, -0.1, 0.05])
    np.testing.assert_allclose(interpolated(lambda s: f(z(s)), nodes, INSIDE), f(z(INSIDE)), rtol=1e-11)
    np.testing.assert_allclose(np.asarray(chebyshev.weights(jnp.asarray(nodes["s"]), nodes)), np.eye(6), atol=1e-12)


@pytest.mark.parametrize("half", [0.5, 1.8, 3.5, 6.0])
@pytest.mark.parametrize("strip", [1.2, np.pi])
def test_the_ellipse_reaches_the_edge_of_the_strip_and_no_further(half, strip):
    """Its points are images of the strip alone, of the map's own branch too: rho of theirs is at least that of `needed`."""
    c = chebyshev.bend(half, strip)
    edge = np.sin(c * (np.linspace(-np.pi / 2 / c, np.pi / 2 / c, 1001) + 1j * strip / half)) / np.sin(c)
    root = np.sqrt(edge**2 - 1)
    reached, rho = np.maximum(abs(edge + root), abs(edge - root)), 1 / np.tan(c / 2)
    np.testing.assert_allclose(reached.min(), rho, rtol=1e-9)
    np.testing.assert_allclose(1 / np.sin(c) + np.sqrt(1 / np.sin(c) ** 2 - 1), rho)  # where the inverse of the map branches
    plain = strip / half + np.hypot(1, strip / half)
    assert rho > plain and chebyshev.needed(half, strip) <= 4 + np.log(4 / chebyshev.TOLERANCE / (plain - 1)) / np.log(plain)


@pytest.mark.parametrize("half", [0.5, 1.8, 3.5, 6.0])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-8, 1e-12])
def test_as_many_nodes_as_are_needed_meet_the_tolerance(half, tolerance):
    """Of log(1 + theta e^s), whatever theta: relative to its size on the ellipse, which is that of its imaginary part, pi, or more.

    A third of the nodes do not.
    """
    k, s = chebyshev.needed(half, tolerance=tolerance), np.linspace(-half, half, 500)

    def worst(k):
        nodes = chebyshev.nodes(-half, half, k)
        functions = [lambda s, log_theta=t: np.logaddexp(0.0, log_theta + s) for t in np.linspace(-half, half, 21)]
        return max(np.abs(interpolated(f, nodes, s) - f(s)).max() for f in functions)

    most = np.hypot(np.pi, 2 * half)
    assert worst(k) <= tolerance * most + 1e-14
    assert worst(k // 3) > tolerance * most


def test_outside_its_interval_it_goes_on_as_a_straight_line():
    nodes = chebyshev.nodes(-5.0, -0.5, 30)
    s = np.array([-7.0, -5.5, -5.0, -0.5, 0.0, 1.0])
    end = np.array([-5.0, -5.0, -5.0, -0.5, -0.5, -0.5])
    np.testing.assert_allclose(interpolated(np.exp, nodes, s), np.exp(end) * (1 + s - end), rtol=1e-9)
    slope = jax.vmap(jax.grad(lambda s: (chebyshev.weights(s[None], nodes) @ jnp.exp(nodes["s"]))[0]))(jnp.asarray(s[[0, 1, 4, 5]]))
    np.testing.assert_allclose(slope, np.exp(end)[[0, 1, 4, 5]], rtol=1e-9)


def test_slopes_are_those_of_the_function():
    nodes = chebyshev.nodes(-5.0, -0.5, 30)
    value = lambda s: (chebyshev.weights(s[None], nodes) @ jnp.exp(nodes["s"]))[0]  # noqa: E731
    slopes = jax.vmap(jax.grad(value))(jnp.asarray(INSIDE))
    np.testing.assert_allclose(slopes, np.exp(INSIDE), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["nbvcp", "nbvcp_mean_odds_human", "nbvcp_batch_scaling", "zinbvcp_mean_odds"])
def test_captures_start_well_inside_the_range_that_nodes_span(name):
    recipe = recipes.RECIPES[name]
    batch = {"batch": np.array(["a", "b"])[recipes.DATASET_OF_CELL]}
    spec, collected = resolve(recipe), recovery.read(recipe, recipes.COUNTS, **batch)[1]
    low, high = initial.capture_range(spec, collected.cells, collected.counts.total)
    start = np.log(initial._capture(spec, collected.cells, collected.counts.total.astype(float)))
    known = spec[spec.capture].prior.args.get("sigma_M")
    beyond = 4.0 if known is None else 6 * known + (4.0 if spec.role("scaling") else 0.0)
    np.testing.assert_allclose([low, high], [start.min() - beyond, min(start.max() + beyond, 0.0)])
    (part,) = interpolation.parts(spec, collected.cells, collected.counts.total)
    nodes = part.nodes
    np.testing.assert_allclose([nodes["centre"] - nodes["half"], nodes["centre"] + nodes["half"]], [low, high])
    assert len(nodes["s"]) == chebyshev.needed((high - low) / 2, smooth.strip(spec)) and part.genes.all()


def test_gates_and_promoters_have_more_nodes():
    plain, gated, promoter = (
        chebyshev.needed(2.5, smooth.strip(resolve(recipes.RECIPES[name]))) for name in ("nbvcp", "zinbvcp_mean_odds", "twostatevcp_natural")
    )
    assert plain < gated < promoter
