"""Checks of this machine: everything is tried, because an installed library may still not load."""

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image

import depthcue
from depthcue.backends.onnx_backend import CUDA_PROVIDER as CUDA
from depthcue.backends.onnx_backend import REMEDY as CUDA_REMEDY
from depthcue.backends.onnx_backend import preload_libraries
from depthcue.backends.openvino_backend import has_openvino, own_signal_stack
from depthcue.backends.tensorrt_library import INSTALL, is_installed
from depthcue.errors import DepthcueError, first_line
from depthcue.export.tensorrt_engine import try_library
from depthcue.files import cache_folder, cpu_fact, document
from depthcue.frames import Frame, Input, VideoSink, open_input
from depthcue.frames.pictures import check_nvjpeg, decode_on_gpu
from depthcue.frames.sinks import AUTO, ENCODERS, SOFTWARE, find_encoder
from depthcue.frames.videos import hardware_decoding
from depthcue.imaging import open_picture
from depthcue.nets.catalog import SHIPPED, load_depth_net, load_mask_net, weights_folder
from depthcue.nets.checkpoint import read_card

PACKAGES = ("depthcue", "torch", "torchvision", "numpy", "pillow", "av", "onnx", "onnxscript", "onnxruntime",
            "onnxruntime-gpu", "accelerate", "safetensors", "matplotlib")
ONE_OF = {"onnxruntime", "onnxruntime-gpu"}
EXTRAS = {
    "transformers": ("transformers", "pip install 'depthcue[hf]'"),
    "ultralytics": ("ultralytics", "pip install 'depthcue[ultralytics]', for YOLO26-Depth; it is AGPL"),
    "timm": ("timm", "pip install 'depthcue[backbones]', for hu-senet154"),
    "pillow-heif": ("pillow_heif", "pip install 'depthcue[heif]', for HEIC pictures"),
    "tifffile": ("tifffile", "pip install 'depthcue[tiff]', for kinds of TIFF that cameras and scanners write"),
    "ray": ("ray", "pip install 'depthcue[ray]', for many machines"),
}
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")

Status = Literal["ok", "absent", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was tried."""

    what: str
    status: Status
    """`absent` is something this machine can do without."""
    detail: str
    needed: bool
    """Whether masking pictures and videos needs it."""
    remedy: str | None = None


def examine() -> dict[str, Any]:
    """Try everything; the document has `findings` and `able`, whether the main job can be done here."""
    findings = [*_packages(), _cpu(), _gpu(), *_providers(), _openvino(), *_tensorrt(), *_weights(), _video(),
                *_codecs(), _cache(), *_extras(), _reports()]
    return document("doctor", able=not any(each.needed and each.status == "broken" for each in findings),
                    findings=[asdict(each) for each in findings])


def _packages() -> list[Finding]:
    findings = []
    for name in PACKAGES:
        version = _version(name)
        if version is not None:
            findings.append(Finding(name, "ok", version, needed=True))
        elif name not in ONE_OF or not any(map(_version, ONE_OF)):
            # a source tree runs without having been installed
            findings.append(Finding(name, "absent" if name == "depthcue" else "broken", "not installed",
                                    needed=name != "depthcue", remedy="pip install depthcue"))
    return findings


def _version(name: str) -> str | None:
    """Version of a package as it was installed; None for one that was not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> Finding:
    flags = cpu_fact("flags", "Features").split()
    known = [flag for flag in CPU_FLAGS if flag in flags]
    detail = f"{os.cpu_count()} cores, torch uses {torch.backends.cpu.get_cpu_capability()}"
    return Finding("processor", "ok", detail + (f"; {' '.join(known)}" if known else ""), needed=True)


def _gpu() -> Finding:
    if torch.cuda.is_available():
        return _tried("GPU", _cuda_trial, needed=False,
                      remedy="Update the NVIDIA driver to one that this torch supports.")
    if torch.backends.mps.is_available():
        return Finding("GPU", "ok", "Apple GPU, --device mps", needed=False)
    return Finding("GPU", "absent", "torch sees none", needed=False,
                   remedy="Nothing to do without a GPU; with one, install its driver.")


def _cuda_trial() -> str:
    if (torch.ones(2, device="cuda") + 1).sum().item() != 4:
        raise RuntimeError("it computes wrongly")
    device = torch.cuda.get_device_properties(0)
    return (f"{torch.cuda.device_count()} x {device.name}, {device.total_memory / 2**30:.0f} GiB, compute capability "
            f"{device.major}.{device.minor}, CUDA {torch.version.cuda}")


def _tiny_model() -> bytes:
    """y = max(x, 0), of one number."""
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])], "tiny",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])]),
        opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def _providers() -> list[Finding]:
    onnxruntime.set_default_logger_severity(4)  # else each provider that does not load logs an error
    try:
        return [_tried(f"ONNX Runtime {name}", _provider_trial(name, _tiny_model()),
                       needed=name == "CPUExecutionProvider", optional=name != "CPUExecutionProvider",
                       remedy=_provider_remedy(name))
                for name in onnxruntime.get_available_providers()]
    finally:
        onnxruntime.set_default_logger_severity(2)


