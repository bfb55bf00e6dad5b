"""`hf:REPO_OR_DIR`: depth models of transformers, described by their configuration and image processor.

The colours that a model takes are measured: black and white go through its image processor, whose scale and offset then
are depthcue's, and a rendered room shows that both make the same of a picture. No code of a repository is run, and a
model that cannot be used is refused before its weights are read.

The picture is resized by depthcue, as for every net: to about as many pixels as the processor makes, aspect ratio
kept, both sides multiples of the patches; or to the one size to which the processor stretches. Deviations from the
processors: bilinear with antialiasing instead of bicubic; ZoeDepth's picture is not padded; a processor that leaves
pictures as large as they are gets them about as large as those that the model was trained on.
"""

import json
import logging
import math
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from depthcue import scenes
from depthcue.documents import refuse_placeholder
from depthcue.errors import DepthcueError, first_line, import_extra
from depthcue.nets.base import INVERSE_DEPTH, METRIC_DEPTH, DepthNet, restore_mode
from depthcue.nets.foreign.adapter import RGB, RGB255, ForeignDepthNet, state_sha256, statement
from depthcue.nets.guard import resize

_ROOM_SIZE, _ROAD_SIZE = (480, 640), (352, 1216)
"""Pictures of NYU-v2 and of KITTI, for processors that leave pictures as large as they are."""
_ROOM_M, _ROAD_M = 10.0, 80.0
"""Range of a model trained on either whose configuration says nothing, or nothing right."""
_ALIKE = 0.05
"""Share of a picture's span by which ours may differ from the processor's, averaged over cells of it."""
_CELLS = 8
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")
_WHOLE_ATTENTION = ("beit", "dinov2", "dinov2_with_registers", "dpt")
"""Kinds of transformers in which every token attends to every other, in all layers."""
_REFUSED = {"chmv2": "it measures how high trees are in pictures from above (chmv2), which is no depth"}
"""Families that transformers counts among depth models, and why they cannot be used here."""

log = logging.getLogger(__name__)


def open_net(location: str, given: Mapping[str, str]) -> ForeignDepthNet:
    """A depth model from a folder, or from the hub (downloaded once)."""
    transformers = import_extra("transformers", "a net of hf:", "hf")
    location = _found(location)
    with _without_progress_bar(transformers.utils.logging):
        config = _configuration(transformers, location)
        # the user's own word on the range counts more than a name
        roads = "max_depth_m" not in given and _trained_on_roads(config)
        family = _FAMILIES[config.model_type](config, roads)
        processor = _processor(transformers, location)
        known = _together(_of_processor(processor, roads), family)
        name = location if not Path(location).is_dir() else Path(location).resolve().name
        stated = statement(name, known, None, given)
        model = _model(transformers, location, config)
    net = ForeignDepthNet(_prepared(model, config), stated, architecture=f"hf:{config.model_type}",
                          sha256=state_sha256(model))
    if not {"mean", "std", "takes"} & set(given):
        _compare(net, processor, location, sized="size" in given)
    return net


def _found(location: str) -> str:
    """The folder or the name of the repository; a folder is looked into first, for what can be missing there.

    Raises:
        DepthcueError: no such folder, one without a model, or files that were not downloaded.
    """
    folder = Path(location).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise DepthcueError(f"{location} is a file",
                                "Give the folder that holds it and its config.json: hf:FOLDER.")
        if not _REPOSITORY.fullmatch(location) or location.startswith("."):
            raise DepthcueError(f"there is no folder {location}",
                                "Give a folder with config.json and weights, or OWNER/"
                                "NAME of a depth model on the hub, which needs internet once.")
        return location
    if not (folder / "config.json").is_file():
        raise DepthcueError(f"{location} has no config.json", "Give the folder of a depth model: config.json, "
                            "preprocessor_config.json and model.safetensors.")
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    if not weights:
        raise DepthcueError(f"{location} has a config.json and no weights", "Put model.safetensors beside it.")
    for path in weights:
        refuse_placeholder(path)
    for path in folder.glob("*config.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DepthcueError(f"{path} is not JSON: {error}", "Copy or download it again; where it is a git-lfs "
                                "pointer, run git lfs pull.") from error
    return str(folder)


@contextmanager
def _without_progress_bar(settings: Any) -> Iterator[None]:
    """Switch off the progress bar of transformers, so that stderr of a quiet command stays empty."""
    shown = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            settings.enable_progress_bar()


