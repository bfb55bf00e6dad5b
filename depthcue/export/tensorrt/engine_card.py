"""The card beside an engine (`NAME.engine`, `NAME.json`): that of the graph, and what the engine hangs on.

An engine fits one version of the library that built it and, of `tensorrt`, one kind of GPU. Nothing of depthcue's is in
the engine file itself, so that a C++ program can load it as it is; the card says what to feed it, and tells a file
that does not fit from one that does before the library is asked.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from depthcue.errors import DepthcueError
from depthcue.export.tensorrt.library import Gpu, Library
from depthcue.export.tensorrt.shapes import Shapes
from depthcue.nets.checkpoint import card_path
from depthcue.nets.graph_card import Kind, read_graph_card

SUFFIX = ".engine"


@dataclass(frozen=True)
class Making:
    """What an engine was built by, of and for."""

    library: str
    version: str
    gpu: str | None
    """The GPU's name; None for an engine that was built without one."""
    compute_capability: str | None
    targets: tuple[str, ...]
    """Compute capabilities asked for; none: those that the library chooses."""
    graph_sha256: str
    shapes: Shapes
    precision: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Making":
        """What an engine's card says; raises KeyError or TypeError where it says something else."""
        fields = dict(card["engine"])
        return cls(**{**fields, "targets": tuple(fields["targets"]), "shapes": Shapes.from_json(fields["shapes"])})

    def misfits(self, library: Library, gpu: Gpu) -> list[str]:
        """Why the engine cannot run here, in words; empty where it can."""
        reasons = []
        if self.library != library.name:
            reasons.append(f"it was built by {self.library}, not by {library.name}")
        elif self.version != library.version:
            reasons.append(f"it was built by {self.library} {self.version}; {library.version} is here")
        if library.compiles_where_it_runs:
            if self.targets and gpu.capability not in self.targets:
                reasons.append(f"it was built for compute capability {' and '.join(self.targets)}; {gpu.name} has "
                               f"{gpu.capability}")
        elif self.compute_capability != gpu.capability:
            reasons.append(f"it was built on {self.gpu} (compute capability {self.compute_capability}); here is "
                           f"{gpu.name} ({gpu.capability})")
        return reasons

    def tuned_for_another(self, library: Library, gpu: Gpu) -> str | None:
        """A GPU of another name but of the same compute capability, on which the engine runs, if not at its best."""
        if library.compiles_where_it_runs or self.gpu == gpu.name:
            return None
        return f"it was tuned on {self.gpu}; here is {gpu.name}"


def read_engine_card(engine: str | Path, kind: Kind) -> tuple[dict[str, Any], Making]:
    """The card of an engine, after checking that it belongs to this very file and is of the `kind` wanted.

    Raises:
        DepthcueError: no engine, no card, another kind, an engine that is cut short or has changed since.
    """
    card = read_graph_card(engine, kind, "engine")
    try:
        return card, Making.of(card)
    except (KeyError, TypeError) as error:
        raise DepthcueError(f"{card_path(engine)} is not the card of an engine",
                            "Build it again with depthcue export --format tensorrt.") from error
