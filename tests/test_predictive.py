"""Predictive tables against brute-force replicate data sets, and their parts against direct sums over cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nbinom

from tests import zoo
from scribe_cli.core.analysis import expected, grid, laws, nodes, predictive, tabulate, totals
from scribe_cli.core.analysis.points import Points, points_of
from scribe_cli.core.analysis.predictive import Observed
from scribe_cli.core.model import program
from scribe_cli.core.numerics import kernels

KERNEL = kernels.load("negative_binomial")
# mean per cell and r: silent, rare, rare and bursty, middling, bursty, nearly Poisson and high, high
GENES = np.array([(1e-4, 1.0), (0.02, 0.5), (0.03, 0.01), (0.5, 2.0), (2.0, 0.1), (150.0, 2000.0), (60.0, 0.8)])
N_DRAWS, N_CELLS = 40, 90
FLAGS = {"nbdm": (False, False), "nbvcp": (True, False), "zinb": (False, True), "zinbvcp": (True, True)}


def plain(core, gate=None, log_nu=None) -> Points:
    """Of one component and one dataset, from (draws, genes or 1) each."""
    four = lambda v: None if v is None else np.asarray(v)[:, None, None]  # noqa: E731
    return Points({name: four(v) for name, v in core.items()}, four(gate), log_nu=log_nu)


def points(model, seed=0, n_cells=N_CELLS) -> Points:
    """Draws near GENES, with a p of each gene's own; capture with a coefficient of variation of a half."""
    rng = np.random.default_rng(seed)
    captured, gated = FLAGS[model]
    mean, r = GENES.T
    log_r = np.log(r) + 0.05 * rng.normal(size=(N_DRAWS, len(r)))
    log_nu = np.log(0.05) + 0.5 * rng.normal(size=n_cells) + 0.05 * rng.normal(size=(N_DRAWS, n_cells))
    logit_p = np.log(mean) - np.log(r) + 0.05 * rng.normal(size=log_r.shape) - (np.log(0.055) if captured else 0.0)
    gate = (-1 + rng.normal(size=len(r)) + 0.1 * rng.normal(size=log_r.shape)) if gated else None
    return plain({"log_r": log_r, "logit_p": logit_p}, gate, log_nu if captured else None)


def brute_force(p: Points, n_cells, per_draw, rng):
    """(replicates, cells, genes) counts, every entry drawn."""
    log_nu = np.zeros((p.n_draws, n_cells)) if p.log_nu is None else p.log_nu
    r = np.exp(p.core["log_r"])[:, 0]
    odds = np.exp(p.core["logit_p"][:, 0] + log_nu[..., None])
    u = rng.poisson(rng.gamma(r, size=(per_draw, p.n_draws, n_cells, r.shape[-1])) * odds)
    if p.logit_gate is not None:
        u *= rng.random(u.shape) >= 1 / (1 + np.exp(-p.logit_gate[:, 0]))
    return u.reshape(-1, *u.shape[2:])


def observed(u) -> Observed:
    return Observed.of_histogram(*u.shape, *zoo.histogram(u), u.sum(1))


def mid_p(values, obs):
    return (values > obs).mean(0) + 0.5 * (values == obs).mean(0)


@pytest.fixture(scope="module", params=FLAGS)
def case(request):
    """(points, counts, brute-force replicates, tables) of one model."""
    p = points(request.param)
    rng = np.random.default_rng(5)
    u = brute_force(p, N_CELLS, 1, rng)[7]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictive, "REPLICATES", 200 * N_DRAWS)
        tables = predictive.gene_tables(zoo.spec(request.param), p, observed(u), 0)
    return p, u, brute_force(p, N_CELLS, 200, rng), tables


