"""The program against a joint written by hand in scipy, from MODELS.md: the only second writing of the density."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats
from scipy.special import expit

from scribe_cli.core.facts import Facts
from scribe_cli.core.model import priors, program
from scribe_cli.core.model.program import Site
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.core.numerics import choose, kernels, lanes
from scribe_cli.core.numerics.natural import Natural
from tests import zoo

STATS = zoo.stats()

# support: (value of theta, log |d value / d theta| as a function of the value)
WAYS = {
    "unit": (expit, lambda v: np.log(v) + np.log1p(-v)),
    "positive": (np.exp, np.log),
    "positive_softplus": (lambda t: np.logaddexp(0.0, t), lambda v: np.log(-np.expm1(-v))),
}
# The laws of zoo's priors in the natural domain of the parameter (MODELS.md 3).
CONSTRAINED = {
    "p": stats.beta(2, 5),
    "phi": stats.betaprime(5, 2),  # (1-p)/p with p ~ Beta(2, 5)
    "mu": stats.lognorm(3.0, scale=np.exp(0.5)),
    "r": stats.lognorm(1.5, scale=np.exp(-0.5)),
    "gate": stats.beta(1, 9),
    "p_capture": stats.beta(2, 5),
    "phi_capture": stats.betaprime(5, 2),
}
# and of those that are normal through the transform, in theta
UNCONSTRAINED = {"p": stats.norm(0, 1), "phi": stats.norm(0, 1), "gate": stats.norm(-2, 1)}


def eta_log_prior(eta, log_library):
    loc = 9.0 - log_library
    return stats.truncnorm.logpdf(eta, -loc / 0.3, np.inf, loc, 0.3)


def log_prior(param, theta, log_library):
    """log density of each element of theta."""
    value_of, log_slope = WAYS[param.support]
    value = value_of(theta)
    if param.name == "eta_capture":
        return eta_log_prior(value, log_library.reshape(1, -1, 1)) + log_slope(value)
    if param.prior.family == "normal" and param.name in UNCONSTRAINED:
        return UNCONSTRAINED[param.name].logpdf(theta)
    if param.support == "positive_softplus":  # the recipe's normal is then of theta itself
        return stats.norm(0.5, 3.0).logpdf(theta)
    return CONSTRAINED[param.name].logpdf(value) + log_slope(value)


def log_counts(spec, values, u):
    """log P of each entry: NB(r, p) thinned by nu, then the gate, in probabilities."""
    r, p, nu = values["r"], values["p"], values["p_capture"] if spec.capture else 1.0
    p_hat = p * nu / (1 - p * (1 - nu))
    f = stats.nbinom.logpmf(u[None], r, 1 - p_hat)
    if not spec.gated:
        return f
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.where(u[None] == 0, np.log(values["gate"]), -np.inf), np.log1p(-values["gate"]) + f)


def by_hand(name, thetas, u, log_library, weight):
    """Gene and shared priors once; cell priors and counts times the row's weight (rows,)."""
    spec, named = zoo.SPECS[name], zoo.values(name)
    named = {k: v[:, : len(u)] if v.shape[1] > 1 else v for k, v in named.items()}
    total = (log_counts(spec, named, u) * weight.reshape(1, -1, 1)).sum()
    for param in spec.params:
        terms = log_prior(param, thetas[f"{param.name}_unconstrained"], log_library)
        total += (terms * weight.reshape(1, -1, 1) if param.axes == ("cell",) else terms).sum()
    return total


@pytest.mark.parametrize("name", zoo.SPECS)
def test_log_joint_equals_the_one_by_hand(name):
    """In the model's own lane and in the dense one."""
    thetas, ones = zoo.thetas(name), np.ones(zoo.N_CELLS)
    expected = by_hand(name, thetas, zoo.COUNTS, zoo.LOG_LIBRARY, ones)
    for lane in {choose.choose(zoo.SPECS[name]).name, "dense"}:
        found = zoo.joint(name, lane)(thetas, zoo.facts(ones), STATS)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["zinbvcp-mean_odds", "nbvcp-mean_odds-eta"])
