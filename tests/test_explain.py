"""A model written out: what `recipe explain` says of it is the model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scribe_cli.cli.main import main
from scribe_cli.core.model import parameterizations
from scribe_cli.core.model.capture import COORDINATES
from scribe_cli.core.model.derive import NAMES, OF_BNB, REPORTED
from scribe_cli.core.model.explain import explain
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.model.supports import SUPPORTS
from tests import fits

SPEC = resolve({"model": "zinbvcp", "parameterization": "mean_odds", "priors": {"organism": "human"}})

# by hand from MODELS.md 1 to 3: {parameterization: (p and p_hat, its formulas, its priors, those on the real line)}
BY_HAND = {
    "canonical": ("p", "p_hat_c", [], ["log r_g ~ Normal(0, 3)", "p ~ Beta(1, 1)"], ["logit p ~ Normal(0, 1)"]),
    "mean_prob": (
        "p",
        "p_hat_c",
        ["r_g = mu_g (1-p)/p"],
        ["log mu_g ~ Normal(0, 3)", "p ~ Beta(1, 1)"],
        ["logit p ~ Normal(0, 1)"],
    ),
    "mean_odds": (
        "p",
        "p_hat_c",
        ["r_g = mu_g phi", "p = 1/(1+phi)"],
        ["log mu_g ~ Normal(0, 3)", "phi ~ BetaPrime(1, 1)"],
        ["log phi ~ Normal(0, 1)"],
    ),
    "mean_disp": (
        "p_g",
        "p_hat_cg",
        ["p_g = mu_g/(mu_g+r_g)"],
        ["log mu_g ~ Normal(0, 3)", "log r_g ~ Normal(0, 1.5)"],
        ["log r_g ~ Normal(0, 1.5)"],
    ),
}
GATE = ("gate_g ~ Beta(1, 9)", "logit gate_g ~ Normal(-2, 1)")


def by_hand(model: str, parameterization: str, unconstrained: bool) -> list[str]:
    p, p_hat, formulas, (mean, prob), (real,) = BY_HAND[parameterization]
    capture, gated = model.endswith("vcp"), model.startswith("zinb")
    law = f"NB(r_g, {p_hat if capture else p})"
    lines = [f"u_cg ~ gate_g delta_0 + (1 - gate_g) {law}" if gated else f"u_cg ~ {law}"]
    lines += ["NB(u; r, p) = C(u+r-1, u) (1-p)^r p^u"]
    lines += [f"logit {p_hat} = logit {p} + log nu_c"] if capture else []
    lines += formulas
    odds = capture and parameterization == "mean_odds"
    lines += ["phi_nu_c = 1/nu_c - 1"] if odds else []
    lines += [mean, real if unconstrained else prob]
    lines += [GATE[unconstrained]] if gated else []
    return lines + (["phi_nu_c ~ BetaPrime(1, 1)" if odds else "nu_c ~ Beta(1, 1)"] if capture else [])


@pytest.mark.parametrize("unconstrained", [False, True])
@pytest.mark.parametrize("parameterization", BY_HAND)
@pytest.mark.parametrize("model", ["nbdm", "nbvcp", "zinb", "zinbvcp"])
def test_equations_are_those_written_by_hand(model, parameterization, unconstrained):
    spec = resolve({"model": model, "parameterization": parameterization, "unconstrained": unconstrained})
    lines = explain(spec).equations
    assert list(lines) == by_hand(model, parameterization, unconstrained)
    assert max(map(len, lines)) <= 80


def test_informed_capture_is_written_with_its_numbers():
    assert explain(SPEC).equations[-1] == "eta_c ~ Normal(12.2061 - log_library_c, 0.3) truncated to >= 0"
    assert "eta_c = -log nu_c" in explain(SPEC).equations


VALUES = {"mu": 3.0, "phi": 0.4, "p": 0.3, "r": 2.5, "omega": 0.7}
VALUES |= {"b": 1.7, "k_off": 0.9, "s": 1.3, "F": 0.6, "kappa": 2.2, "delta": 0.15, "alpha": 0.4, "beta": 1.9, "r_hat": 5.0}
COORDINATE_OF = {"log_rate": "r_hat"} | {c: c.partition("_")[2] for c in ("log_r", "logit_p", "log_omega", "log_alpha", "log_beta")}
FORMULAS = [
    (f"{m.name} {coordinate}", formula, {n: s for n, _, s in m.samples}, coordinate.partition("_")[0])
    for m in parameterizations.members().values()
    for coordinate, formula in m.natural.items()
]
FORMULAS += [
    (f"{kernel} {name}", formula, {c: "unit" if c == "logit_p" else "positive" for c in formula.inputs}, {"unit": "logit"}.get(support, "log"))
    for kernel, rows in (REPORTED | {"bnb": OF_BNB}).items()
    for name, (support, formula) in rows.items()
]


@pytest.mark.parametrize("formula, supports, scale", [f[1:] for f in FORMULAS], ids=[f[0] for f in FORMULAS])
def test_a_formula_says_what_it_computes(formula, supports, scale):
    """The text as arithmetic, against the function on the log scale."""
    given = {name: VALUES[COORDINATE_OF.get(name) or NAMES[name].symbol] for name in formula.inputs}
    found = formula({name: SUPPORTS[supports[name]].from_value(np.float64(value)) for name, value in given.items()})
    product = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", formula.text)
    said = eval(product, {}, VALUES)
    assert found == pytest.approx(np.log(said / (1 - said)) if scale == "logit" else np.log(said), rel=1e-12)


@pytest.mark.parametrize("name", COORDINATES)
def test_a_capture_coordinate_says_what_it_is(name):
    nu, coordinate = 0.2, COORDINATES[name]
    said = eval(coordinate.text.replace("log nu", "log(nu)"), {"log": np.log}, {"nu": nu})
    assert SUPPORTS[coordinate.support].value(coordinate.from_log_nu(np.log(nu))) == pytest.approx(said, rel=1e-12)


def test_sites_are_those_of_the_program():
    rows = {row.site: row for row in explain(SPEC, {"cell": 5, "gene": 4}).sites}
    assert {name: (row.axes, row.shape) for name, row in rows.items()} == {
        "mu_unconstrained": (("gene",), (4,)),
        "phi_unconstrained": ((), ()),
        "gate_unconstrained": (("gene",), (4,)),
        "eta_capture_unconstrained": (("cell",), (5,)),
    }
    assert rows["gate_unconstrained"].coordinate == "logit gate"
    assert rows["eta_capture_unconstrained"].parameter == "eta_capture"


@pytest.mark.parametrize("data", [False, True])
def test_the_command_shows_the_equations_the_sites_and_the_lanes(capsys, data):
    more = ["--data", "testdata/small.h5ad", "--device", "cpu"] if data else []
    assert main(["recipe", "explain", "nbdm", *more]) == 0
    shown = capsys.readouterr().out.splitlines()
    at = shown.index("")
    assert shown[:2] == ["u_cg ~ NB(r_g, p)", "NB(u; r, p) = C(u+r-1, u) (1-p)^r p^u"]
    table = [re.split(r"  +", line) for line in shown[at + 1 : -3]]
    shapes = [["shape"], ["120"], ["1"]] if data else [[]] * 3
    head, mu, phi = shapes
    assert table == [
        ["sampled", "axes", *head, "coordinate"],
        ["mu_unconstrained", "gene", *mu, "log mu"],
        ["phi_unconstrained", "one", *phi, "log phi"],
    ]
    assert shown[-1] == (
        "inference: the mode by Newton's method, then a mean-field guide from there by L-BFGS on the ELBO of fixed draws; "
        "by Adam if that does not converge, or with svi.n_steps, svi.batch_size or svi.learning_rate"
    )
    assert shown[-2] == "likelihood: histogram, exact (slower ways to the same number: dense)"


def test_with_data_the_sizes_of_components_and_datasets_too(tmp_path, capsys):
    source = fits.h5ad(tmp_path)
    settings = ["n_components=3", "dataset_key=batch", "unconstrained=true", "expression_dataset_prior=gaussian"]
    words = ["recipe", "explain", "nbdm", "--data", str(source.path), "--device", "cpu"]
    assert main([*words, *(w for s in settings for w in ("--set", s))]) == 0
    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert ["mu_dataset_z", "component x dataset x gene", "3 x 2 x 5"] in [row[:3] for row in rows]


@pytest.mark.parametrize(
    "settings, said",
    [
        (["guide.family=laplace"], "its curvature as the guide"),
        (["svi.batch_size=9"], "Adam .*9 cells at a time .svi.batch_size."),
        (["svi.n_steps=9", "svi.learning_rate=0.1"], "then Adam .*.svi.n_steps and svi.learning_rate.$"),
        (["engine=dense"], "or where the data are too large for all cells at once"),
        (["unconstrained=true", "prob_prior=gaussian"], "scales held"),
        (["inference_method=mcmc"], "NUTS from the mode.*whitened by the curvature"),
        (["inference_method=mcmc", "mcmc.svi_init=false"], "NUTS from around the start, with masses tuned"),
        (["inference_method=mcmc", "n_components=2"], "masses tuned in the warm-up .of components"),
        (["inference_method=mcmc", "svi.n_steps=50"], "NUTS from around a mean-field guide .*masses tuned"),
    ],
)
def test_what_the_method_does(settings, said, capsys):
    assert main(["recipe", "explain", "nbdm", *(w for s in settings for w in ("--set", s))]) == 0
    assert re.search(f"^inference: .*{said}", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    "settings, said",
    [
        (["engine=dense"], "dense, exact (engine: dense)"),
        (["svi.batch_size=9"], "dense, exact (svi.batch_size)"),
        (["inference_method=mcmc", "svi.batch_size=9"], "separable, exact"),  # the batches are of the start alone
    ],
)
def test_the_dense_sum_where_it_is_asked_for(settings, said, capsys):
    assert main(["recipe", "explain", "nbvcp", *(w for s in settings for w in ("--set", s))]) == 0
    assert f"likelihood: {said}" in capsys.readouterr().out


def test_a_batch_of_all_cells_is_none(tmp_path, capsys):
    source = fits.h5ad(tmp_path)
    assert main(["recipe", "explain", "nbdm", "--data", str(source.path), "--set", "svi.batch_size=100000"]) == 0
    out = capsys.readouterr().out
    assert "likelihood: histogram, exact" in out and "then Adam on the ELBO" in out and "at a time" not in out