STATISTICS = {
    "mean": lambda u: u.mean(-2),
    "var": lambda u: (u.astype(float) ** 2).mean(-2) - u.mean(-2) ** 2,  # np.var rounds otherwise, and breaks ties
    "zero": lambda u: (u == 0).mean(-2),
    "max": lambda u: u.max(-2).astype(float),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_gene_statistics_are_those_of_replicate_data_sets(case, name):
    _, _, replicates, tables = case
    values = STATISTICS[name](replicates)
    genes = tables.genes
    error = values.std(0) / np.sqrt(len(values))
    np.testing.assert_array_less(np.abs(genes[f"{name}_pred"] - values.mean(0)), 5 * error + 1e-9)
    np.testing.assert_allclose(genes[f"{name}_p"], mid_p(values, genes[f"{name}_obs"]), atol=0.02)
    for level, part in ((0.05, "q05"), (0.95, "q95")):
        around = np.quantile(values, [level - 0.012, level + 0.012], axis=0, method="inverted_cdf")
        slack = 1e-9 + 1e-3 * np.abs(around[0])
        assert (genes[f"{name}_{part}"] >= around[0] - slack).all(), part
        assert (genes[f"{name}_{part}"] <= around[1] + slack).all(), part


def test_observed_statistics(case):
    _, u, _, tables = case
    for name, statistic in STATISTICS.items():
        np.testing.assert_allclose(tables.genes[f"{name}_obs"], statistic(u), rtol=1e-12, atol=1e-12)


def test_histogram_bands_are_those_of_replicate_data_sets(case):
    p, u, replicates, tables = case
    h = tables.histogram
    for i in range(len(h["gene"])):
        mine = replicates[:, :, h["gene"][i]]
        inside = (mine >= h["count_from"][i]) & (mine <= h["count_to"][i])
        values = inside.sum(1)
        assert abs(h["pred"][i] - values.mean()) < 5 * values.std() / np.sqrt(len(values)) + 2e-3
        low, high = np.quantile(values, [[0.038, 0.938], [0.062, 0.962]], method="inverted_cdf")
        slack = int(p.log_nu is not None)  # scaled draws round to a neighbour
        assert low[0] - slack <= h["q05"][i] <= high[0] + slack and low[1] - slack <= h["q95"][i] <= high[1] + slack
    for g in range(len(GENES)):
        mine = h["gene"] == g
        assert h["obs"][mine].sum() == N_CELLS
        assert h["count_to"][mine][-1] >= u[:, g].max()
        np.testing.assert_array_equal(h["count_from"][mine][1:], h["count_to"][mine][:-1] + 1)


@pytest.mark.parametrize("model", FLAGS)
def test_cell_totals_are_those_of_replicate_data_sets(model, monkeypatch):
    monkeypatch.setattr(totals, "REPLICATES", 100 * N_DRAWS)
    p = points(model, n_cells=30)
    rng = np.random.default_rng(7)
    many = np.tile(np.arange(len(GENES) - 2), 60)
    core = {k: v[..., many] + 0.2 * rng.normal(size=len(many)) for k, v in p.core.items()}
    p = Points(core, p.genes(many).logit_gate, log_nu=p.log_nu)
    values = brute_force(p, 30, 100, rng).sum(2)
    seen = values[rng.integers(len(values), size=30), np.arange(30)]
    cells = totals.cell_table(zoo.spec(model), p, seen, 0)
    np.testing.assert_array_equal(cells["total_obs"], seen)
    np.testing.assert_allclose(cells["total_p"], mid_p(values, seen), atol=0.05)
    for level, part in ((0.05, "total_q05"), (0.95, "total_q95")):
        low, high = np.quantile(values, [level - 0.03, level + 0.03], axis=0)
        assert ((cells[part] >= low) & (cells[part] <= high)).all()


def test_cell_totals_are_the_same_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(totals, "ENTRIES", 4 * totals.REPLICATES)  # blocks of few cells
    p = points("zinbvcp", n_cells=30)
    one, three = (totals.cell_table(zoo.spec("zinbvcp"), p, np.arange(30), 0, threads) for threads in (1, 3))
    assert len(set(one["total_q95"])) > 3
    for name, values in one.items():
        np.testing.assert_array_equal(values, three[name])


@pytest.mark.parametrize("model", ["nbdm", "zinbvcp"])
def test_totals_of_few_genes_are_those_of_replicate_data_sets(model, monkeypatch):
    """Of one gene with most of the variance and a gate of its own, and two others: no NB has such totals."""
    monkeypatch.setattr(totals, "REPLICATES", 200 * N_DRAWS)
    genes = np.array([3, 4, 6])
    p = points(model, n_cells=20).genes(genes)
    values = brute_force(p, 20, 200, np.random.default_rng(7)).sum(2)
    seen = np.quantile(values, 0.3, axis=0, method="inverted_cdf")
    cells = totals.cell_table(zoo.spec(model), p, seen, 0)
    np.testing.assert_allclose(cells["total_p"], mid_p(values, seen), atol=0.03)
    for level, part in ((0.05, "total_q05"), (0.95, "total_q95")):
        low, high = np.quantile(values, [level - 0.02, level + 0.02], axis=0, method="inverted_cdf")
        assert ((cells[part] >= low) & (cells[part] <= high)).all()


NARROW_LAWS = [(1e6, 1e4), (3e4, 1e5), (1e7, 1e6), (2e4, 3e7)]


@pytest.mark.parametrize("r, mean", NARROW_LAWS)
def test_laws_narrower_than_columns(r, mean):
    """At 1e4 a Poisson is narrower than a column of 1/64 of its count."""
    p = plain({"log_r": np.log(np.full((20, 1), r)), "logit_p": np.log(np.full((20, 1), mean / r))})
    rng = np.random.default_rng(0)
    values = brute_force(p, 50, 100, rng)
    u = values[3]
    genes = predictive.gene_tables(zoo.spec("nbdm"), p, observed(u), 0).genes
    for name, statistic in STATISTICS.items():
        v = statistic(values)[:, 0]
        assert abs(genes[f"{name}_pred"][0] - v.mean()) < 5 * v.std() / np.sqrt(len(v)) + 1e-3 * v.std() + 1e-12, name
        np.testing.assert_allclose(genes[f"{name}_p"][0], mid_p(v, statistic(u)[0]), atol=0.06, err_msg=name)
        for level, part in ((0.05, "q05"), (0.95, "q95")):
            around = np.quantile(v, [level - 0.03, level + 0.03])
            slack = 0.02 * v.std() + 1e-9
            assert around[0] - slack <= genes[f"{name}_{part}"][0] <= around[1] + slack, (name, part)


def test_the_smallest_p_counts_both_sides_and_four_statistics(case):
    tables = case[3]
    one = np.stack([np.minimum(tables.genes[f"{s}_p"], 1 - tables.genes[f"{s}_p"]) for s in STATISTICS])
    np.testing.assert_allclose(tables.p, np.minimum(1, 8 * one.min(0)))


def test_misfit_shows():
    p = points("nbvcp")
    u = brute_force(p, N_CELLS, 1, np.random.default_rng(1))[0]
    u[:, 3] *= 4
    u[0, 4] = 4000
    tables = predictive.gene_tables(zoo.spec("nbvcp"), p, observed(u), 0)
    assert tables.genes["mean_p"][3] < 0.005 and tables.p[3] < 0.05
    assert tables.genes["max_p"][4] < 1e-6


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("n_cells", [1, 2, 60])
def test_extremes_are_finite(n_cells):
    """Counts never seen and never to be seen, a narrow law at thousands, a single cell, and no spread of capture."""
    log_nu = np.full((3, n_cells), -2.0) + np.linspace(0, 1, n_cells)
    log_r = np.log(np.array([[1e-3, 1e4, 1e-2]])) + np.zeros((3, 1))
    p = plain({"log_r": log_r, "logit_p": np.array([[-300.0, 0.0, 9.0]]) + np.zeros((3, 1))}, None, log_nu)
    u = brute_force(p, n_cells, 1, np.random.default_rng(0))[0]
    tables = predictive.gene_tables(zoo.spec("nbvcp"), p, observed(u), 0)
    assert all(np.isfinite(v).all() for v in tables.genes.values())
    assert all(np.isfinite(v).all() for v in tables.histogram.values())
    assert tables.genes["mean_p"][0] == 0.5 and 0 < tables.genes["max_p"][1] < 1
    mean = np.exp(p.core["log_r"] + p.core["logit_p"])[0, 0, 0] * np.exp(log_nu[0]).mean()
    np.testing.assert_allclose(tables.genes["mean_pred"], mean, rtol=1e-9)
    assert all(np.isfinite(v).all() for v in totals.cell_table(zoo.spec("nbvcp"), p, u.sum(1), 0).values())


def test_the_same_seed_gives_the_same_tables_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(laws, "BLOCK", 2)
    p = points("zinbvcp")
    obs = observed(brute_force(p, N_CELLS, 1, np.random.default_rng(2))[0])
    spec = zoo.spec("zinbvcp")
    one, two, other = (predictive.gene_tables(spec, p, obs, s, n) for s, n in ((1, 1), (1, 2), (2, 1)))
    for name in one.genes:
        np.testing.assert_array_equal(one.genes[name], two.genes[name])
    for name in one.histogram:
        np.testing.assert_array_equal(one.histogram[name], two.histogram[name])
    assert (one.genes["mean_p"] != other.genes["mean_p"]).any()


def test_expected_table_is_the_sum_over_cells():
    p = points("zinbvcp", n_cells=200)
    for g, rule, size in [(3, nodes.gauss(p.log_nu, 8), 60), (4, nodes.groups(p.log_nu, 512), 400)]:
        gene = np.array([g])
        columns = grid.ALL.first(size)
        table = expected.table(KERNEL, p.genes(gene), rule, columns)
        r, theta = np.exp(p.core["log_r"][0, 0, 0, gene]), np.exp(p.core["logit_p"][0, 0, 0, gene] + p.log_nu[0])
        gate = 1 / (1 + np.exp(-p.logit_gate[0, 0, 0, gene]))
        cdf = gate + (1 - gate) * nbinom.cdf(columns.high[:, None], r, 1 / (1 + theta))
        pmf = np.diff(cdf, axis=0, prepend=0.0)
        np.testing.assert_allclose(table.pmf[:, 0, 0], pmf.mean(1), atol=3e-6)
        np.testing.assert_allclose(200 * table.log_cdf[20:, 0, 0], np.log(cdf).sum(1)[20:], atol=5e-3)
        bins = np.stack([pmf[b].sum(0) for b in columns.slices])
        np.testing.assert_allclose(table.bin_squares[:, 0, 0], (bins**2).mean(1), atol=3e-5)


@pytest.mark.parametrize("name", ["zinbvcp-mean_odds", "nbvcp-mean_disp"])
def test_points_are_the_programs_natural_coordinates(name):
    thetas = [{q.name: zoo.thetas(name, seed=s)[f"{q.name}_unconstrained"] for q in zoo.SPECS[name].params} for s in range(3)]
    stacked = {k: np.stack([t[k] for t in thetas]) for k in thetas[0]}
    got = points_of(zoo.SPECS[name], zoo.facts(), stacked)
    for s, x in enumerate(thetas):
        n = program.natural(zoo.SPECS[name], x)
        for k, v in n.core.items():
            np.testing.assert_allclose(got.core[k][s], v)
        np.testing.assert_allclose(got.log_nu[s], n.log_nu[0, :, 0])
        assert (got.logit_gate is None) == (n.logit_gate is None)
        if n.logit_gate is not None:
            np.testing.assert_allclose(got.logit_gate[s], n.logit_gate)


@pytest.mark.parametrize("r, mean", [(0.05, 3000.0), (1.0, 1e5), (50.0, 2000.0), (400.0, 900.0)])
def test_wide_columns_hold_the_mass_of_their_counts(r, mean):
    p = plain({"log_r": np.log([[r]]), "logit_p": np.log([[mean / r]])})
    table = expected.table(KERNEL, p, nodes.Nodes.none(1), grid.ALL)
    cdf = nbinom.cdf(grid.ALL.high, r, r / (r + mean))
    np.testing.assert_allclose(table.pmf[:, 0, 0], np.diff(cdf, prepend=0.0), atol=2e-6)
    np.testing.assert_allclose(np.exp(table.log_cdf[:, 0, 0]), cdf, atol=1e-5)


def test_moments_are_means_over_cells():
    p = points("zinbvcp")
    m = expected.moments(KERNEL, p, nodes.gauss(p.log_nu, 8))
    r, theta = np.exp(p.core["log_r"])[:, 0], np.exp(p.core["logit_p"][:, 0] + p.log_nu[..., None])
    gate = 1 / (1 + np.exp(-p.logit_gate))[:, 0]
    mean = (1 - gate) * r * theta
    variance = (1 - gate) * (r * theta * (1 + theta) + gate * (r * theta) ** 2)
    np.testing.assert_allclose(m.mean, mean.mean(1), rtol=1e-6)
    np.testing.assert_allclose(m.within, variance.mean(1), rtol=1e-6)
    np.testing.assert_allclose(m.between, mean.var(1), rtol=1e-5)
    deviation = variance + (mean - mean.mean(1, keepdims=True)) ** 2
    np.testing.assert_allclose(m.deviations, (deviation**2).mean(1), rtol=1e-3)


def test_gauss_rule_is_exact_for_polynomials_and_survives_few_distinct_cells():
    rng = np.random.default_rng(0)
    s = rng.normal(size=(3, 50)) - 4
    rule = nodes.gauss(s, 5)
    for power in range(10):
        np.testing.assert_allclose((rule.weight * rule.x**power).sum(1), (s**power).mean(1), rtol=1e-9)
    assert (rule.weight > 0).all()
    for few in (np.full((2, 30), -3.0), np.tile([-3.0, -2.0], (2, 15))):
        rule = nodes.gauss(few, 8)
        np.testing.assert_allclose((rule.weight * np.exp(rule.x)).sum(1), np.exp(few).mean(1), rtol=1e-12)


@pytest.mark.parametrize("everything", [grid.ALL, grid.NARROW], ids=["coarse", "fine"])
def test_columns_cover_every_count_once(everything):
    np.testing.assert_array_equal(everything.low[1:], everything.high[:-1] + 1)
    assert everything.low[0] == 0 and everything.high[-1] >= grid.LARGEST
    first, last = everything.bins()
    np.testing.assert_array_equal(first[1:], last[:-1] + 1)
    assert all(everything.bin[n - 1] != everything.bin[n] for n in grid.sizes(everything)[:-1])


@pytest.mark.parametrize("spread", [8.0, 30.0])
def test_wild_draws_have_tables_too(spread):
    """Draws of a fit that has not converged: laws beyond the grid, and counts that are certain."""
    rng = np.random.default_rng(0)
    draws, genes, cells = 20, 40, 50
    core = {"log_r": rng.normal(0, spread, (draws, genes)), "logit_p": rng.normal(0, spread / 4, (draws, 1))}
    points = plain(core, rng.normal(0, 8.0, (draws, genes)), rng.normal(-4, 0.3, (draws, cells)))
    observed = Observed.of_histogram(cells, genes, np.array([0, 1]), np.array([1, 3]), np.array([2, 1]), np.ones(cells))
    tables = predictive.gene_tables(zoo.SPECS["zinbvcp-mean_odds"], points, observed, 0)
    assert np.isfinite(tables.p).all() and np.all((tables.p >= 0) & (tables.p <= 1))


@pytest.mark.parametrize("range_, n_nodes", tabulate.GAUSS)
@pytest.mark.parametrize("top", [0.05, 0.5, 0.9])
def test_gauss_rule_holds_up_to_the_range_it_is_used_for(range_, n_nodes, top):
    """Of log nu in widths of the law at the highest capture, where p is `top`; cells uniform, skewed and in two heaps."""
    rng = np.random.default_rng(0)
    heaps = np.repeat([-5.0, -2.0], 100) + 0.25 * rng.normal(size=200)
    for log_nu in (np.linspace(-5, -2, 200), -2 - rng.gamma(2.0, 0.4, 200), heaps):
        theta = np.exp(log_nu - log_nu.max()) * top / (1 - top)
        r = (range_ / np.ptp(log_nu)) ** 2 / top
        rule = nodes.gauss(log_nu[None], n_nodes)
        at_nodes = np.exp(rule.x[0] - log_nu.max()) * top / (1 - top)
        u = np.arange(int(2 * r * theta.max() + 50))[:, None]
        exact = nbinom.pmf(u, r, 1 / (1 + theta)).mean(1)
        found = nbinom.pmf(u, r, 1 / (1 + at_nodes)) @ rule.weight[0]
        np.testing.assert_allclose(found, exact, atol=3e-5 * exact.max(), rtol=0)


def test_gauss_rule_of_very_many_cells_is_that_of_fine_intervals(monkeypatch):
    log_nu = np.random.default_rng(4).normal(-3.0, 0.4, (2, 2 * nodes.FINE + 1))
    fine = nodes.gauss(log_nu, 24)
    monkeypatch.setattr(nodes, "FINE", log_nu.shape[1])
    whole = nodes.gauss(log_nu, 24)
    for power in (1.0, 10.0, 30.0):  # P(0) of a Poisson count, up to one that is 0 in a tenth of the cells
        found, expected = ((r.weight * np.exp(-power * np.exp(r.x + 3.0))).sum(1) for r in (fine, whole))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert (found != expected).all()


def test_gauss_rule_of_capture_is_exact_for_polynomials_in_it():
    rng = np.random.default_rng(0)
    log_nu = rng.normal(-3, 1.5, size=(4, 60))
    rule = nodes.gauss_of_capture(log_nu, 3)
    for power in range(6):
        np.testing.assert_allclose((rule.weight * np.exp(power * rule.x)).sum(1), np.exp(power * log_nu).mean(1), rtol=1e-9)
    far = nodes.gauss_of_capture(np.array([[-900.0, -1.0]]), 3)
    assert np.isfinite(far.x).all()


@pytest.mark.parametrize("kernel", ["negative_binomial", "beta_negative_binomial"])
def test_climbing_by_ratios_is_the_law_by_logarithms(kernel, monkeypatch):
    rng = np.random.default_rng(1)
    core = {"log_r": rng.normal(0, 2, (5, 6)), "logit_p": rng.normal(0, 1, (5, 6)), "log_omega": rng.normal(0, 1, (5, 6))}
    p = plain({name: core[name] for name in kernels.load(kernel).coords}, None, rng.normal(-1, 0.4, (5, 30)))
    rule, columns = nodes.gauss(p.log_nu, 5), grid.ALL.first(200)
    climbed = expected.table(kernels.load(kernel), p, rule, columns)
    monkeypatch.setattr(laws, "DEEP", 1.0)
    by_logs = expected.table(kernels.load(kernel), p, rule, columns)
    np.testing.assert_allclose(climbed.pmf, by_logs.pmf, rtol=1e-10, atol=1e-290)
    np.testing.assert_allclose(climbed.log_cdf, by_logs.log_cdf, rtol=1e-9, atol=1e-14)


def test_largest_counts_are_as_likely_where_logarithms_are_spared(monkeypatch):
    p = points("zinbvcp", n_cells=200)
    rule = nodes.gauss(p.log_nu, 8)
    spared = expected.table(KERNEL, p, rule, grid.ALL.first(241))
    monkeypatch.setattr(expected, "NEAR", 0.0)
    exact = expected.table(KERNEL, p, rule, grid.ALL.first(241))
    for n_cells in (1, 100, 10**4, 10**6):
        np.testing.assert_allclose(np.exp(n_cells * spared.log_cdf), np.exp(n_cells * exact.log_cdf), atol=2e-5, rtol=0)


def test_every_gene_has_the_columns_that_all_draws_need():
    """One draw of them, which the preview does not look at, reaches far further than the others."""
    p = points("nbvcp")
    p.core["logit_p"][5] += 4.0
    found = list(tabulate.summaries(KERNEL, p, N_CELLS, np.zeros(len(GENES)), lambda part: part, 1))
    assert sorted(np.concatenate([part.genes for part in found])) == list(range(len(GENES)))
    for part in found:
        whole = expected.table(KERNEL, p.genes(part.genes), nodes.gauss(p.log_nu, 32), grid.ALL)
        left = N_CELLS * whole.pmf[len(part.grid.low) :].sum(0).mean(0)
        assert (left < 20 * tabulate.BEYOND).all()  # the rule looks at the last column alone; that draw has two cells
