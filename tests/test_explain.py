"""A model written out: what `recipe explain` says of it."""

from __future__ import annotations

from scribe_cli.core.model.explain import explain, text
from scribe_cli.core.model.resolve import resolve

SPEC = resolve({"model": "zinbvcp", "parameterization": "mean_odds", "priors": {"organism": "human"}})


def test_equations():
    assert explain(SPEC).equations == (
        "u_cg ~ gate_g [u = 0] + (1 - gate_g) negative_binomial(r_g, p_hat_c)",
        "logit p_hat_c = logit p + log nu_c",
        "r_g = mu_g phi",
        "p = 1/(1+phi)",
        "eta_c = -log nu_c",
        "log mu_g ~ normal(loc 0, scale 3)",
        "phi ~ BetaPrime(1, 1)",
        "gate_g ~ Beta(1, 9)",
        "eta_c ~ Normal(12.2061 - log_library_c, 0.3) truncated to >= 0",
    )


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


def test_a_parameter_of_every_gene_takes_its_index_along():
    lines = explain(resolve({"model": "nbvcp", "parameterization": "mean_disp"})).equations
    assert lines[:3] == (
        "u_cg ~ negative_binomial(r_g, p_hat_cg)",
        "logit p_hat_cg = logit p_g + log nu_c",
        "p_g = mu_g/(mu_g+r_g)",
    )


def test_text_is_the_equations_the_table_and_the_lanes():
    shown = text(explain(resolve({"model": "nbdm"})))
    assert shown.splitlines()[0] == "u_cg ~ negative_binomial(r_g, p)"
    assert "\nsite             axes" in shown and "\np_unconstrained  one " in shown
    assert shown.endswith("likelihood: histogram (exact, the cheapest of histogram, dense)\n")
