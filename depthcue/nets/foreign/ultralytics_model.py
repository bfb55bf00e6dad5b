"""`ultralytics:FILE.pt`: YOLO26-Depth of Ultralytics; `ultralytics:yolo26n-depth.yaml`: the same with random weights.

The model answers with depth in metres, the exponential of a log-depth that two numbers in its head calibrate, at a
quarter of the picture's size; it is brought to the picture's size as their predictor does, corners aligned. Pictures
are stretched to the size it was trained at, in plain colours, as their predictor and their training do as well.

A .pt is a pickle of Python objects. It is read by an unpickler that makes nothing but Ultralytics' and torch's own
modules and plain data; the model is then built again from its description, and takes the tensors alone. Ultralytics is
licensed under the AGPL and imported only for such a spec; it is kept from looking for a network and from installing.
"""

import contextlib
import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from depthcue.documents import parse, refuse_placeholder
from depthcue.errors import DepthcueError, first_line
from depthcue.files import cache_folder
from depthcue.nets.base import METRIC_DEPTH
from depthcue.nets.foreign.adapter import RGB, ForeignDepthNet, state_sha256, statement

_INSTALL = "pip install 'depthcue[ultralytics]' (Ultralytics is licensed under the AGPL)"
_FORM = "ultralytics:FILE.pt, or ultralytics:yolo26n-depth.yaml for random weights"
_SIDE = 640
"""Ultralytics' size where a file does not say its own."""
_MULTIPLE = 32
_MAX_DEPTH_M = 100.0
"""Largest depth at which Ultralytics measures errors by default; the model ends at e⁵ m, before its calibration."""
_QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false", "ULTRALYTICS_SAFE_LOAD": "true",
          "MPLBACKEND": "agg"}
"""Settings that keep the import from resolving host names, installing packages, printing, and evaluating files'
text."""


def open_net(location: str, given: Mapping[str, str]) -> ForeignDepthNet:
    """A depth model from a .pt, or a fresh one from a .yaml."""
    if location.endswith((".yaml", ".yml")):
        model, side = _fresh(location), _SIDE
    else:
        model, side = _read(Path(location).expanduser())
    return ForeignDepthNet(_AtFullSize(model), statement(Path(location).stem, _words(side), None, given),
                           architecture=f"ultralytics:{Path(location).stem}", sha256=state_sha256(model))


