"""`hf:REPO_OR_DIR`: depth models of transformers, with what their configuration and image processor say.

The picture is resized by depthcue, as for every net, to about as many pixels as the processor asks for, aspect ratio
kept, both sides multiples of the patches. Deviations from the processors: bilinear with antialiasing instead of
bicubic; ZoeDepth's picture is not padded; DPT on a plain vision transformer takes one size, to which the picture is
stretched, as its processor does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import lcm
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthcue.documents import refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import INVERSE_DEPTH, METRIC_DEPTH
from depthcue.nets.foreign.adapter import ForeignDepthNet, state_sha256
from depthcue.nets.foreign.statement import RGB, statement

_GLPN_SIZE = (480, 640)
"""GLPN's processor leaves pictures as large as they are; NYU-v2's, which it was trained on, are of this size."""


def open_net(place: str, asked: Mapping[str, str]) -> ForeignDepthNet:
    """A depth model from a folder, or from the hub (downloaded once)."""
    model, config = _load(place)
    known = _of_processor(place) | _of_family(config) | {"output": "predicted_depth", "source": "transformers"}
    if not known.get("fixed"):
        multiple = known["multiple"]
        known["height"], known["width"] = (max(1, round(side / multiple)) * multiple
                                           for side in (known["height"], known["width"]))
    name = place if not Path(place).is_dir() else Path(place).resolve().name
    sha256 = state_sha256(model)
    if config.model_type == "zoedepth":
        if config.readout_type == "project":
            model.set_submodule("neck.reassemble_stage", _MapByMap(model.get_submodule("neck.reassemble_stage")))
        if len(config.bin_configurations) > 1:
            model = _PictureByPicture(model)
    return ForeignDepthNet(model, statement(name, known, None, asked), architecture=f"hf:{config.model_type}",
                           sha256=sha256)


class _MapByMap(nn.Module):
    """The first stage of ZoeDepth's neck, which gives the backbone's tokens (B, 1 + h·w, C) the shape of maps.

    transformers stacks the maps along the batch and splits them again by its size: a graph traced from that holds for
    one batch size alone. Here the same is done to one after the other.
    """

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self.layers, self.readout_projects = stage.layers, stage.readout_projects

    def forward(self, hidden_states: list[Tensor], height: int, width: int) -> list[Tensor]:
        maps = []
        for states, project, layer in zip(hidden_states, self.readout_projects, self.layers, strict=True):
            summary, patches = states[:, :1], states[:, 1:]
            projected = project(torch.cat([patches, summary.expand_as(patches)], dim=-1))  # (B, h·w, C)
            maps.append(layer(projected.transpose(1, 2).unflatten(2, (height, width))))
        return maps


class _PictureByPicture(nn.Module):
    """A ZoeDepth with a head for rooms and one for roads: the pictures of a batch would vote on one head for all."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return {"predicted_depth": torch.cat([self.model(picture).predicted_depth for picture in pictures.split(1)])}


def _load(place: str) -> tuple[nn.Module, Any]:
    try:
        import transformers
    except ImportError as error:
        raise DepthcueError("hf: nets need transformers, which is not installed",
                            "pip install 'depthcue[hf]'") from error
    for file in Path(place).glob("*.[sb]*") if Path(place).is_dir() else ():
        if file.suffix in (".safetensors", ".bin") and file.is_file():
            refuse_placeholder(file)
    try:
        with _without_progress_bar(transformers.utils.logging):
            config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
            model, report = transformers.AutoModelForDepthEstimation.from_pretrained(
                place, output_loading_info=True, trust_remote_code=False)
    except Exception as error:  # pickle's, safetensors', torch's and the network's own, besides those of transformers
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DepthcueError(f"transformers cannot load {place} as a depth model: {reason}",
                            "Give a folder with config.json and weights, or the name of a depth model on the hub, "
                            "which needs internet once.") from error
    missing = [key for key in report["missing_keys"] if not key.endswith("num_batches_tracked")]
    if missing or report["mismatched_keys"]:
        wrong = ", ".join([*missing, *(str(each[0]) for each in report["mismatched_keys"])][:8])
        raise DepthcueError(f"the weights of {place} do not fit its configuration; missing or of other shapes: {wrong}",
                            "They would be filled in by chance. Copy or download the model again.")
    return model, config