def _configuration(transformers: Any, location: str) -> Any:
    """The model's configuration, of a family that is known here and in numbers that can be computed with.

    Raises:
        DepthcueError: there is none, it is of no depth model, or of one that cannot be used; says why.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(location, trust_remote_code=False)
    except Exception as error:  # of a damaged configuration, nearly anything
        raise DepthcueError(f"transformers cannot read the configuration of {location}: {first_line(error)}",
                            "Give a folder with config.json and weights, or OWNER/NAME of a depth model on the hub, "
                            "which needs internet once. Code of a repository's own is not run; where it needs some, "
                            "give the model as a Python function.") from error
    if config.model_type not in _FAMILIES:
        why = _REFUSED.get(config.model_type, f"models of the family {config.model_type} are no depth models that are "
                                              "known here")
        raise DepthcueError(f"{location}: {why}", _OTHERWISE)
    if getattr(config, "quantization_config", None) is not None:
        raise DepthcueError(f"{location} holds quantised weights, through which no gradients pass",
                            "Give the model that it was quantised from.")
    # the weights are all in the files: none of a backbone need be fetched first
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False
    _with_own_attention(config)
    return config


def _with_own_attention(config: Any) -> None:
    """No attention code from the hub, which a configuration may name."""
    if getattr(config, "_attn_implementation", None) not in (None, "eager", "sdpa"):
        config._attn_implementation = "eager"
    for part in getattr(config, "sub_configs", None) or {}:
        if (inner := getattr(config, part, None)) is not None:
            _with_own_attention(inner)


def _model(transformers: Any, location: str, config: Any) -> nn.Module:
    """The model with its weights as float32, whatever they are stored in.

    Raises:
        DepthcueError: they cannot be read, are not all there, or are of other shapes.
    """
    try:
        model, report = transformers.AutoModelForDepthEstimation.from_pretrained(
            location, config=config, trust_remote_code=False, output_loading_info=True)
    except pickle.UnpicklingError as error:
        raise DepthcueError(f"the weights of {location} hold more than tensors, or are damaged; nothing was run",
                            "Give model.safetensors, or a pytorch_model.bin with tensors alone.") from error
    except Exception as error:  # of damaged weights, nearly anything
        raise DepthcueError(f"transformers cannot load {location} as a depth model: {first_line(error)}",
                            "Copy or download the model again.") from error
    missing = [key for key in report["missing_keys"] if not key.endswith("num_batches_tracked")]
    if missing or report["mismatched_keys"]:
        wrong = ", ".join([*sorted(missing), *(str(each[0]) for each in report["mismatched_keys"])][:8])
        raise DepthcueError(f"the weights of {location} do not fit its configuration; missing or of other "
                            f"shapes: {wrong}",
                            "They would be filled in by chance. Copy or download the model again.")
    return model.float()


def _prepared(model: nn.Module, config: Any) -> nn.Module:
    """The model as its adapter calls it, where its own code does not hold for batches or answers in other units."""
    if config.model_type == "zoedepth":
        if config.readout_type == "project":
            model.set_submodule("neck.reassemble_stage", _MapByMap(model.get_submodule("neck.reassemble_stage")))
        if len(config.bin_configurations) > 1:
            return _PictureByPicture(model)
    if config.model_type == "depth_pro":
        return _ThroughItsLens(model)
    return model


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


class _ThroughItsLens(nn.Module):
    """A Depth Pro, which predicts inverse depth for one field of view, and the field of view of the picture.

    Inverse metres are the former times width over focal length, that is 2·tan(half of the field of view).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        answer = self.model(pictures)
        per_width = 2 * torch.tan(torch.deg2rad(answer.field_of_view) / 2)
        return {"predicted_depth": answer.predicted_depth * per_width.view(-1, 1, 1)}