def words_of_graph(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Statements of an ONNX graph that Ultralytics exported from such a model; none for any other graph."""
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return {}
    try:
        return _words(parse(metadata.get("imgsz", "")))
    except ValueError:
        return _words(_SIDE)


def _words(side: Any) -> dict[str, Any]:
    """Statements common to all of them, and the size, one number or two, that pictures are stretched to."""
    sides = side if isinstance(side, list | tuple) and len(side) == 2 else (side, side)
    if not all(isinstance(each, int) and 0 < each < 10_000 for each in sides):
        sides = (_SIDE, _SIDE)
    return {"predicts": METRIC_DEPTH, "max_depth_m": _MAX_DEPTH_M, "takes": RGB, "fixed": True, "multiple": 1,
            "size": tuple(-(-each // _MULTIPLE) * _MULTIPLE for each in sides), "licence": "AGPL-3.0",
            "source": "ultralytics"}


class _AtFullSize(nn.Module):
    """Depth (B, 1, H, W) of pictures (B, 3, H, W), from a model that gives a quarter of that size."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        return F.interpolate(self.model(pictures).float(), size=pictures.shape[2:], mode="bilinear", align_corners=True)


def _tasks() -> Any:
    """Ultralytics' module of model classes, imported so that it stays quiet and at home.

    Raises:
        DepthcueError: it is not installed, or too old for depth models or for reading files safely.
    """
    try:
        with _environment({**_QUIET, "YOLO_CONFIG_DIR": str(cache_folder() / "ultralytics")}), _pillow_as_it_is():
            import ultralytics
            from ultralytics.nn import tasks
    except ImportError as error:
        raise DepthcueError(f"ultralytics: nets need ultralytics, which cannot be imported: {error}",
                            _INSTALL) from error
    if not hasattr(tasks, "DepthModel") or "safe_only" not in inspect.signature(tasks.torch_safe_load).parameters:
        raise DepthcueError(f"ultralytics {ultralytics.__version__} has no depth models, or cannot read files safely",
                            f"pip install --upgrade: {_INSTALL}.")
    return tasks


@contextlib.contextmanager
def _pillow_as_it_is() -> Iterator[None]:
    """Undo what the import does to Pillow: its way to open pictures installs packages for those that it cannot read."""
    opened = Image.open
    try:
        yield
    finally:
        Image.open = opened


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _fresh(location: str) -> nn.Module:
    if "://" in location:
        raise DepthcueError(f"{location} is an address", f"Write {_FORM}.")
    tasks = _tasks()
    try:
        description = tasks.yaml_model_load(location)
    except (OSError, ValueError, AttributeError) as error:
        raise DepthcueError(f"Ultralytics knows no model description {location}", f"Write {_FORM}.") from error
    return _built(tasks, description, location)


def _built(tasks: Any, description: Any, location: str) -> nn.Module:
    """The model of a description (what its .yaml says), with random weights that are the same each time.

    Raises:
        DepthcueError: it describes no depth model of pictures in colour.
    """
    head = description.get("head") if isinstance(description, dict) else None
    last = head[-1][2] if isinstance(head, list) and head and isinstance(head[-1], list) and len(head[-1]) > 2 else None
    if last != "Depth" or description.get("channels", 3) != 3:
        raise DepthcueError(f"{location} is no depth model of Ultralytics: its last layer is "
                            f"{last or 'not to be found'}", f"Write {_FORM}.")
    with torch.random.fork_rng(devices=[]), _without_code(tasks):
        torch.manual_seed(0)
        try:
            return tasks.DepthModel(description, verbose=False).float().eval()
        except Exception as error:  # of a description that makes no sense, anything
            raise DepthcueError(f"Ultralytics cannot build {location}: {type(error).__name__}: {error}",
                                "Give a description or a file as Ultralytics made it.") from error


@contextlib.contextmanager
def _without_code(tasks: Any) -> Iterator[None]:
    """Descriptions are parsed and not evaluated, also where Ultralytics was imported before without that setting."""
    before, tasks.SAFE_LOAD = tasks.SAFE_LOAD, True
    try:
        yield
    finally:
        tasks.SAFE_LOAD = before


def _read(path: Path) -> tuple[nn.Module, Any]:
    """The model of a .pt, and the size it was trained at.

    Raises:
        DepthcueError: no such file, one that holds anything but a depth model, or weights that do not fit it.
    """
    if not path.is_file():
        raise DepthcueError(f"there is no file {path}", f"Write {_FORM}; files come from Ultralytics' releases.")
    refuse_placeholder(path)
    if path.suffix != ".pt":
        raise DepthcueError(f"{path} does not end in .pt", f"Write {_FORM}; of an exported graph, onnx:FILE.")
    tasks = _tasks()
    allowed = torch.serialization.get_safe_globals()
    try:
        content, _ = tasks.torch_safe_load(path.resolve(), safe_only=True)  # a bare name may be fetched
    except Exception as error:  # of a damaged or hostile file, anything
        first = first_line(error).encode("ascii", "ignore").decode()
        raise DepthcueError(f"{path} holds more than a model of Ultralytics, or is damaged; nothing in it was run: "
                            f"{first}", "Give the .pt as Ultralytics saves it, or download it again.") from error
    finally:  # it leaves what this file needed allowed for all others
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
    saved = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if not isinstance(saved, nn.Module):
        raise DepthcueError(f"{path} holds no model of Ultralytics", f"Write {_FORM}.")
    model = _built(tasks, getattr(saved, "yaml", None), str(path))
    state = {key: value.float() if value.is_floating_point() else value for key, value in saved.state_dict().items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DepthcueError(f"the weights of {path} do not fit its own description: {str(error).splitlines()[-1]}",
                            "Give the .pt as Ultralytics saves it, not fused nor pruned.") from error
    options = content.get("train_args") or {}
    return model, options.get("imgsz", _SIDE) if isinstance(options, dict) else _SIDE
