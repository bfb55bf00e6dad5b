"""`hf:REPO_OR_DIR`: depth models of transformers, with what their configuration and image processor say.

The picture is resized by depthcue, as for every net, to about as many pixels as the processor asks for, aspect ratio
kept, both sides multiples of the patches. Deviations from the processors: bilinear with antialiasing instead of
bicubic; ZoeDepth's picture is not padded; DPT on a plain vision transformer takes one size, to which the picture is
stretched, as its processor does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthcue.documents import refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import INVERSE_DEPTH, METRIC_DEPTH, DepthNet, restore_mode
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


@dataclass(frozen=True)
class Attention:
    """What every layer of a transformer attends to.

    Attributes:
        layers: (B, heads, T, T) each, from the first; rows are queries, and sum to 1. The last h·w of the T tokens are
            the patches by rows, those before them the summary (CLS) and registers.
        grid: (h, w), how many patches the picture has downwards and across.
    """

    layers: tuple[Tensor, ...]
    grid: tuple[int, int]


_WHOLE_ATTENTION = ("beit", "dinov2", "dinov2_with_registers", "dpt")
"""Kinds of transformers in which every token attends to every other, in all layers."""


def check_attention(net: DepthNet) -> Any:
    """The transformer within a net whose attention can be read.

    Raises:
        DepthcueError: there is none, or its layers do not attend from all patches to all.
    """
    body = net.body.model if isinstance(net, ForeignDepthNet) and isinstance(net.body, _PictureByPicture) \
        else getattr(net, "body", None)
    family = getattr(getattr(body, "config", None), "model_type", None)
    hint = "It can be read from DPT, Depth Anything and ZoeDepth on plain vision transformers, given as hf:REPO_OR_DIR."
    if family not in _FAMILIES:
        raise DepthcueError(f"{net.description.name} shows no attention of a transformer", hint)
    transformer = getattr(body, "backbone", None) or getattr(body, "dpt", None) or getattr(body, family)
    kind = transformer.config.model_type
    if kind not in _WHOLE_ATTENTION:
        raise DepthcueError(f"the layers of {net.description.name} ({kind}) attend to shrunken maps or to windows, in "
                            "grids that differ: their attention cannot be chained from patch to patch", hint)
    return transformer


def attention_of(net: DepthNet, normalised: Tensor) -> Attention:
    """What the layers of a net's transformer attend to in pictures (B, 3, H, W), without gradients.

    All layers are held at once: of a large net at full size some GB a picture.

    Raises:
        DepthcueError: see `check_attention`.
    """
    transformer = check_attention(net)
    assert isinstance(net, ForeignDepthNet)
    taken = net._as_taken(normalised)
    patch = _patch(transformer.config, 16)
    with torch.no_grad(), restore_mode(transformer), _eager(transformer):
        layers = transformer(taken, output_attentions=True).attentions
    return Attention(tuple(layers), (taken.shape[-2] // patch, taken.shape[-1] // patch))


@contextmanager
def _eager(transformer: Any) -> Iterator[None]:
    """Faster forms of attention never hold its weights."""
    before = transformer.config._attn_implementation
    choose = getattr(transformer, "set_attn_implementation", None)
    if choose is None:
        # earlier releases of transformers turn to the slow form by themselves where the weights are asked for
        yield
        return
    choose("eager")
    try:
        yield
    finally:
        choose(before)


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