def test_log_joint_with_weights_equals_the_one_by_hand(name):
    """The first four cells as a minibatch of twelve, and with weights that differ."""
    thetas, index = zoo.thetas(name), np.arange(4)
    site = next(s for s in thetas if "capture" in s)
    batch, u, log_library = thetas | {site: thetas[site][:, :4]}, zoo.COUNTS[:4], zoo.LOG_LIBRARY[:4]
    for weight in (np.full(4, 3.0), np.array([1.0, 7.0, 2.0, 0.5])):
        found = zoo.joint(name, "dense")(batch, zoo.facts().rows(index, weight), {"counts": u})
        np.testing.assert_allclose(found, by_hand(name, batch, u, log_library, weight), rtol=1e-9)


@pytest.mark.parametrize("name", zoo.SPECS)
def test_sites_by_shapes(name):
    spec = zoo.SPECS[name]
    shapes = {(): (1, 1, 1), ("gene",): (1, 1, zoo.N_GENES), ("cell",): (1, zoo.N_CELLS, 1)}
    expected = {f"{p.name}_unconstrained": Site(shapes[p.axes], p.axes) for p in spec.params}
    assert program.sites(spec, zoo.facts()) == expected


@pytest.mark.parametrize("name", ["nbvcp-mean_odds-eta", "zinb-mean_prob", "nbvcp-mean_prob-softplus"])
def test_replay_of_a_draw_gives_its_values(name):
    """And the draw's values are the natural values of its sites."""
    spec = zoo.SPECS[name]

    with handlers.trace() as trace, handlers.seed(rng_seed=4):
        drawn = program.draw(spec, zoo.facts())
    sites = {k: v["value"] for k, v in trace.items() if v["type"] == "sample"}
    replayed = program.replay(spec, zoo.facts(), sites)
    assert set(drawn) == set(replayed) == {p.name for p in spec.params}
    for p in spec.params:
        np.testing.assert_array_equal(replayed[p.name], drawn[p.name])
        theta = np.asarray(sites[f"{p.name}_unconstrained"])
        expected = np.log(WAYS[p.support][0](theta)) if p.support.startswith("positive") else theta
        np.testing.assert_allclose(drawn[p.name], expected, rtol=1e-12, atol=1e-12)
        assert len(np.unique(theta)) == theta.size


def test_replay_under_vmap():
    """Draws on a leading axis, as derived values are made."""
    name = "zinbvcp-mean_prob"
    points = [zoo.thetas(name, seed=s) for s in range(3)]
    stacked = jax.tree.map(lambda *v: jnp.stack(v), *points)
    many = jax.jit(jax.vmap(lambda t: program.replay(zoo.SPECS[name], zoo.facts(), t)))(stacked)
    for k, v in zoo.log_values(name, points[1]).items():
        np.testing.assert_allclose(many[k][1], v, rtol=1e-14)


