"""depthcue: what a monocular depth network looks at, measured."""

import os

__version__ = "0.1.0"

# ONNX Runtime from 1.29 on sends reports of every model home unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
