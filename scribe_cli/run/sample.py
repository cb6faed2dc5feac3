"""`scribe sample`: draws of a fit's posterior, any number of a guide's, those that chains hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.axes import squeezed
from ..errors import UsageError
from ..io.stored import StoredFit, open_fit
from . import device
from .options import SampleOptions
from .recipe import yaml12
from .terminal.console import Console

if TYPE_CHECKING:  # it imports jax, which the device settings must precede
    from .redraw import Draws

ENTRIES = 2**22  # values of sampled parameters in a block of draws


def sample(asked: SampleOptions, console: Console) -> None:
    """Write the .zarr. Errors: 2, 66 where there is no fit, 73, 74, and 78 for more draws than chains hold."""
    from ..io import samples

    stored = open_fit(asked.fit)
    samples.refuse(asked.output)
    if asked.seed is not None and stored.guide is None:
        raise UsageError("--seed: chains hold draws already, and none are made with it; leave it out")
    chosen = device.start(asked.machine)
    console.tell(chosen)
    from . import redraw

    draws = redraw.Draws.of(stored, asked.seed)
    with console.phase("draws"):
        drawn, numbers = _plan(stored, draws, asked.n)
        saturated = samples.write(asked.output, drawn, _told(_blocks(stored, draws, drawn, numbers), asked.n, console))
    if saturated:
        console.notice(f"values beyond float32, stored at its limits: {saturated:,}")


def _plan(stored: StoredFit, draws: Draws, n: int):
    """(what is written, the numbers of the draws of each chain)."""
    from ..core.model import derive
    from ..io.samples import Drawn

    numbers = draws.by_chain(n)
    per_chain = len(numbers[0])
    lead = {"sample": n} if draws.guide is not None else {"chain": len(numbers), "draw": per_chain}
    values = sum(int(np.prod(squeezed(p.axes, draws.facts.sizes))) for p in stored.spec.params)
    asked_for = yaml12.parse(stored.resolved, str(stored.out)).value["output"]["unconstrained"]
    statistics = {name: v.reshape(-1)[np.asarray(numbers)] for name, v in stored.group("sample_stats").items()}
    return Drawn(
        stored=stored,
        lead=lead,
        parameters=[row for row in derive.reported(stored.spec) if row.stored],
        lifted=stored.spec.params if draws.guide is None or asked_for else (),
        statistics=statistics,
        block=min(per_chain, max(1, ENTRIES // values)),
        seed=draws.seed,
    ), numbers


def _blocks(stored: StoredFit, draws: Draws, drawn, numbers: Sequence[Sequence[int]]) -> Iterator[tuple[tuple, dict, dict]]:
    """Of one compiled shape: what is too much of a last block is drawn and left out."""
    import jax

    from ..core.inference.posterior import squeeze
    from ..core.model import derive, program

    spec = stored.spec
    kept = {row.name: row.axes for row in drawn.parameters}

    def natural(thetas):
        found = derive.values(spec, program.from_thetas(spec, thetas))
        return {name: found[name] for name in kept}

    at_draws = jax.jit(jax.vmap(natural))
    size = drawn.block
    for chain, of_chain in enumerate(numbers):
        for start in range(0, len(of_chain), size):
            part = slice(start, min(start + size, len(of_chain)))
            n = part.stop - start
            thetas, _ = draws.lifted(np.pad(of_chain[part], (0, size - n), "edge"))
            values = {name: squeeze(np.asarray(v)[:n], kept[name]) for name, v in at_draws(thetas).items()}
            lifted = {row.name: squeeze(thetas[row.name][:n], row.axes) for row in drawn.lifted}
            yield (part,) if len(drawn.lead) == 1 else (chain, part), values, lifted


def _told(blocks: Iterator, n: int, console: Console) -> Iterator:
    """The blocks, and how far they are."""
    done = 0
    for block in blocks:
        yield block
        done += block[0][-1].stop - block[0][-1].start
        console.progress(done, n, unit="draw")
