"""Result: a fit as a Python object. It delegates to the store and to the commands' functions; it owns no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from ..errors import UsageError
from ..io.part import WHOLE, Part
from ..io.stored import StoredFit
from . import device
from .options import Machine, ScoreOptions
from .recipe import yaml12
from .terminal.console import Console

if TYPE_CHECKING:
    import anndata
    import pandas
    import xarray
    from numpyro.distributions import Distribution

    from ..io.memory import Folder
    from .memory_input import Data


@dataclass(frozen=True, repr=False)
class Result:
    """A finished fit. `result[genes]`, `result.get_component(k)` and `result.get_dataset(d)` are the same fit seen in part.

    Arrays have the axes of the store: component, dataset, then gene or cell, those that a parameter has; of one component
    or dataset they have not that axis, and those that never had it are as they were.
    part: what is seen; folder: where the fit lies if that is to go with the result.
    """

    stored: StoredFit
    part: Part = WHOLE
    folder: Folder | None = None

    def __repr__(self) -> str:
        converged = "converged" if self.metrics["converged"] else "not converged"
        size = f"{len(self.cells):,} cells x {len(self.genes):,} genes"
        seen = "".join(f", {axis} {self.stored.coords[axis][at]}" for axis, at in self.part.picked.items())
        return f"<fit {self.stored.run_id} by {self.stored.method}, {size}{seen}, {converged}>"

    def __getitem__(self, genes: str | Sequence | slice | np.ndarray) -> Result:
        """The fit on some genes: names, positions, a mask or a slice. BadData (65) for a name it has not."""
        seen = self.part.places(GENE, len(self.stored.coords[GENE]))
        key = genes if isinstance(genes, slice) else np.atleast_1d(np.asarray(genes))
        if not isinstance(key, slice) and key.dtype.kind not in "biu":
            return self._on(GENE, self.stored.genes([str(name) for name in key], seen))
        try:
            return self._on(GENE, seen[key])
        except IndexError as error:
            raise UsageError(f"genes: {error}; there are {len(seen):,} genes") from error

    def get_component(self, k: str | int) -> Result:
        """The fit on one component, by its name or its position. Replicate counts are of this component alone."""
        return self._on(COMPONENT, self._place(COMPONENT, k))

    def get_dataset(self, d: str | int) -> Result:
        """The fit on one dataset and its cells, by its name or its position."""
        at = self._place(DATASET, d)
        return self._on(DATASET, at)._on(CELL, self.stored.cells_of(at))

    def _place(self, axis: str, key: str | int) -> int:
        if axis in self.part.picked:
            name = self.stored.coords[axis][self.part.picked[axis]]
            raise UsageError(f'{axis} {key!r}: this is the {axis} "{name}" already; ask the fit itself')
        return self.stored.place(axis, key)

    def _on(self, axis: str, places: np.ndarray | int) -> Result:
        return replace(self, part=Part({**self.part.at, axis: places}))

    @property
    def path(self) -> Path:
        """OUT, where the fit lies."""
        return self.stored.out

    @property
    def genes(self) -> np.ndarray:
        """The names of the genes, as everywhere in the results."""
        return self.part.names(GENE, self.stored.coords)

    @property
    def cells(self) -> np.ndarray:
        """The names of the cells."""
        return self.part.names(CELL, self.stored.coords)

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return self.stored.metrics

    def get_map(self, descriptive_names: bool = False) -> dict[str, np.ndarray]:
        """{parameter: MAP}, float64, sampled and derived parameters."""
        found = {name: self.part.of(self.stored.point(name), self.stored.axes(name)) for name in self.stored.names}
        return self._named(found, descriptive_names)

    def get_distributions(self, descriptive_names: bool = False) -> dict[str, Distribution]:
        """{sampled parameter: its law under the variational posterior}, a numpyro distribution in the natural domain.

        Of a parameter under a hierarchy those of its locations and scales, of which it is made; of mixing weights the
        joint one, with the components last (none on one component). UsageError (2) of chains, whose posterior is draws alone.
        """
        device.start(Machine())
        from . import redraw

        laws = redraw.distributions(self.stored, self.part)
        return self._named(laws, descriptive_names)

    def get_posterior_samples(self, n: int, descriptive_names: bool = False) -> dict[str, np.ndarray]:
        """{parameter: n draws in front of its axes}, sampled and derived parameters.

        Any number of a variational fit, made from its guide and seed; of chains at most as many as are stored.
        """
        device.start(Machine())
        from . import redraw

        variables = redraw.posterior(self.stored, n).variables()
        return self._named({v.name: self.part.of(v.draws, v.axes) for v in variables}, descriptive_names)

    def get_ppc_samples(self, n: int, genes: str | Sequence | None = None) -> np.ndarray:
        """Replicate counts (n, cell, gene), int32: each of the n from a posterior draw of its own.

        On a component: as if every cell were of it; on a dataset: its cells. All of them are in memory: with many cells
        name the genes.
        """
        device.start(Machine())
        from . import redraw

        return redraw.counts(self.stored, n, (self if genes is None else self[genes]).part)

    def log_likelihood(self, adata: Data, by: str = "total") -> float | np.ndarray:
        """The log-likelihood of data at the MAP: "total", by "cell" (cells,) or "gene" (genes,), in the data's order.

        The data are read as those of the fit were (layer, selection); cells are matched by name where the model has
        parameters of each, genes always. On some genes: the sum over these; on a dataset: its cells, by the data's own
        column. UsageError (2) on a component, which is no law of whole data.
        """
        if by not in ("total", "cell", "gene"):
            raise UsageError(f'by = "{by}": it is total, cell or gene')
        if COMPONENT in self.part.picked:
            raise UsageError("log_likelihood: a component alone is no law of whole data; ask the fit, or one of its datasets")
        from . import memory_input, score

        genes = tuple(self.genes) if GENE in self.part.at else None
        console = Console(quiet=True)
        with memory_input.as_paths(adata, console.notice) as paths:
            asked = ScoreOptions(paths, by, fit=self.path, genes=genes, overrides=self._of_dataset())
            scores, _ = score.scored(asked, console)
        return {"total": scores.total, "cell": np.asarray(scores.cell), "gene": np.asarray(scores.gene)}[by]

    def summary(self, descriptive_names: bool = False) -> pandas.DataFrame:
        """Every element of every parameter with its statistics; on some genes those of the genes alone."""
        import pandas

        from .summary import every_row

        table = every_row(self.stored, self.part, descriptive_names)
        return pandas.DataFrame(table.rows, columns=list(table.columns))

    def to_anndata(self, adata: anndata.AnnData | None = None) -> anndata.AnnData:
        """The input with the results added (fit.h5ad), or a copy of `adata` with them, joined by the names.

        On a part: its genes and cells; its component's and its dataset's parameters, and all else as the fit has it.
        """
        from ..io import joined

        found = joined.read(self.stored) if adata is None else adata
        if adata is not None or self.part.picked:
            found = joined.join(self.stored, found, self.part)
        return joined.seen(self.stored, found, self.part) if self.part.at else found

    def to_datatree(self) -> xarray.DataTree:
        """posterior.zarr, loaded. `xarray.open_datatree(OUT / "posterior.zarr", engine="zarr")` reads it lazily."""
        import xarray

        from ..io.schema import STORE

        with xarray.open_datatree(self.path / STORE, engine="zarr") as tree:
            return (tree.isel(self.part.at, missing_dims="ignore") if self.part.at else tree).load()

    def _of_dataset(self) -> dict[str, Any]:
        """Overrides of the fit's recipe that leave the cells of the dataset seen."""
        if DATASET not in self.part.picked:
            return {}
        recipe = yaml12.parse(self.stored.resolved, str(self.path)).value
        label = self.stored.coords[DATASET][self.part.picked[DATASET]]
        return {"data.where": {**recipe["data"]["where"], recipe["dataset_key"]: [label]}}

    def _named(self, found: Mapping[str, Any], descriptive: bool) -> dict[str, Any]:
        return {self.stored.attributes(n)["descriptive_name"] if descriptive else n: v for n, v in found.items()}
