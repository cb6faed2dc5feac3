"""What the report is made of: a stored fit, its arrays read once. Loads no jax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...core.axes import CELL, COMPONENT, DATASET, GENE
from ...io.outputs import Told
from ...io.stored import StoredFit
from ..fitting import misfit
from ..fitting.misfit import Misfit
from ..recipe import yaml12


@dataclass(frozen=True)
class Material:
    """A fit with what its run was told."""

    stored: StoredFit
    told: Told

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return self.stored.metrics

    @cached_property
    def warnings(self) -> dict[str, str]:
        """{name: text} of every warning that metrics.json says is one."""
        raised = (k.removeprefix("warning_") for k, v in self.metrics.items() if k.startswith("warning_") and v)
        return {name: self.told.warnings.get(name, f"{name}: its text is in run.log") for name in raised}

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        return yaml12.parse(self.stored.resolved, "recipe.resolved.yaml").value

    @property
    def model(self) -> str:
        return self.recipe["model"]

    @cached_property
    def genes(self) -> np.ndarray:
        return np.asarray(self.stored.coords[GENE], object)

    @property
    def n_cells(self) -> int:
        return len(self.stored.coords[CELL])

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """{name: (genes,)} of var beside the parameters, `reason` among them."""
        return self.stored.group("gene_columns")

    @cached_property
    def reasons(self) -> list[list[str]]:
        """The reasons of each gene."""
        return [str(text).split(";") if text else [] for text in self.columns["reason"]]

    def has_reason(self, reason: str) -> np.ndarray:
        """(genes,) whether it stands against the gene."""
        return np.array([reason in found for found in self.reasons], bool)

    @property
    def empty(self) -> np.ndarray:
        return self.has_reason("empty")

    @cached_property
    def _ppc(self) -> dict[str, np.ndarray]:
        return self.stored.group("ppc")

    @cached_property
    def datasets(self) -> list[str]:
        """Labels of the datasets whose checks are apart; none where there are none."""
        return list(dict.fromkeys(str(label) for label in self._ppc.get(DATASET, ()) if label))

    def checks(self, label: str = "") -> dict[str, np.ndarray]:
        """{<statistic>_obs|_pred|_q05|_q95|_p: (genes,)} of a dataset, of all cells where it is ""."""
        names = [f"{s}_{end}" for s in misfit.STATISTICS for end in ("obs", "pred", "q05", "q95", "p")]
        rows = _of_all_components(self._ppc, label)
        return {name: self._ppc[name][rows] for name in names}

    def misfit(self, label: str = "") -> Misfit:
        return misfit.of_genes(self.checks(label), self.empty)

    @cached_property
    def histograms(self) -> dict[str, np.ndarray]:
        """Rows of the count histograms of all cells: gene (name), count_from, count_to, obs, pred, q05, q95."""
        found = {k.removeprefix("hist_"): v for k, v in self._ppc.items() if k.startswith("hist_")}
        rows = _of_all_components(found, "")
        return {k: v[rows] for k, v in found.items() if k not in (COMPONENT, DATASET)}

    @cached_property
    def totals(self) -> Mapping[str, np.ndarray]:
        """{total_obs, total_q05, total_q95, total_p: (cells,)}."""
        return {name: self._ppc[name] for name in ("total_obs", "total_q05", "total_q95", "total_p")}


def _of_all_components(columns: Mapping[str, np.ndarray], dataset: str):
    """The rows of a table of checks that are of a dataset's cells, whatever their component."""
    wanted = {axis: name for axis, name in ((COMPONENT, ""), (DATASET, dataset)) if axis in columns}
    return np.all([columns[axis] == name for axis, name in wanted.items()], axis=0) if wanted else slice(None)