def _provider_trial(name: str, model: bytes) -> Callable[[], str]:
    def trial() -> str:
        complaint = preload_libraries() if name == CUDA else ""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[name], enable_fallback=0)
        except Exception as error:
            # its message begins with a source file and the signature of a C++ function
            raise RuntimeError(str(error).rpartition(") ")[2]) from error
        if name not in session.get_providers():
            raise RuntimeError(complaint or "its libraries or its device are not here")
        if session.run(None, {"x": np.array([-1], np.float32)})[0][0] != 0:
            raise RuntimeError("it computes wrongly")
        return "loads and runs"

    return trial


def _provider_remedy(name: str) -> str:
    if name == "CPUExecutionProvider":
        return "pip install --force-reinstall onnxruntime"
    if name.startswith("Tensorrt"):
        return "Needs an NVIDIA GPU and TensorRT 10."
    return f"Needs an NVIDIA GPU; {CUDA_REMEDY}." if name == CUDA else ""


def _openvino() -> Finding:
    remedy = "pip install 'depthcue[openvino]', often the fastest on a CPU"
    if not has_openvino():
        return Finding("openvino", "absent", "not installed", needed=False, remedy=remedy)

    def trial() -> str:
        import openvino

        with own_signal_stack():
            core = openvino.Core()
            request = core.compile_model(core.read_model(_tiny_model()), "CPU").create_infer_request()
        if request.infer([np.array([-1], np.float32)])[0][0] != 0:
            raise RuntimeError("it computes wrongly")
        bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return f"{_version('openvino') or 'installed'} loads and runs, in fp32{' and bf16' if bf16 else ''}"

    return _tried("openvino", trial, needed=False, remedy=remedy)


def _tensorrt() -> list[Finding]:
    return [_tried(name, partial(try_library, name), needed=False, remedy=INSTALL[name]) if is_installed(name)
            else Finding(name, "absent", "not installed", needed=False, remedy=INSTALL[name])
            for name in INSTALL]


def _weights() -> list[Finding]:
    findings = []
    for name in SHIPPED:
        for kind, load in (("depth", load_depth_net), ("mask", load_mask_net)):
            path = weights_folder() / f"{name}-{kind}.safetensors"
            findings.append(_tried(f"weights {name} {kind}", _weights_trial(path, name, load), needed=True,
                                   remedy="Install depthcue again; a wheel carries its weights."))
    return findings


