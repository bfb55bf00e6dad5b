"""Running mask nets: runners with one contract, the threaded pipeline, and what `depthcue mask` does."""

from depthcue.backends.onnx_backend import OnnxRunner
from depthcue.backends.openvino_backend import OpenVinoRunner
from depthcue.backends.session import Runner
from depthcue.backends.tensorrt_backend import TensorRtRunner
from depthcue.backends.torch_backend import TorchRunner
from depthcue.runtime.mask_job import mask_sources
from depthcue.runtime.masking import MaskOptions
from depthcue.runtime.opening import open_runner

__all__ = ["MaskOptions", "OnnxRunner", "OpenVinoRunner", "Runner", "TensorRtRunner", "TorchRunner", "mask_sources",
           "open_runner"]
