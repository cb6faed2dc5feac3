"""Draws of mixtures whose components a sampler has exchanged are brought to one labelling, and nothing else is touched."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from scribe_cli.core.axes import COMPONENT, shape3
from scribe_cli.core.facts import Facts
from scribe_cli.core.inference import nuts, relabel
from scribe_cli.core.inference.posterior import lifted
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.model import derive, program
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.numerics import lanes
from tests import recipes_zoo as recipes

N_CHAINS, N_DRAWS = 3, 16
SPREAD = 0.05  # of draws about where their component is; components are of the order of 1 apart
# shared and own p, capture, a gate, three components, weights of each dataset, hierarchies above and below the components
MIXTURES = (
    "nbdm_two",
    "nbvcp_three_mean",
    "zinbvcp_two_listed",
    "twostate_three_by_slot",
    "nbdm_two_prob_horseshoe",
    "nbdm_two_batch_nested",
    "zinb_three_batch_gate",
    "nbdm_two_batch_two_level",
    "nbvcp_two_one_mixing",
    "nbdm_two_batch_scalar",
)
each_mixture = pytest.mark.parametrize("name", MIXTURES)


@functools.cache
def described(name):
    """(spec, sizes, {site: axes})."""
    spec = resolve(recipes.RECIPES[name])
    facts = recipes.facts(name, spec)
    return spec, facts.sizes, {site: found.axes for site, found in program.sites(spec, facts).items()}


def n_components(name):
    return described(name)[1][COMPONENT]


@functools.cache
def drawn(name):
    """({parameter: thetas}, {site of a location or scale: values}) of chains that exchange nothing."""
    spec, sizes, axes = described(name)
    rng = np.random.default_rng(len(name))
    shapes = {p.name: shape3(p.axes, sizes) for p in spec.params}
    shapes["mixing_weights"] = (sizes[COMPONENT] - 1, *shapes["mixing_weights"][1:])
    of_pieces = {site: shape3(a, sizes) for site, a in axes.items() if derive.is_piece(site)}
    around = lambda shape: rng.normal(size=shape) + SPREAD * rng.normal(size=(N_CHAINS, N_DRAWS, *shape))  # noqa: E731
    return {n: around(s) for n, s in shapes.items()}, {n: around(s) for n, s in of_pieces.items()}


def exchanged(name, draws, pieces, order):
    """The same with order[chain, draw][k] being the component that is called k."""
    spec, _, axes = described(name)
    varying = {p.name for p in spec.params if COMPONENT in p.axes} - {"mixing_weights"}
    found = {n: _each(v, order, lambda one, o: one[o]) if n in varying else v for n, v in draws.items()}
    found["mixing_weights"] = _each(draws["mixing_weights"], order, _exchanged_ratios)
    return found, {n: _each(v, order, lambda one, o: one[o]) if COMPONENT in axes[n] else v for n, v in pieces.items()}


def _each(values, order, change):
    return np.array([[change(one, o) for one, o in zip(*chain, strict=True)] for chain in zip(values, order, strict=True)])


def _exchanged_ratios(theta, order):
    """log(w_k / w_K) of the weights in their new order."""
    w = np.exp(np.concatenate([theta, 0.0 * theta[:1]]))
    w = (w / w.sum(0))[order]
    return np.log(w[:-1] / w[-1:])


def orders(name, how, seed=0):
    """(chain, draw, component), of each draw or of each chain a permutation of its own; all kinds of them occur."""
    k, rng = n_components(name), np.random.default_rng(seed)
    n = N_CHAINS * N_DRAWS if how == "draw" else N_CHAINS
    order = np.array([rng.permutation(k) for _ in range(n)])
    order[-1] = np.roll(order[0], 1)
    return np.broadcast_to(order.reshape(N_CHAINS, -1, k), (N_CHAINS, N_DRAWS, k))


def relabelled(name, draws, pieces):
    spec, _, axes = described(name)
    return relabel.relabelled(spec, draws, pieces, axes)


def assert_same(found, expected):
    """To the bit, and the lifted weights to rounding."""
    for part, other in zip(found, expected, strict=True):
        assert part.keys() == other.keys()
        for name in part:
            atol = 1e-12 if name == "mixing_weights" else 0.0
            np.testing.assert_allclose(part[name], other[name], rtol=0, atol=atol, err_msg=name)


@each_mixture
@pytest.mark.parametrize("how", ["draw", "chain"])
def test_exchanged_components_get_the_labels_of_the_first_chain(name, how):
    """Those of its last draw, whatever they are called in the others."""
    draws, pieces = drawn(name)
    order = orders(name, how)
    *found, switched = relabelled(name, *exchanged(name, draws, pieces, order))
    labels = np.broadcast_to(order[0, -1], order.shape)
    assert_same(found, exchanged(name, draws, pieces, labels))
    assert switched == (order != labels).any(-1).sum() > 0


def test_the_mixtures_hold_locations_and_scales_of_both_kinds():
    kinds = {COMPONENT in described(name)[2][site] for name in MIXTURES for site in drawn(name)[1]}
    assert kinds == {True, False}


@each_mixture
def test_draws_that_exchange_nothing_stay_as_they_are(name):
    """To the bit, the weights too, and also where others are exchanged."""
    every_third = np.arange(N_CHAINS * N_DRAWS).reshape(N_CHAINS, N_DRAWS) % 3 == 0  # the last of the first chain is one
    order = np.where(every_third[..., None], np.arange(n_components(name)), orders(name, "draw"))
    for still, given in ((every_third | True, drawn(name)), (every_third, exchanged(name, *drawn(name), order))):
        *found, switched = relabelled(name, *given)
        assert (switched == 0) == still.all()
        for part, other in zip(found, given, strict=True):
            for n, v in other.items():
                np.testing.assert_array_equal(part[n][still], v[still], err_msg=n)


@each_mixture
def test_what_has_no_components_is_left_alone(name):
    spec, _, axes = described(name)
    draws, pieces = exchanged(name, *drawn(name), orders(name, "draw"))
    found, of_pieces, _ = relabelled(name, draws, pieces)
    without = [p.name for p in spec.params if COMPONENT not in p.axes]
    assert all(found[n] is draws[n] for n in without)
    assert all(of_pieces[n] is pieces[n] for n in pieces if COMPONENT not in axes[n])


def test_weights_follow_their_components():
    """Weights .7, .2, .1 of components that their means tell apart; the last draw calls them 2, 0, 1."""
    name, order = "nbvcp_three_mean", np.array([[[0, 1, 2], [0, 1, 2], [2, 0, 1]]])
    spec = described(name)[0]
    draws = {p.name: np.zeros((1, 3, 1, 1, 1)) for p in spec.params}
    draws["mu"] = np.full((1, 3, 3, 1, 1), np.array([-40.0, 0.0, 40.0]).reshape(3, 1, 1))
    draws["mixing_weights"] = np.full((1, 3, 2, 1, 1), np.log([7.0, 2.0]).reshape(2, 1, 1))
    found, _, switched = relabelled(name, *exchanged(name, draws, {}, order))
    w = np.exp(np.append(found["mixing_weights"].reshape(3, 2), np.zeros((3, 1)), 1))
    np.testing.assert_allclose(w / w.sum(1, keepdims=True), [[0.1, 0.7, 0.2]] * 3, rtol=1e-12)
    np.testing.assert_array_equal(found["mu"].reshape(3, 3), [[40.0, -40.0, 0.0]] * 3)
    assert switched == 2


@pytest.mark.parametrize(("n_components", "n_genes"), [(2, 300), (3, 1000)])
def test_few_genes_are_enough_to_tell_components_apart(n_components, n_genes):
    """Four genes 40 standard deviations apart, all others alike, and chains with labels of their own."""
    rng = np.random.default_rng(0)
    centre = 40.0 * np.arange(n_components)[:, None] * (np.arange(n_genes) < 4)
    draws = centre + rng.normal(size=(4, 40, n_components, n_genes))
    labels = np.stack([np.roll(np.arange(n_components), i) for i in range(4)])
    chains = np.stack([chain[:, own] for chain, own in zip(draws, labels, strict=True)])
    order = relabel._orders(chains)
    np.testing.assert_array_equal(order, np.broadcast_to(labels.argsort(-1)[:, None], order.shape))


# --- in a posterior -------------------------------------------------------------------------------------------------


def made_up(recipe, order):
    """(problem, {site: draws}, the same with components exchanged) of chains around some place."""
    spec, k = resolve(recipe), recipe["n_components"]
    sizes = {"cell": recipes.N_CELLS, "gene": recipes.N_GENES, COMPONENT: k}
    facts = Facts(sizes, {"annotation": recipes.ANNOTATION} if spec.annotation_confidence else {})
    problem = Problem(spec, lanes.load()["dense"], facts, {}, facts)
    rng = np.random.default_rng(3)
    sites = {
        name: rng.normal(size=site.shape) + SPREAD * rng.normal(size=(*order.shape[:2], *site.shape))
        for name, site in problem.sites.items()
    }
    return problem, sites, {name: _exchanged_site(name, v, problem.sites[name].axes, order) for name, v in sites.items()}


def _exchanged_site(site, values, axes, order):
    if site == "mixing_weights_unconstrained":  # the components of weights are the elements of one draw
        return np.moveaxis(_each(np.moveaxis(values, -1, 2), order, _exchanged_ratios), 2, -1)
    return _each(values, order, lambda one, o: one[o]) if COMPONENT in axes else values


def posterior_of(problem, sites):
    shape = next(iter(sites.values())).shape[:2]
    no, one = np.zeros(shape, bool), np.ones(shape)
    stats = {"diverging": no, "reached_max_treedepth": no, "energy": one.cumsum(1), "acceptance_rate": one}
    return nuts.posterior(problem, nuts.Chains(sites, stats))[0]


def test_a_posterior_is_relabelled_and_says_so():
    """Draws, locations and the point; how many draws were exchanged is a metric."""
    order = np.zeros((2, 8, 2), int) + [0, 1]
    order[1] = order[0, 3] = [1, 0]
    problem, sites, changed = made_up(recipes.RECIPES["nbdm_two_prob_horseshoe"], order)
    found = posterior_of(problem, changed)
    draws, pieces = lifted(problem.spec, problem.cells, sites, 2, False)
    assert found.diagnostics["label_switches"] == 8 + 1
    point = {name: v.mean((0, 1)) for name, v in draws.items()}
    for one, other in ((found.draws, draws), (found.pieces, pieces), (found.point, point)):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert any(COMPONENT in problem.sites[name].axes for name in pieces)


def test_components_that_labels_name_are_exchanged_with_none():
    """Their cells say which they are: draws in which two of them have changed places stay; others are brought to one order."""
    order = np.zeros((3, 8, 4), int) + np.arange(4)
    order[1], order[2] = [0, 1, 3, 2], [1, 0, 2, 3]
    kept = np.zeros((3, 8, 4), int) + np.arange(4)
    kept[2] = [1, 0, 2, 3]
    problem, sites, changed = made_up(recipes.of("nbdm", "canonical", recipes.LABELS, n_components=4), order)
    found = posterior_of(problem, changed)
    expected = {name: _exchanged_site(name, v, problem.sites[name].axes, kept) for name, v in sites.items()}
    draws, _ = lifted(problem.spec, problem.cells, expected, 2, False)
    for name in draws:
        np.testing.assert_allclose(found.draws[name], draws[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert found.diagnostics["label_switches"] == 8