def _weights_trial(path: Path, name: str, load: Callable[[str], torch.nn.Module]) -> Callable[[], str]:
    def trial() -> str:
        if not path.is_file():
            raise RuntimeError(f"not found at {path}")
        if read_card(path)["sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
            raise RuntimeError("the file is not the one its card was written for")
        load(name)
        return f"{path.stat().st_size / 1e6:.1f} MB, as its card says"

    return trial


def _video() -> Finding:
    def trial() -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trial.mp4")
            grey = np.full((48, 64), 128, np.uint8)
            with VideoSink(path, Fraction(25), grey.shape) as sink:
                for index in range(3):
                    sink.write(grey, Frame(np.repeat(grey[..., None], 3, 2), index, None, str(index)))
            with open_input(Input(path, "video", "trial")) as source:
                count = sum(1 for _ in source)
        if count != 3:
            raise RuntimeError(f"wrote 3 frames, read {count}")
        return "H.264 is written and read"

    return _tried("video", trial, needed=True, remedy="pip install --force-reinstall av (from PyPI)")


def _codecs() -> list[Finding]:
    """Codecs that --encoder auto and --decoder gpu would use."""
    def encoding() -> str:
        found = find_encoder(AUTO, (480, 640))
        if found is SOFTWARE:
            raise RuntimeError(f"none of {', '.join(name for name in ENCODERS if name != SOFTWARE.name)} works here")
        return f"{found.name} (--encoder auto)"

    def decoding() -> str:
        hardware_decoding("gpu")
        return "for videos and streams (--decoder gpu)"

    def jpeg() -> str:
        check_nvjpeg()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trial.jpg")
            Image.new("RGB", (64, 48), (200, 0, 0)).save(path)
            with open_picture(path, path) as opened:
                rgb = decode_on_gpu(path, opened)
        if rgb is None or rgb.shape != (48, 64, 3):
            raise RuntimeError("torchvision does not decode on it")
        return "for JPEG files (--decoder gpu)"

    return [_tried(what, trial, needed=False, optional=True, remedy="")
            for what, trial in (("video encoder of a GPU", encoding), ("video decoder of a GPU", decoding),
                                ("JPEG decoder of a GPU", jpeg))]


def _cache() -> Finding:
    def trial() -> str:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        kept = [path for pattern in ("graphs/*.onnx", "engines/*.engine") for path in folder.glob(pattern)]
        size = sum(path.stat().st_size for path in kept)
        return f"{folder} can be written; {len(kept)} graphs and engines, {size / 1e6:.0f} MB"

    return _tried("cache for exported nets", trial, needed=False,
                  remedy="Set XDG_CACHE_HOME to a folder that can be written, or use --backend torch.")


def _extras() -> list[Finding]:
    return [Finding(name, "absent", "not installed", needed=False, remedy=remedy)
            if importlib.util.find_spec(module) is None
            else Finding(name, "ok", _version(name) or "installed", needed=False)
            for name, (module, remedy) in EXTRAS.items()]


def _reports() -> Finding:
    """Whether libraries send reports home."""
    sending = [f"{name}={os.environ.get(name)}" for name, value in depthcue.REPORTS_OFF.items()
               if os.environ.get(name) != value]
    if sys.modules.get("openvino_telemetry") is not None:
        sending.append("openvino_telemetry was imported before depthcue")
    if sending:
        return Finding("reports home", "broken", f"libraries may send some: {', '.join(sending)}", needed=False,
                       remedy="Take these settings away, and import depthcue first.")
    return Finding("reports home", "ok", "nothing is sent: off in ONNX Runtime, OpenVINO, Ray and huggingface_hub",
                   needed=False)


def _tried(what: str, trial: Callable[[], str], *, needed: bool, remedy: str, optional: bool = False) -> Finding:
    """Run a trial; an error that it raises is the finding."""
    try:
        return Finding(what, "ok", trial(), needed)
    except DepthcueError as error:
        reason = error.message
    except Exception as error:  # a broken library may raise anything
        reason = first_line(error)
    return Finding(what, "absent" if optional else "broken", reason[:200], needed, remedy or None)
