"""TensorRT as far as depthcue knows it, without a GPU: its engines hold their ONNX graph and run it on the CPU.

Three of them: `tensorrt` 10.12, `tensorrt` 11 and `tensorrt-rtx`. Each has only the names that it really has, takes its
memory by address as the real one does, and refuses what the real one refuses: shapes outside of the profile, contexts
used by two threads or changed after a recording, engines of another version or cut short.
"""

import ctypes
import json
import threading
from contextlib import contextmanager
from enum import IntEnum
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import torch

from depthcue.backends.tensorrt_library import Gpu

NAMES = {"10.12.0.36": "tensorrt", "11.4.0.16": "tensorrt", "1.7.1.116": "tensorrt_rtx"}


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class Strategy(IntEnum):
    STATIC = 0
    USER_MANAGED = 2


class ILogger:
    Severity = Severity

    def log(self, severity, message):
        raise NotImplementedError


class IProgressMonitor:
    pass


class Host(bytes):
    """IHostMemory."""


def make_module(version="10.12.0.36", fault=None):
    """A module of this version.

    Args:
        fault: `build` makes every build fail for want of memory, `load` every load, `run` every run.
    """
    rtx = NAMES[version] == "tensorrt_rtx"
    api = SimpleNamespace(
        __version__=version, __name__=NAMES[version], ILogger=ILogger, IProgressMonitor=IProgressMonitor, fault=fault,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=SimpleNamespace(TF32="tf32"), MemoryPoolType=SimpleNamespace(WORKSPACE=0),
        ExecutionContextAllocationStrategy=Strategy, contexts=[])
    if rtx:
        api.ComputeCapability = IntEnum("ComputeCapability", {"NONE": 0, "CURRENT": 1, "SM80": 80, "SM86": 86,
                                                              "SM89": 89, "SM120": 120})
        api.CudaGraphStrategy = IntEnum("CudaGraphStrategy", ["DISABLED", "WHOLE_GRAPH_CAPTURE"])
        api.EngineInvalidityDiagnostics = IntEnum("EngineInvalidityDiagnostics", {"VERSION_MISMATCH": 1,
                                                                                   "MALFORMED_ENGINE": 32})
    api.Builder = lambda log: Builder(api, log)
    api.OnnxParser = lambda network, log: Parser(network, log)
    api.Runtime = lambda log: (RtxRuntime if rtx else Runtime)(api, log)
    return api


class Builder:
    def __init__(self, api, log):
        self.api, self.log = api, log

    def create_network(self, flags):
        assert flags == 1 << 1, "the network is not strongly typed"
        return Network()

    def create_builder_config(self):
        return RtxConfig() if hasattr(self.api, "ComputeCapability") else Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 4)
        for index in range(3):  # the last step is never reported, as in the real one
            monitor.phase_start("inner", "Building engine", 2)
            monitor.step_complete("inner", 0)
            monitor.phase_finish("inner")
            if not monitor.step_complete("Building engine", index):
                return None
        if self.api.fault == "build":
            self.log.log(Severity.ERROR, "Error Code 2: OutOfMemory (Requested size was 279169532 bytes.)")
            self.log.log(Severity.ERROR, "a consequence of it")
            return None
        if getattr(config, "times", None) is not None:
            config.times.content = b"measured"
        header = json.dumps({"version": self.api.__version__, "profile": config.profile.shapes,
                             "bytes": len(network.graph), "workspace": config.workspace, "tf32": config.tf32,
                             "targets": getattr(config, "targets", None)})
        return Host(header.encode() + b"\n" + network.graph)


class Network:
    graph = b""

    def take(self, content):
        self.graph = content
        self.inputs = [each.name for each in onnx.load_from_string(content).graph.input]
        self.num_inputs = len(self.inputs)

    def get_input(self, index):
        return SimpleNamespace(name=self.inputs[index])


class Parser:
    num_errors = 1

    def __init__(self, network, log):
        self.network = network

    def parse_from_file(self, path):
        with open(path, "rb") as stream:
            try:
                self.network.take(stream.read())
            except Exception:
                return False
        return True

    def get_error(self, index):
        return SimpleNamespace(desc=lambda: "Failed to parse the ONNX model.")


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        self.shapes[name] = [least, best, most]


class Config:
    workspace = None
    times = None
    tf32 = True

    def clear_flag(self, flag):
        assert flag == "tf32"
        self.tf32 = False

    def add_optimization_profile(self, profile):
        self.profile = profile
        return 0

    def set_memory_pool_limit(self, pool, limit):
        self.workspace = limit

    def create_timing_cache(self, content):
        return Times(content)

    def set_timing_cache(self, times, ignore_mismatch):
        assert ignore_mismatch is False
        if times.content not in (b"", b"measured"):
            return False
        self.times = times
        return True


class RtxConfig(Config):
    num_compute_capabilities = 0

    def __init__(self):
        self.targets = {}

    def set_compute_capability(self, capability, index):
        assert index < self.num_compute_capabilities
        self.targets[index] = int(capability)
        return True

    def create_timing_cache(self, content):
        raise AssertionError("with a timing cache, RTX no longer builds without a GPU")


class Times:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return Host(self.content)


