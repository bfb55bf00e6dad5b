"""TensorRT: engines built from exported graphs, their cards, and running them; `tensorrt` and `tensorrt-rtx` alike."""

from depthcue.export.tensorrt.engine import EngineOptions, check_engine_path, making_of, write_engine
from depthcue.export.tensorrt.engine_card import SUFFIX, Making, read_engine_card
from depthcue.export.tensorrt.library import MODULES, choose_library, find_gpu, is_installed, load_library
from depthcue.export.tensorrt.session import EngineSession
from depthcue.export.tensorrt.shapes import Shapes, Span, plan_shapes

__all__ = ["MODULES", "SUFFIX", "EngineOptions", "EngineSession", "Making", "Shapes", "Span", "check_engine_path",
           "choose_library", "find_gpu", "is_installed", "load_library", "making_of", "plan_shapes",
           "read_engine_card", "write_engine"]