@contextmanager
def _without_progress_bar(settings: Any) -> Iterator[None]:
    """Who wants to see progress has our own; stderr of a quiet command stays empty."""
    shown = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            settings.enable_progress_bar()


def _of_processor(place: str) -> dict[str, Any]:
    """Colours and working size, as the model's image processor has them."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise DepthcueError(f"{place} says nothing about the pictures it takes: {str(error).strip().splitlines()[0]}",
                            "Put the model's preprocessor_config.json beside its config.json.") from error
    # a net that takes plain colours still hides pixels under the mean colour: it gets them back from the normalised
    known: dict[str, Any] = {"takes": RGB}
    if getattr(processor, "do_normalize", False) and processor.image_mean is not None:
        known = {"mean": processor.image_mean, "std": processor.image_std}
    size = dict(getattr(processor, "size", None) or {})
    height = size.get("height") or size.get("shortest_edge") or _GLPN_SIZE[0]
    width = size.get("width") or size.get("shortest_edge") or _GLPN_SIZE[1]
    return known | {"height": int(height), "width": int(width),
                    "multiple": _whole(getattr(processor, "ensure_multiple_of", None))
                    or _whole(getattr(processor, "size_divisor", None)) or 1}


def _whole(value: Any) -> int:
    """A multiple as a processor has it; ZoeDepth's default is 1/32 where 32 is meant."""
    return round(1 / value if 0 < value < 1 else value) if value else 0


def _of_family(config: Any) -> dict[str, Any]:
    """What is predicted, and in what patches, by the family of the model.

    Raises:
        DepthcueError: a family that is not known here.
    """
    if config.model_type not in _FAMILIES:
        raise DepthcueError(f"depth models of the family {config.model_type} are not known here",
                            f"Known: {', '.join(_FAMILIES)}. Any other can be given as a Python function.")
    return _FAMILIES[config.model_type](config)


def _metric(max_depth_m: float, multiple: int) -> dict[str, Any]:
    return {"predicts": METRIC_DEPTH, "max_depth_m": max_depth_m, "multiple": multiple}


def _depth_anything(config: Any) -> dict[str, Any]:
    patch = _patch(config.backbone_config, config.patch_size)
    if config.depth_estimation_type == "metric":
        return _metric(config.max_depth, patch)
    return {"predicts": INVERSE_DEPTH, "relative": True, "multiple": patch}


def _dpt(config: Any) -> dict[str, Any]:
    relative = {"predicts": INVERSE_DEPTH, "relative": True}
    backbone = config.backbone_config
    if backbone is None or config.is_hybrid:
        side = config.image_size
        return relative | {"size": tuple(side) if isinstance(side, list | tuple) else (side, side), "fixed": True,
                           "multiple": 1}
    patch = _patch(backbone, 16)
    if backbone.model_type.startswith("dinov2"):
        return _metric(10.0, patch)  # the only such models that are published were trained on depth in metres
    return relative | {"multiple": lcm(patch, 32)}


def _zoedepth(config: Any) -> dict[str, Any]:
    return _metric(max(bins["max_depth"] for bins in config.bin_configurations),
                   lcm(_patch(config.backbone_config, 16), 32))


def _glpn(config: Any) -> dict[str, Any]:
    return _metric(config.max_depth, 32)


def _patch(backbone: Any, otherwise: int) -> int:
    patch = getattr(backbone, "patch_size", None) or otherwise
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


_FAMILIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "depth_anything": _depth_anything, "dpt": _dpt, "zoedepth": _zoedepth, "glpn": _glpn,
}