@dataclass(frozen=True)
class Attention:
    """Attention weights of every layer of a transformer.

    Attributes:
        layers: (B, heads, T, T) each, from the first; rows are queries, and sum to 1. The last h·w of the T tokens are
            the patches by rows, those before them the summary (CLS) and registers.
        grid: (h, w), how many patches the picture has downwards and across.
    """

    layers: tuple[Tensor, ...]
    grid: tuple[int, int]


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
    """Attention weights of a net's transformer for pictures (B, 3, H, W), without gradients.

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
        # earlier releases of transformers choose the slow form by themselves where weights are to be returned
        yield
        return
    choose("eager")
    try:
        yield
    finally:
        choose(before)


def _processor(transformers: Any, location: str) -> Any:
    try:
        return transformers.AutoImageProcessor.from_pretrained(location, trust_remote_code=False)
    except Exception as error:  # as for the configuration
        raise DepthcueError(f"{location} says nothing about the pictures it takes: {first_line(error)}",
                            "Put the model's preprocessor_config.json beside its config.json.") from error


def _of_processor(processor: Any, roads: bool) -> dict[str, Any]:
    """Colours, working size and multiple, as the model's image processor has them."""
    multiple = lcm(_whole(getattr(processor, "ensure_multiple_of", None)) or 1,
                   _whole(getattr(processor, "size_divisor", None)) or 1)
    size = dict(getattr(processor, "size", None) or {})
    height = size.get("height") or size.get("shortest_edge") or 0
    width = size.get("width") or size.get("shortest_edge") or 0
    known: dict[str, Any] = {"multiple": multiple}
    if height and width and getattr(processor, "do_resize", True):
        stretched = "shortest_edge" not in size and not getattr(processor, "keep_aspect_ratio", False)
        known["fixed"] = stretched
    else:
        height, width = _ROAD_SIZE if roads else _ROOM_SIZE
    # whole multiples, around which no processor lays a frame
    height, width = (max(1, round(side / multiple)) * multiple for side in (height, width))
    return known | {"height": height, "width": width} | _colours(processor, (height, width))


def _together(processor: dict[str, Any], family: dict[str, Any]) -> dict[str, Any]:
    """Join two statements; working sides are multiples of both."""
    known = processor | family | {"output": "predicted_depth", "source": "transformers"}
    if known.get("fixed"):
        return known | {"multiple": 1}
    multiple = lcm(processor["multiple"], family["multiple"])
    height, width = (max(1, round(side / multiple)) * multiple for side in (known["height"], known["width"]))
    return known | {"multiple": multiple, "height": height, "width": width}


def _whole(value: Any) -> int:
    """A processor's multiple as a whole number; ZoeDepth's default has 1/32 for 32."""
    return round(1 / value if 0 < value < 1 else value) if value else 0


