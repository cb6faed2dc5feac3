"""Result: a fit as a Python object. It delegates to the store and to the commands' functions; it owns no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.axes import CELL, GENE, Axes
from ..errors import UsageError
from ..io.stored import StoredFit
from . import device
from .options import Machine, ScoreOptions
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
    """A finished fit. `result[genes]` is the same fit seen on some genes.

    Arrays have the axes of the store: component, dataset, then gene or cell, those that a parameter has.
    at: positions of the genes seen, None for all; folder: where the fit lies if that is to go with the result.
    """

    stored: StoredFit
    at: np.ndarray | None = None
    folder: Folder | None = None

    def __repr__(self) -> str:
        converged = "converged" if self.metrics["converged"] else "not converged"
        size = f"{len(self.cells):,} cells x {len(self.genes):,} genes"
        return f"<fit {self.stored.run_id} by {self.stored.method}, {size}, {converged}>"

    def __getitem__(self, genes: str | Sequence | slice | np.ndarray) -> Result:
        """The fit on some genes: names, positions, a mask or a slice. BadData (65) for a name it has not."""
        seen = np.arange(len(self.stored.coords[GENE])) if self.at is None else self.at
        key = genes if isinstance(genes, slice) else np.atleast_1d(np.asarray(genes))
        if not isinstance(key, slice) and key.dtype.kind not in "biu":
            return replace(self, at=self.stored.genes([str(name) for name in key], seen))
        try:
            return replace(self, at=seen[key])
        except IndexError as error:
            raise UsageError(f"genes: {error}; there are {len(seen):,} genes") from error

    @property
    def path(self) -> Path:
        """OUT, where the fit lies."""
        return self.stored.out

    @property
    def genes(self) -> np.ndarray:
        """The names of the genes, as everywhere in the results."""
        return self._seen(np.asarray(self.stored.coords[GENE], object), (GENE,))

    @property
    def cells(self) -> np.ndarray:
        return np.asarray(self.stored.coords[CELL], object)

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return self.stored.metrics

    def get_map(self, descriptive_names: bool = False) -> dict[str, np.ndarray]:
        """{parameter: MAP}, float64, sampled and derived parameters."""
        found = {name: self._seen(self.stored.point(name), self.stored.axes(name)) for name in self.stored.names}
        return self._named(found, descriptive_names)

    def get_distributions(self, descriptive_names: bool = False) -> dict[str, Distribution]:
        """{sampled parameter: its law under the variational posterior}, a numpyro distribution in the natural domain.

        UsageError (2) of chains, whose posterior is draws alone.
        """
        device.start(Machine())
        from . import redraw

        laws = redraw.distributions(self.stored, self.at)
        return self._named(laws, descriptive_names)

    def get_posterior_samples(self, n: int, descriptive_names: bool = False) -> dict[str, np.ndarray]:
        """{parameter: n draws in front of its axes}, sampled and derived parameters.

        Any number of a variational fit, made from its guide and seed; of chains at most as many as are stored.
        """
        device.start(Machine())
        from . import redraw

        variables = redraw.posterior(self.stored, n).variables()
        return self._named({v.name: self._seen(v.draws, v.axes) for v in variables}, descriptive_names)

    def get_ppc_samples(self, n: int, genes: str | Sequence | None = None) -> np.ndarray:
        """Replicate counts (n, cell, gene), int32: each of the n from a posterior draw of its own.

        All of them are in memory: with many cells name the genes.
        """
        device.start(Machine())
        from . import redraw

        return redraw.counts(self.stored, n, (self if genes is None else self[genes]).at)

    def log_likelihood(self, adata: Data, by: str = "total") -> float | np.ndarray:
        """The log-likelihood of data at the MAP: "total", by "cell" (cells,) or "gene" (genes,), in the data's order.

        The data are read as those of the fit were (layer, selection); cells are matched by name where the model has
        parameters of each, genes always. On some genes: the sum over these.
        """
        if by not in ("total", "cell", "gene"):
            raise UsageError(f'by = "{by}": it is total, cell or gene')
        from . import memory_input, score

        genes = None if self.at is None else tuple(self.genes)
        console = Console(quiet=True)
        with memory_input.as_paths(adata, console.notice) as paths:
            scores, _ = score.scored(ScoreOptions(paths, by, fit=self.path, genes=genes), console)
        return {"total": scores.total, "cell": np.asarray(scores.cell), "gene": np.asarray(scores.gene)}[by]

    def summary(self, descriptive_names: bool = False) -> pandas.DataFrame:
        """Every element of every parameter with its statistics; on some genes those of the genes alone."""
        import pandas

        from .summary import every_row

        table = every_row(self.stored, self.at, descriptive_names)
        return pandas.DataFrame(table.rows, columns=list(table.columns))

    def to_anndata(self, adata: anndata.AnnData | None = None) -> anndata.AnnData:
        """The input with the results added (fit.h5ad), or a copy of `adata` with them, joined by the names."""
        from ..io import joined

        found = joined.read(self.stored) if adata is None else joined.join(self.stored, adata)
        return found if self.at is None else joined.on_genes(self.stored, found, self.at)

    def to_datatree(self) -> xarray.DataTree:
        """posterior.zarr, loaded. `xarray.open_datatree(OUT / "posterior.zarr", engine="zarr")` reads it lazily."""
        import xarray

        from ..io.schema import STORE

        with xarray.open_datatree(self.path / STORE, engine="zarr") as tree:
            return (tree if self.at is None else tree.isel({GENE: self.at}, missing_dims="ignore")).load()

    def _seen(self, values: np.ndarray, axes: Axes) -> np.ndarray:
        """Values, with or without draws in front, on the genes seen."""
        if self.at is None or GENE not in axes:
            return values
        return values.take(self.at, axes.index(GENE) - len(axes))

    def _named(self, found: Mapping[str, Any], descriptive: bool) -> dict[str, Any]:
        return {self.stored.attributes(n)["descriptive_name"] if descriptive else n: v for n, v in found.items()}