class Runtime:
    def __init__(self, api, log):
        self.api, self.log = api, log

    def deserialize_cuda_engine(self, content):
        header, _, graph = content.partition(b"\n")
        facts = json.loads(header)
        if self.api.fault == "load":
            self.log.log(Severity.ERROR, "Error Code 2: OutOfMemory")
            return None
        if facts["version"] != self.api.__version__ or len(graph) != facts["bytes"]:
            self.log.log(Severity.ERROR, "Error Code 1: Serialization")
            return None
        engine = Engine(self.api, self.log, facts, graph)
        if hasattr(self.api, "CudaGraphStrategy"):
            engine.create_runtime_config = RuntimeConfig
        return engine


class RtxRuntime(Runtime):
    def get_engine_validity(self, content):
        header, _, graph = content.partition(b"\n")
        facts = json.loads(header)
        return 2, (facts["version"] != self.api.__version__) + 32 * (len(graph) != facts["bytes"])


class RuntimeConfig:
    strategy = cuda_graph_strategy = cache = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return RuntimeCache()

    def set_runtime_cache(self, cache):
        self.cache = cache


class RuntimeCache:
    content = b"compiled"
    read = None

    def deserialize(self, content):
        RuntimeCache.read = content
        return True

    def serialize(self):
        return Host(self.content)


class Engine:
    def __init__(self, api, log, facts, graph):
        self.api, self.log, self.profile = api, log, facts["profile"]
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.names = [each.name for each in (*self.session.get_inputs(), *self.session.get_outputs())]
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, index):
        return self.names[index]

    def create_execution_context(self, how):
        strategy = how.strategy if isinstance(how, RuntimeConfig) else how
        assert strategy == Strategy.USER_MANAGED, "the context takes memory of its own"
        context = Context(self)
        self.api.contexts.append(context)
        return context


class Context:
    def __init__(self, engine):
        self.engine = engine
        self.shapes, self.addresses, self.memory, self.runs, self.output = {}, {}, None, 0, None
        self.busy = threading.Lock()

    def set_input_shape(self, name, shape):
        assert not self.runs, "a recorded context was changed"
        least, _, most = self.engine.profile[name]
        if not all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True)):
            self.engine.log.log(Severity.ERROR, f"{name} {shape} lies outside of the profile")
            return False
        self.shapes[name] = tuple(shape)
        return True

    def infer_shapes(self):
        return [each.name for each in self.engine.session.get_inputs() if each.name not in self.shapes]

    def get_tensor_shape(self, name):
        if self.output is None:
            self.output = self.engine.session.run(None, {each: np.zeros(shape, np.uint8 if each == "frames" else "f4")
                                                         for each, shape in self.shapes.items()})[0].shape
        return self.output

    def update_device_memory_size_for_shapes(self):
        return int(np.prod(self.shapes["frames"]))

    def set_device_memory(self, address, size):
        assert size == self.update_device_memory_size_for_shapes()
        self.memory = address

    def set_tensor_address(self, name, address):
        assert not self.runs, "a recorded context was changed"
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        assert self.memory is not None and stream == HostLane.handle
        assert self.busy.acquire(blocking=False), "two threads use one context"
        try:
            self.runs += 1
            if self.engine.api.fault == "run":
                self.engine.log.log(Severity.ERROR, "Error Code 1: Cuda Runtime (out of memory)")
                return False
            feeds = {name: _at(self.addresses[name], shape, np.uint8 if name == "frames" else np.float32)
                     for name, shape in self.shapes.items()}
            (output,) = self.engine.session.get_outputs()
            _at(self.addresses[output.name], self.get_tensor_shape(output.name), np.float32)[...] = \
                self.engine.session.run(None, feeds)[0]
            return True
        finally:
            self.busy.release()


def _at(address, shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


class HostLane:
    """A `CudaLane` whose device is the host's own memory, of which there may be little."""

    handle = 4711
    limit_bytes = None
    recorded = 0

    def __init__(self, device):
        self.held = 0

    @contextmanager
    def active(self):
        yield

    def host(self, shape, dtype):
        return torch.zeros(tuple(shape), dtype=dtype)

    def device(self, shape, dtype):
        tensor = torch.zeros(tuple(shape), dtype=dtype)
        self.held += tensor.nbytes
        if HostLane.limit_bytes is not None and self.held > HostLane.limit_bytes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return tensor

    def record(self, work):
        HostLane.recorded += 1
        return work

    def wait(self):
        pass


def install(monkeypatch, version="10.12.0.36", gpu="NVIDIA L4", capability="8.9", fault=None):
    """Make `import tensorrt` give the fake, and the GPU one of this name (None: there is none); returns the module."""
    import sys

    api = make_module(version, fault)
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, NAMES[version], api)
    found = install.gpu = Gpu("cuda", gpu, capability)
    monkeypatch.setattr("depthcue.backends.tensorrt_library.is_installed",
                        lambda name: name.replace("-", "_") == NAMES[version])
    if gpu is not None:
        for module in ("export.tensorrt_engine", "backends.tensorrt_backend"):
            monkeypatch.setattr(f"depthcue.{module}.find_gpu", lambda device="cuda": found)
    # not torch's own word for it, by which its exporter goes too
    for module in ("export.tensorrt_engine", "backends.tensorrt_library"):
        monkeypatch.setattr(f"depthcue.{module}.has_gpu", lambda: gpu is not None)
    for module in ("export.tensorrt_engine", "backends.tensorrt_backend"):
        monkeypatch.setattr(f"depthcue.{module}.CudaLane", HostLane)
    monkeypatch.setattr(HostLane, "limit_bytes", None)
    monkeypatch.setattr(HostLane, "recorded", 0)
    return api
