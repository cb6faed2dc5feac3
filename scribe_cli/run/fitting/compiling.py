"""How many programs a run compiled, and how long tracing and compiling took: jax's own events, counted."""

from __future__ import annotations

from dataclasses import dataclass

COMPILED = "/jax/core/compile/backend_compile_duration"
SECONDS = (COMPILED, "/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration")
FROM_CACHE = "/jax/compilation_cache/cache_hits"


@dataclass
class Compiling:
    """programs: compiled anew, those from the persistent cache not counted; seconds: all of tracing and compiling."""

    programs: int = 0
    seconds: float = 0.0

    def on_duration(self, event: str, duration: float, **_) -> None:
        self.programs += event == COMPILED
        self.seconds += duration if event in SECONDS else 0.0

    def on_event(self, event: str, **_) -> None:
        self.programs -= event == FROM_CACHE


def watched() -> Compiling:
    """A count that goes on from now."""
    from jax import monitoring

    count = Compiling()
    monitoring.register_event_duration_secs_listener(count.on_duration)
    monitoring.register_event_listener(count.on_event)
    return count
