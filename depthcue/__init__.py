"""depthcue: what a monocular depth network looks at, measured.

    masker = depthcue.load("compact-indoor")
    result = masker("room.jpg", keep=0.2)
    result.overlay().save("overlay.png")

`load` and `load_depth` open nets; `compare_edges`, `evaluate`, `findings`, `compare_nets`, `steadiness` and `probe`
measure them; `train_mask` trains a mask net for a network of your own, and `publish` makes a repository folder of it.
Names are loaded when they are first used: importing depthcue loads no torch.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthcue.answers import DepthResult as DepthResult
    from depthcue.answers import MaskResult as MaskResult
    from depthcue.errors import DepthcueError as DepthcueError
    from depthcue.masker import DepthModel as DepthModel
    from depthcue.masker import Masker as Masker
    from depthcue.masker import load as load
    from depthcue.masker import load_depth as load_depth
    from depthcue.measurements import Measurement as Measurement
    from depthcue.measurements import compare_edges as compare_edges
    from depthcue.measurements import compare_nets as compare_nets
    from depthcue.measurements import evaluate as evaluate
    from depthcue.measurements import findings as findings
    from depthcue.measurements import probe as probe
    from depthcue.measurements import steadiness as steadiness
    from depthcue.measurements import train_mask as train_mask
    from depthcue.publishing import publish as publish

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("load", "load_depth", "Masker", "DepthModel"), "masker"),
    **dict.fromkeys(("MaskResult", "DepthResult"), "answers"),
    **dict.fromkeys(("Measurement", "compare_edges", "compare_nets", "evaluate", "findings", "probe", "steadiness",
                     "train_mask"), "measurements"),
    "publish": "publishing", "DepthcueError": "errors",
}
"""The module of each public name."""
__all__ = ["DepthModel", "DepthResult", "DepthcueError", "MaskResult", "Masker", "Measurement", "compare_edges",
           "compare_nets", "evaluate", "findings", "load", "load_depth", "probe", "publish", "steadiness",
           "train_mask"]

REPORTS_OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from 1.29 on of every model
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Settings by which libraries that depthcue uses send no reports home. Each library reads its own once, when it is
imported, so they are made here, before any of a user's imports. A setting that is there already stays; `depthcue
doctor` lists it."""

for _name, _value in REPORTS_OFF.items():
    os.environ.setdefault(_name, _value)
# OpenVINO has no setting; without this package it uses its own stand-in, which does nothing
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