def test_natural_holds_capture_gate_and_core_apart():
    name = "zinbvcp-mean_odds"
    named = zoo.values(name)
    point = program.natural(zoo.SPECS[name], zoo.log_values(name, zoo.thetas(name)))
    np.testing.assert_allclose(point.core["log_r"], np.log(named["r"]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(point.core["logit_p"], np.log(named["p"] / (1 - named["p"]))[..., :1], rtol=1e-9)
    np.testing.assert_allclose(point.log_nu, np.log(named["p_capture"]), rtol=1e-9)
    np.testing.assert_allclose(expit(point.logit_gate), named["gate"], rtol=1e-9)
    assert point.log_weights is None and point.row is None
    bare = program.natural(zoo.SPECS["nbdm-canonical"], zoo.log_values("nbdm-canonical", zoo.thetas("nbdm-canonical")))
    assert bare.log_nu is None and bare.logit_gate is None


def test_a_parameter_of_each_dataset_reaches_its_cells():
    """r per dataset and gene, a gate per dataset, capture per cell: against scipy, cell by cell."""
    rng, dataset = np.random.default_rng(1), np.array([0, 1, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2])
    r, p = rng.uniform(0.5, 4, (1, 3, zoo.N_GENES)), 0.6
    gate, nu = rng.uniform(0.1, 0.4, (1, 3, 1)), rng.uniform(0.1, 0.9, (1, zoo.N_CELLS, 1))
    core = {"log_r": jnp.asarray(np.log(r)), "logit_p": jnp.full((1, 1, 1), np.log(p / (1 - p)))}
    point = Natural(core, jnp.asarray(np.log(nu)), jnp.asarray(np.log(gate / (1 - gate))), row="dataset")
    facts = Facts({**zoo.SIZES, "dataset": 3}, {"dataset_of_cell": dataset})
    kernel, dense = kernels.load("negative_binomial"), lanes.load()["dense"]
    terms = jax.jit(lambda *args: dense.terms(kernel, *args))(point, facts, {"counts": zoo.COUNTS})
    spec = zoo.SPECS["zinbvcp-canonical"]
    at_cells = {"r": r[:, dataset], "p": p, "gate": gate[:, dataset], "p_capture": nu}
    expected = log_counts(spec, at_cells, zoo.COUNTS).sum()
    np.testing.assert_allclose(sum(terms.values()), expected, rtol=1e-9)


# --- prior families: the density of their sites by hand, and what the pieces mean -------------------------------

GENES = Facts({"gene": 5, "dataset": 3}, {"log_mu_hat": jnp.linspace(-1.0, 1.0, 5)})
NORMAL = Prior("normal", {"loc": 0.2, "scale": 1.3})


def log_of(law):
    """log density of log x, x ~ law."""
    return lambda t: law.logpdf(np.exp(t)) + t


def of(prior, axes=("gene",), support="real"):
    return ModelSpec("negative_binomial", "mean_prob", (ParamSpec("p", "prob", support, axes, prior),))


def prior_density(spec, thetas, facts=GENES):
    model = handlers.seed(lambda: program.draw(spec, facts), jax.random.key(0))
    trace = handlers.trace(handlers.substitute(model, data=thetas)).get_trace()
    return sum(float(v["fn"].log_prob(v["value"]).sum()) for v in trace.values() if v["type"] == "sample")


def random_thetas(spec, seed=0):
    rng = np.random.default_rng(seed)
    return {k: jnp.asarray(rng.normal(0, 0.8, site.shape)) for k, site in program.sites(spec, GENES).items()}


def total(law, theta):
    return law(np.asarray(theta)).sum()


def test_gaussian_hierarchy():
    """sigma = softplus(x), x ~ N(m, s), theta = loc + sigma z."""
    spec = of(Prior("gaussian", {"m": -1.0, "s": 0.5}, "gene", NORMAL))
    t = random_thetas(spec)
    standard = stats.norm.logpdf
    expected = total(stats.norm(0.2, 1.3).logpdf, t["p_loc"]) + total(standard, t["p_gene_z"])
    expected += total(stats.norm(-1.0, 0.5).logpdf, t["p_gene_scale"])
    np.testing.assert_allclose(prior_density(spec, t), expected, rtol=1e-12)
    theta = t["p_loc"] + np.log1p(np.exp(t["p_gene_scale"])) * t["p_gene_z"]
    np.testing.assert_allclose(program.replay(spec, GENES, t)["p"], theta, rtol=1e-12)


def test_horseshoe_hierarchy():
    """scale = tau c lambda / sqrt(c^2 + tau^2 lambda^2); c^2 ~ InvGamma(df/2, df s^2/2)."""
    spec = of(Prior("horseshoe", {"tau0": 0.7, "df": 4.0, "slab": 2.0}, "gene", NORMAL))
    t = random_thetas(spec)
    expected = total(stats.norm(0.2, 1.3).logpdf, t["p_loc"]) + total(stats.norm.logpdf, t["p_gene_z"])
    expected += total(log_of(stats.halfcauchy(scale=0.7)), t["p_gene_tau"])
    expected += total(log_of(stats.halfcauchy()), t["p_gene_lambda"])
    expected += total(log_of(stats.invgamma(2.0, scale=8.0)), t["p_gene_c2"])
    np.testing.assert_allclose(prior_density(spec, t), expected, rtol=1e-12)
    tau, lam, c2 = (np.exp(t[f"p_gene_{piece}"]) for piece in ("tau", "lambda", "c2"))
    theta = t["p_loc"] + tau * np.sqrt(c2) * lam / np.sqrt(c2 + tau**2 * lam**2) * t["p_gene_z"]
    np.testing.assert_allclose(program.replay(spec, GENES, t)["p"], theta, rtol=1e-12)


def test_neg_hierarchy():
    """zeta ~ Gamma(a, rate tau), psi ~ Gamma(u, rate zeta), scale = sqrt(psi)."""
    spec = of(Prior("neg", {"u": 1.5, "a": 0.8, "tau": 2.0}, "gene", NORMAL))
    t = random_thetas(spec)
    expected = total(stats.norm(0.2, 1.3).logpdf, t["p_loc"]) + total(stats.norm.logpdf, t["p_gene_z"])
    expected += total(log_of(stats.gamma(0.8, scale=1 / 2.0)), t["p_gene_zeta"])
    expected += total(log_of(stats.gamma(1.5, scale=np.exp(-t["p_gene_zeta"]))), t["p_gene_psi"])
    np.testing.assert_allclose(prior_density(spec, t), expected, rtol=1e-12)
    theta = t["p_loc"] + np.exp(0.5 * t["p_gene_psi"]) * t["p_gene_z"]
    np.testing.assert_allclose(program.replay(spec, GENES, t)["p"], theta, rtol=1e-12)


def test_neg_scale_has_the_tail_of_the_models():
    """P(scale > t) = 1 / (1 + t^2) with u = a = tau = 1: the law of the square root of psi."""
    genes = Facts({"gene": 4000})
    spec = of(Prior("neg", {"u": 1.0, "a": 1.0, "tau": 1.0}, "gene", NORMAL))
    trace = handlers.trace(handlers.seed(lambda: program.draw(spec, genes), jax.random.key(7))).get_trace()
    scale = np.exp(0.5 * np.ravel(trace["p_gene_psi"]["value"]))
    assert stats.kstest(scale, lambda t: 1 - 1 / (1 + t**2)).pvalue > 1e-3


def test_nested_hierarchy_adds_location_on_location():
    """A gene-level prior is the per-gene location of the dataset-level one."""
    inner = Prior("gaussian", {"m": -1.0, "s": 0.5}, "gene", NORMAL)
    spec = of(Prior("gaussian", {"m": 0.0, "s": 0.5}, "dataset", inner), ("dataset", "gene"))
    t = random_thetas(spec)
    gene = t["p_loc"] + np.log1p(np.exp(t["p_gene_scale"])) * t["p_gene_z"]
    theta = gene + np.log1p(np.exp(t["p_dataset_scale"])) * t["p_dataset_z"]
    np.testing.assert_allclose(program.replay(spec, GENES, t)["p"], theta, rtol=1e-12)


def test_a_prior_reads_the_array_it_names():
    """The mean anchor: log mu_g ~ N(log mu_hat_g, sigma^2)."""
    spec = of(Prior("normal", {"loc": "log_mu_hat", "scale": 0.3}))
    t = random_thetas(spec)
    expected = stats.norm.logpdf(np.ravel(t["p_unconstrained"]), np.linspace(-1, 1, 5), 0.3).sum()
    np.testing.assert_allclose(prior_density(spec, t), expected, rtol=1e-12)


def test_mixing_weights_by_hand():
    """One simplex per dataset; the result sums to one along the component slot."""
    facts = Facts({"component": 3, "dataset": 2})
    spec = of(Prior("dirichlet", {"a": 1.7}), ("component", "dataset"), "simplex")
    theta = np.random.default_rng(0).normal(0, 1, (1, 2, 1, 2))
    w = np.exp(np.concatenate([theta, np.zeros((1, 2, 1, 1))], -1))[0, :, 0]
    w /= w.sum(1, keepdims=True)
    expected = sum(stats.dirichlet.logpdf(row, [1.7] * 3) + np.log(row).sum() for row in w)
    t = {"p_unconstrained": jnp.asarray(theta)}
    np.testing.assert_allclose(prior_density(spec, t, facts), expected, rtol=1e-12)
    np.testing.assert_allclose(np.exp(program.replay(spec, facts, t)["p"]), w.T[:, :, None], rtol=1e-12)


def test_every_family_has_its_density_checked():
    checked = {"normal", "beta", "beta_prime", "library_size", "dirichlet", "gaussian", "horseshoe", "neg"}
    assert set(priors.load()) == checked