def _colours(processor: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Values of black and white after preprocessing, as the mean and deviation that do the same; or the plain
    colours."""
    black, white = (_processed(processor, np.full((*size, 3), value, np.uint8)).double().mean((0, 2, 3))
                    for value in (0, 255))
    gain = white - black
    if not (gain > 0).all():
        raise DepthcueError(f"its image processor ({type(processor).__name__}) makes black and white the same, or "
                            "exchanges them", "Say what the model takes: ,mean=R/G/B,std=R/G/B behind the spec.")
    # a net that takes plain colours still hides pixels under the mean colour: it gets them back from the normalised
    if not black.any() and len(gain.unique()) == 1:
        for takes, white_is in ((RGB, 1.0), (RGB255, 255.0)):
            if math.isclose(float(gain[0]), white_is, rel_tol=1e-5):
                return {"takes": takes}
    # six digits, so that 0.485 as float32 is 0.485 again
    return {"mean": tuple(float(f"{value:.6g}") for value in -black / gain),
            "std": tuple(float(f"{value:.6g}") for value in 1 / gain)}


def _processed(processor: Any, picture: np.ndarray[Any, Any], **options: Any) -> Tensor:
    """A picture (H, W, 3) of 8 bits as the processor gives it to the model, (1, 3, h, w) float32."""
    if getattr(processor, "do_pad", False) and not getattr(processor, "size_divisor", None):
        options["do_pad"] = False  # ZoeDepth's frame of reflections
    return processor(images=Image.fromarray(picture), return_tensors="pt", **options)["pixel_values"].float()


def _compare(net: ForeignDepthNet, processor: Any, location: str, sized: bool) -> None:
    """Show the same room to the processor and to depthcue: what the model gets must be the same.

    Raises:
        DepthcueError: it differs by more than resampling explains.
    """
    description = net.description
    room = scenes.render("indoor", range(1), 120, 160).rgb
    rgb = resize(room, (description.height, description.width)).mul(255).round().clamp(0, 255)
    theirs = _processed(processor, rgb[0].permute(1, 2, 0).byte().numpy(), **({"do_resize": False} if sized else {}))
    ours = net._as_taken(net.normalise(rgb / 255))
    if theirs.shape != ours.shape:
        log.warning("%s: its image processor makes %dx%d of a picture for which depthcue takes %dx%d", location,
                    theirs.shape[3], theirs.shape[2], ours.shape[3], ours.shape[2])
    apart = (F.adaptive_avg_pool2d(theirs, _CELLS) - F.adaptive_avg_pool2d(ours, _CELLS)).abs().max()
    allowed = _ALIKE * (theirs.max() - theirs.min())
    if apart > allowed:
        raise DepthcueError(f"{location} would not get the picture it was made for: its image processor and depthcue "
                            f"differ by up to {float(apart):.3g}, where {float(allowed):.3g} is the most that "
                            "resampling explains", "Does the processor crop or exchange colours? Give the model as a "
                            "Python function that does, or say what it takes behind the spec: ,mean=R/G/B,std=R/G/B.")


def _metric(max_depth_m: float, multiple: int) -> dict[str, Any]:
    return {"predicts": METRIC_DEPTH, "max_depth_m": max_depth_m, "multiple": multiple}


def _trained_on_roads(config: Any) -> bool:
    """Whether a model was trained on KITTI, by its range or its name."""
    if getattr(config, "max_depth", None) == _ROAD_M:
        return True
    parts = Path(config.name_or_path).resolve().parts
    return "kitti" in parts[-3 if parts[-2:-1] == ("snapshots",) else -1].lower()


def _depth_anything(config: Any, roads: bool) -> dict[str, Any]:
    patch = _patch(config.backbone_config, config.patch_size)
    if config.depth_estimation_type == "metric":
        return _metric(config.max_depth, patch)
    return {"predicts": INVERSE_DEPTH, "relative": True, "multiple": patch}


def _prompt_depth_anything(config: Any, roads: bool) -> dict[str, Any]:
    """Without the measured depth that may prompt it, depth up to scale and shift."""
    log.warning("%s was trained with measured depth beside the picture; without it, its depth is relative",
                config.name_or_path)
    return {"predicts": METRIC_DEPTH, "relative": True, "multiple": _patch(config.backbone_config, config.patch_size)}


def _dpt(config: Any, roads: bool) -> dict[str, Any]:
    relative = {"predicts": INVERSE_DEPTH, "relative": True}
    backbone = config.backbone_config
    if backbone is None or config.is_hybrid:
        side = config.image_size
        return relative | {"size": tuple(side) if isinstance(side, list | tuple) else (side, side), "fixed": True,
                           "multiple": 1}
    patch = _patch(backbone, 16)
    if backbone.model_type.startswith("dinov2"):
        # the only such models that are published were trained on depth in metres; their configuration has no range
        return _metric(getattr(config, "max_depth", None) or (_ROAD_M if roads else _ROOM_M), patch)
    return relative | {"multiple": lcm(patch, 32)}


def _zoedepth(config: Any, roads: bool) -> dict[str, Any]:
    return _metric(max(bins["max_depth"] for bins in config.bin_configurations),
                   lcm(_patch(config.backbone_config, 16), 32))


def _glpn(config: Any, roads: bool) -> dict[str, Any]:
    if roads and config.max_depth == _ROOM_M:
        # the published conversion kept the range of rooms, by which the model scales what it predicts
        log.warning("%s says that it was trained on KITTI and sees up to %g m; taken as %g m", config.name_or_path,
                    _ROOM_M, _ROAD_M)
        config.max_depth = int(_ROAD_M)
    return _metric(config.max_depth, 32)


def _tipsv2_dpt(config: Any, roads: bool) -> dict[str, Any]:
    return _metric(config.max_depth, _patch(config.backbone_config, 14))


def _depth_pro(config: Any, roads: bool) -> dict[str, Any]:
    """Depth Pro has no far end; errors are counted up to that of roads."""
    if not config.use_fov_model:
        raise DepthcueError(f"{config.name_or_path} is a Depth Pro without its field-of-view part, whose depth is "
                            "right for one lens alone", f"Save it with use_fov_model=True. {_OTHERWISE}")
    return {"predicts": INVERSE_DEPTH, "max_depth_m": _ROAD_M, "multiple": 1, "fixed": True}


def _patch(backbone: Any, otherwise: int) -> int:
    patch = getattr(backbone, "patch_size", None) or otherwise
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


_FAMILIES: dict[str, Callable[[Any, bool], dict[str, Any]]] = {
    "depth_anything": _depth_anything, "depth_pro": _depth_pro, "dpt": _dpt, "glpn": _glpn,
    "prompt_depth_anything": _prompt_depth_anything, "tipsv2_dpt": _tipsv2_dpt, "zoedepth": _zoedepth,
}
"""Prediction and patch size, by the configuration and by whether the model was trained on roads."""
_OTHERWISE = f"Known: {', '.join(_FAMILIES)}. Any other can be given as a Python function."
