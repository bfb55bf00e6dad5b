"""depthcue: what a monocular depth network looks at, measured."""

import os
import sys

__version__ = "0.1.0"

REPORTS_OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from 1.29 on of every model
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Settings by which libraries that depthcue uses send no reports home. They are made here, and not where those
libraries are imported, for each looks once, as it is imported: a user's own import between the two would be too soon.
Who has set one otherwise is obeyed, and told by `depthcue doctor`."""

for _name, _value in REPORTS_OFF.items():
    os.environ.setdefault(_name, _value)
# OpenVINO knows no setting; without this package it uses its own stand-in, which does nothing
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
