"""Running mask nets: runners with one contract, the threaded pipeline, and what `depthcue mask` does."""

from depthcue.runtime.mask_job import MaskOptions, mask_sources
from depthcue.runtime.onnx_runner import OnnxRunner
from depthcue.runtime.opening import open_runner
from depthcue.runtime.openvino_runner import OpenVinoRunner
from depthcue.runtime.runner import Runner
from depthcue.runtime.tensorrt_runner import TensorRtRunner
from depthcue.runtime.torch_runner import TorchRunner

__all__ = ["MaskOptions", "OnnxRunner", "OpenVinoRunner", "Runner", "TensorRtRunner", "TorchRunner", "mask_sources",
           "open_runner"]
