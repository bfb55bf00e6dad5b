"""The front door for Python: `load` gives a `Masker`, `load_depth` a `DepthModel`; both take pictures as they are.

A picture is the path of a file, a PIL image, an array uint8 (H, W, 3) or a float tensor (3, H, W) in 0 to 1, all RGB.
It is brought to the net's working size and normalised here, and results have the picture's own size. `lam` is the
paper's λ, Eq. (4) of Hu, Zhang, Okatani (ICCV 2019).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Union, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from depthcue import imaging
from depthcue.answers import DepthResult, MaskResult
from depthcue.backends.device import pick_device
from depthcue.backends.session import Session
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.frames import Input, find_inputs, open_input
from depthcue.frames.motion import SteadyMaps
from depthcue.frames.pictures import rgb_of
from depthcue.imaging import Map, Rgb, fit_size
from depthcue.nets import (
    DepthNet,
    MaskNet,
    Setting,
    depth_from,
    load_depth_net,
    load_mask_net,
    load_target_of,
    restore_mode,
    whole_depth,
    working_size,
)
from depthcue.nets.catalog import GENERAL, mask_net_for, warn_of_other_target
from depthcue.nets.foreign.adapter import as_depth_net
from depthcue.nets.guard import check_depth_net
from depthcue.nets.released import names_repository
from depthcue.results import CompareEdges
from depthcue.runtime.opening import BACKENDS, open_session
from depthcue.runtime.saving import Cut

PictureLike = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
"""Anything taken as one picture; see `as_rgb`."""
Several = list[Any] | tuple[Any, ...]
"""Several pictures: no other sequence, for a string is one too."""
Network = Union[str, os.PathLike[str], nn.Module, Callable[[Tensor], Any], "DepthModel"]
"""Anything taken as a depth net: a spec, a torch module, a function from pictures to depth, or a `DepthModel`."""

BATCH_SIZE = 8
_OVERSHOOT = 1e-3
"""Distance by which a tensor may leave 0 to 1: antialiased resizing overshoots by rounding."""


def load(name_or_path: str | os.PathLike[str] | MaskNet | None = None, *, device: str = "auto",
         backend: str = "auto", target: Network | None = None) -> "Masker":
    """Load a mask net with the depth net that it explains.

    Args:
        name_or_path: `compact-indoor`, `compact-road`, `fastdepth` or `pydnet-kitti` (with their depth nets as
            `target`), a run folder, a .safetensors or .onnx file, NAME:PATH of a released checkpoint, OWNER/NAME (or
            hub:OWNER/NAME@REVISION) of the Hugging Face hub, or a mask net. None for the one shipped for `target`:
            `general`, whose masks are a first guess, for a network without one; `compact-indoor` without a target.
        device: auto, cpu, cuda, cuda:N or mps.
        backend: what runs the mask net: torch (also auto), onnx, openvino or tensorrt.
        target: the depth net; None for the one that the mask net was trained for, loaded when it is first needed.

    Raises:
        DepthcueError: nothing there, weights that do not fit, no such device or backend, a target that is no depth net.

    Example:
        >>> masker = depthcue.load("compact-indoor", device="cpu")
        >>> round(masker("room.png", keep=0.2).keep, 2)
        0.2
    """
    if backend not in BACKENDS:
        raise must_be_one_of("--backend", BACKENDS, backend)
    if name_or_path is None:
        if isinstance(target, str | os.PathLike):
            name_or_path = mask_net_for(os.fspath(target))
        else:
            name_or_path = mask_net_for(None) if target is None else GENERAL
    return Masker(name_or_path, device=device, backend=backend, target=target)


def load_depth(network: Network, *, device: str | None = None, **description: Any) -> "DepthModel":
    """Load a depth net: one shipped, one of others by its spec, or a torch module or function of your own.

    Args:
        network: a spec (`compact-indoor`, a file, NAME:PATH, hf:REPO_OR_DIR, ultralytics:FILE, hub:REPO:ENTRY,
            python:MODULE:FUNCTION, onnx:FILE), or a module or function that takes pictures (B, 3, H, W) and gives depth
            (B, h, w) or (B, 1, h, w). A module stays in the mode it is in, and is moved to `device`.
        device: auto, cpu, cuda, cuda:N or mps; None for auto, and for a module the device that it is on.
        description: what is known of a network of yours: `predicts` (metric, inverse or disparity), `relative`, `size`
            (height, width), `multiple` of its sides, `takes` (normalised, rgb in 0 to 1, or rgb255), `mean`, `std`,
            `max_depth_m`, `output` (of several), `fixed` (one size alone). A module or function may say the same in an
            attribute `depth_description`.

    Raises:
        DepthcueError: nothing there, or it answers a rendered room with what is no depth map.

    Example:
        >>> depth = depthcue.load_depth("compact-indoor", device="cpu")
        >>> depth("room.png").depth.shape
        (96, 128)
        >>> mine = depthcue.load_depth(lambda rgb: 1 + 5 * rgb.mean(dim=1), predicts="metric", takes="rgb",
        ...                            size=(96, 128))
        >>> mine("room.png").unit
        'm'
    """
    return DepthModel(depth_net_of(network, device, **description))


def as_rgb(picture: PictureLike) -> tuple[Rgb, str]:
    """A picture as uint8 (H, W, 3) RGB, upright, and what to call it.

    Args:
        picture: the path of a file; a PIL image of any mode; an array uint8 (H, W, 3); or a float tensor (3, H, W) in
            0 to 1, on any device.

    Raises:
        DepthcueError: anything else; says what it is, what is taken and, where the mistake can be guessed, the remedy.
    """
    if isinstance(picture, str | os.PathLike):
        inputs = find_inputs([os.fspath(picture)])
        if len(inputs) != 1 or inputs[0].kind != "image":
            what = "a video or a live source" if inputs and inputs[0].kind in ("video", "live") else \
                f"{len(inputs)} pictures" if inputs and inputs[0].kind == "image" else "a sequence of pictures"
            raise DepthcueError(f"{os.fspath(picture)} is {what}; one picture is wanted here",
                                "Give masker.video(PATH) a video, a numbered sequence or a live source, and a list of "
                                "paths for several pictures.")
        with open_input(inputs[0]) as source:
            return next(iter(source)).rgb, inputs[0].path.stem
    if isinstance(picture, Image.Image):
        if min(picture.size) < 1:
            raise DepthcueError(f"a PIL image of {picture.size[0]}x{picture.size[1]} has no pixels", "Give a picture.")
        return rgb_of(picture), Path(getattr(picture, "filename", "") or "picture").stem
    if isinstance(picture, Tensor):
        return _from_tensor(picture), "picture"
    if isinstance(picture, np.ndarray):
        return _from_array(picture), "picture"
    raise DepthcueError(f"a {type(picture).__name__} is no picture", "Give a path, a PIL image, an array uint8 "
                        "(H, W, 3) or a float tensor (3, H, W) in 0 to 1.")


def depth_net_of(network: Network, device: str | torch.device | None = None, **description: Any) -> DepthNet:
    """The depth net of whatever `load_depth` takes, tried out where it is not one of ours.

    Raises:
        DepthcueError: it cannot be loaded, or does not answer with depth.
    """
    if isinstance(network, DepthModel):
        return network.net
    if isinstance(network, str | os.PathLike):
        words = "".join(f",{key}={_word(value)}" for key, value in description.items())
        return load_depth_net(os.fspath(network) + words, pick_device(str(device or "auto")))
    if isinstance(network, type) or not callable(network):
        hint = "Give an instance of it." if isinstance(network, type) else ("Give a spec, a torch module, or a "
                                                                            "function from pictures to depth.")
        raise DepthcueError(f"{network!r} is no depth net", hint)
    name = getattr(network, "__name__", type(network).__name__)
    weights = next(network.parameters(), None) if isinstance(network, nn.Module) else None
    if device is None:
        device = torch.device("cpu") if weights is None else weights.device
    net = as_depth_net(network, name, description)
    net.to(pick_device(str(device)))
    net.known_normalised = True
    with restore_mode(net):
        if not isinstance(network, DepthNet):
            check_depth_net(net, name)
    return net


class Masker:
    """A mask net beside the depth net that it explains; called with a picture, it gives the pixels that matter.

    Attributes:
        name: of the mask net.
        device: on which both nets compute.
        backend: what runs the mask net.
        mask_net, depth_net: the nets themselves, as evaluation and probes take them.
        check: of a mask net from `depthcue.train_mask`, its comparison with edges and chance; None otherwise.

    Example:
        >>> masker = depthcue.load("compact-indoor", device="cpu")
        >>> few, many = masker(["room.png", "room.png"], keep=0.1), masker("room.png", keep=0.5)
        >>> [round(result.keep, 2) for result in (*few, many)]
        [0.1, 0.1, 0.5]
    """

    def __init__(self, weights: str | os.PathLike[str] | MaskNet, *, device: str = "auto", backend: str = "auto",
                 target: Network | None = None) -> None:
        """Arguments as of `load`."""
        spec = "" if isinstance(weights, MaskNet) else os.fspath(weights)
        self._spec = f"hub:{spec}" if names_repository(spec) else spec
        self._device = pick_device(device)
        self.device = str(self._device)
        self.mask_net = (weights if isinstance(weights, MaskNet) else load_mask_net(self._spec)).to(self._device)
        self.name: str = self.mask_net.description.name
        is_graph = self._spec.endswith(".onnx")
        self.backend = "torch" if backend == "auto" and not is_graph else backend
        if isinstance(weights, MaskNet) and self.backend != "torch":
            raise DepthcueError(f"{backend} runs mask nets from files, and a net in memory was given",
                                "Save it, or leave backend out.")
        if is_graph and self.backend == "torch":
            raise DepthcueError(f"{self._spec} is an exported graph; torch cannot run it",
                                "Use backend=\"onnx\", or give the .safetensors it was exported from.")
        if isinstance(target, str | os.PathLike):
            warn_of_other_target(self.mask_net.description, self._spec or self.name, os.fspath(target))
        self._depth = None if target is None else DepthModel(depth_net_of(target, self._device))
        self.check: CompareEdges | None = None
        self._session: Session | None = None
        """Session of a backend other than torch; opened by the first call."""

    def __repr__(self) -> str:
        return f"<depthcue.Masker {self.name} for {self.mask_net.description.target}, {self.backend} on {self.device}>"

    @property
    def depth_model(self) -> "DepthModel":
        """The depth net that is explained, callable.

        Raises:
            DepthcueError: the one that the mask net was trained for cannot be loaded.
        """
        if self._depth is None:
            try:
                net = load_target_of(self.mask_net.description, self._spec or self.name, self._device)
            except DepthcueError as error:
                raise error.within(f"the depth net of {self.name}", "In Python: depthcue.load(..., target=NET).") \
                    from error
            self._depth = DepthModel(net)
        return self._depth

    @property
    def depth_net(self) -> DepthNet:
        """The depth net that is explained, as evaluation and probes take it."""
        return self.depth_model.net

    @overload
    def __call__(self, pictures: PictureLike, keep: float | None = None, *, lam: float | None = None,
                 ) -> MaskResult: ...

    @overload
    def __call__(self, pictures: Several, keep: float | None = None, *, lam: float | None = None,
                 ) -> list[MaskResult]: ...

    def __call__(self, pictures: PictureLike | Several, keep: float | None = None, *,
                 lam: float | None = None) -> MaskResult | list[MaskResult]:
        """Mask a picture, or each of a list.

        Args:
            pictures: see `as_rgb`; of a list, pictures of one size go through the net together.
            keep: share of the pixels to keep, above 0 and below 1; exactly as many are kept. None for the net's own.
            lam: λ of Eq. (4) instead: the larger, the fewer pixels.

        Raises:
            DepthcueError: no picture, a share or λ that the net does not take, or both.
        """
        setting = Setting.of(self.mask_net.description, keep, lam)
        if not isinstance(pictures, list | tuple):
            return self._masked([as_rgb(pictures)], setting)[0]
        read = [as_rgb(picture) for picture in pictures]
        return self._masked(list(zip((rgb for rgb, _ in read), _made_unique([name for _, name in read]), strict=True)),
                            setting)

    def video(self, source: str | os.PathLike[str], keep: float | None = None, *, lam: float | None = None,
              steady: bool = False) -> Iterator[MaskResult]:
        """Mask a video, a numbered sequence or a live source, frame by frame; no more than one frame is held.

        Args:
            source: a video file, frame_%05d.png, camera:0, rtsp://HOST/PATH.
            keep, lam: as in a call.
            steady: whether the masks follow the motion in the video, so that they do not flicker.

        Raises:
            DepthcueError: no such video; steady without OpenCV; after its last whole frame, one that is cut off.

        Example:
            >>> masker = depthcue.load("compact-road", device="cpu")
            >>> [result.index for result in masker.video("drive.mp4", keep=0.2)]
            [0, 1, 2]
        """
        inputs = find_inputs([os.fspath(source)])
        if len(inputs) != 1 or inputs[0].kind == "image":
            raise DepthcueError(f"{os.fspath(source)} is no video", "Give masker(PATH) a picture, and "
                                "masker.video(PATH) a video, a numbered sequence or a live source.")
        setting = Setting.of(self.mask_net.description, keep, lam)
        return self._video(inputs[0], setting, SteadyMaps() if steady else None)

    def close(self) -> None:
        """Free the memory of a backend other than torch; the masker can be used again."""
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def _video(self, source: Input, setting: Setting, steady: SteadyMaps | None) -> Iterator[MaskResult]:
        with open_input(source) as frames:
            for frame in frames:
                result = self._masked([(frame.rgb, f"{source.name}_{frame.name}")], setting, steady)[0]
                result.index, result.time_s = frame.index, None if frame.time is None else float(frame.time)
                yield result

    def _masked(self, pictures: Sequence[tuple[Rgb, str]], setting: Setting,
                steady: SteadyMaps | None = None) -> list[MaskResult]:
        description = self.mask_net.description
        working = description.height, description.width
        small = [imaging.resize_rgb(rgb, *fit_size(rgb.shape[0], rgb.shape[1], working, description.multiple))
                 for rgb, _ in pictures]
        dial = setting.keep if self.mask_net.keeps_shares else setting.lam
        assert dial is not None
        masks: dict[int, Map] = {}
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, each in enumerate(small):
            by_shape.setdefault(each.shape, []).append(index)
        for indices in by_shape.values():
            for start in range(0, len(indices), BATCH_SIZE):
                batch = indices[start:start + BATCH_SIZE]
                masks |= zip(batch, self._masks(np.stack([small[index] for index in batch]), dial), strict=True)
        if steady is not None:
            masks = {index: steady(small[index], mask) for index, mask in sorted(masks.items())}
        cut = Cut() if setting.keep is None else Cut(keep=setting.keep, is_binary=not self.mask_net.keeps_shares)
        return [MaskResult(rgb, name, masks[index], cut, setting.lam, lambda: self.depth_model.metric,
                           partial(self._depths, rgb, masks[index], setting.keep))
                for index, (rgb, name) in enumerate(pictures)]

    def _depths(self, rgb: Rgb, mask: Map, keep: float | None) -> tuple[Map, Map]:
        """Depth of a whole picture and of what a mask (h, w) leaves of it, at a size that both nets can take."""
        description, model = self.mask_net.description, self.depth_model
        both = lcm(description.multiple, model.net.description.multiple)
        size = fit_size(rgb.shape[0], rgb.shape[1], working_size(description, both), both)
        fitted = imaging.resize_map(mask, *size)
        if keep is not None:
            fitted = imaging.top_pixels(fitted, keep).astype(np.float32)
        whole, masked = model.through(rgb, size, fitted)
        assert masked is not None
        return whole, masked

    def _masks(self, frames: NDArray[np.uint8], dial: float) -> NDArray[np.float32]:
        """Masks (B, h, w) of frames uint8 (B, h, w, 3) at the working size."""
        if self.backend == "torch":
            with restore_mode(self.mask_net), torch.inference_mode():
                normalised = self.mask_net.normalise(_to_tensor(frames, self._device))
                dials = torch.full((len(frames),), dial, device=self._device)
                mask: Tensor = self.mask_net(normalised, dials)
                return mask[:, 0].float().cpu().numpy()
        if self._session is None:
            self._session = open_session(self._spec, backend=self.backend, device=self.device, batch_size=BATCH_SIZE,
                                         frames=1).__enter__()
        return self._session.run(frames, dial)


class DepthModel:
    """A depth net; called with a picture, it gives the depth of every pixel.

    Attributes:
        net: the net itself, as evaluation, probes and training take it.
        name: of the net.

    Example:
        >>> model = depthcue.load_depth("compact-indoor", device="cpu")
        >>> whole = model("room.png")
        >>> float(whole.depth.min()) > 0, whole.unit
        (True, 'm')
        >>> half = np.zeros((96, 128), bool)
        >>> half[48:] = True
        >>> model("room.png", mask=half).depth.shape
        (96, 128)
    """

    def __init__(self, net: DepthNet) -> None:
        self.net = net
        self.name = net.description.name

    def __repr__(self) -> str:
        description = self.net.description
        relative = "relative " if description.relative else ""
        return (f"<depthcue.DepthModel {self.name}: {relative}{description.predicts}, "
                f"{description.width}x{description.height}>")

    @property
    def metric(self) -> bool:
        """Whether depths are in metres."""
        return not self.net.description.relative

    @overload
    def __call__(self, pictures: PictureLike, *, mask: NDArray[Any] | None = None) -> DepthResult: ...

    @overload
    def __call__(self, pictures: Several) -> list[DepthResult]: ...

    def __call__(self, pictures: PictureLike | Several, *, mask: NDArray[Any] | None = None,
                 ) -> DepthResult | list[DepthResult]:
        """The depth of a picture, or of each of a list.

        Args:
            pictures: see `as_rgb`.
            mask: pixels of the one picture to keep: bool, or float in 0 to 1, (H, W) as the picture. Hidden pixels show
                the mean colour of the net's training data.

        Raises:
            DepthcueError: no picture, or a mask of another size or with other values.
        """
        if isinstance(pictures, list | tuple):
            if mask is not None:
                raise DepthcueError("a mask was given for a list of pictures", "Call with one picture and its mask.")
            return [self(picture) for picture in pictures]
        rgb, name = as_rgb(pictures)
        size = rgb.shape[0], rgb.shape[1]
        shown = None if mask is None else _checked_mask(mask, size)
        whole, masked = self.through(rgb, self.working_size(size), shown)
        depth = imaging.resize_map(whole if masked is None else masked, *size)
        return DepthResult(rgb, name, depth, self.metric)

    def working_size(self, size: tuple[int, int], multiple: int = 1) -> tuple[int, int]:
        """The (height, width) at which the net sees a picture of (height, width), both multiples of `multiple` too."""
        both = lcm(self.net.description.multiple, multiple)
        return fit_size(*size, working_size(self.net.description, multiple), both)

    def through(self, rgb: Rgb, size: tuple[int, int], mask: Map | None) -> tuple[Map, Map | None]:
        """Depth at a working size of a whole picture uint8 (H, W, 3), and of what a mask (h, w) leaves of it."""
        net = self.net
        device = net.get_buffer("_mean").device
        with restore_mode(net), torch.inference_mode():
            normalised = net.normalise(_to_tensor(imaging.resize_rgb(rgb, *size)[None], device))
            whole, units = whole_depth(net, normalised)
            if mask is None:
                return whole[0, 0].float().cpu().numpy(), None
            fitted = torch.from_numpy(imaging.resize_map(mask, *size)).to(device)[None, None]
            masked = depth_from(net, normalised, fitted, units=units)
        return whole[0, 0].float().cpu().numpy(), masked[0, 0].float().cpu().numpy()


def _made_unique(names: Sequence[str]) -> list[str]:
    """The names, made unique by -2, -3, … at the end, so that no result overwrites the files of another."""
    found: dict[str, None] = {}
    for name in names:
        number, other = 1, name
        while other in found:
            number += 1
            other = f"{name}-{number}"
        found[other] = None
    return list(found)


def _from_array(array: NDArray[Any]) -> Rgb:
    got = f"an array {array.dtype} {array.shape}"
    hint = "Give uint8 (H, W, 3), RGB."
    if array.size == 0:
        raise DepthcueError(f"{got} has no pixels", hint)
    if array.ndim == 2:
        hint += " Grey: np.repeat(grey[..., None], 3, axis=2)."
    elif array.ndim == 4:
        hint += " Several pictures: list(array)."
    elif array.ndim == 3 and array.shape[2] != 3 and array.shape[0] == 3:
        hint += " Channels come last: array.transpose(1, 2, 0)."
    elif array.ndim == 3 and array.shape[2] == 4:
        hint += " Without the fourth channel: array[..., :3]."
    elif array.dtype != np.uint8 and array.dtype.kind == "f":
        hint += " From 0 to 1: (array * 255).round().astype(np.uint8)."
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise DepthcueError(f"{got} is no picture", hint)
    return np.array(array, order="C")  # a copy: depths are computed later, and a loop over a camera fills one buffer


def _from_tensor(tensor: Tensor) -> Rgb:
    shape = tuple(tensor.shape)
    got = f"a tensor {str(tensor.dtype).removeprefix('torch.')} {shape}"
    hint = "Give float (3, H, W) in 0 to 1, RGB."
    if tensor.numel() == 0:
        raise DepthcueError(f"{got} has no pixels", hint)
    if tensor.ndim == 4:
        hint += " Several pictures: list(tensor)."
    elif tensor.ndim == 3 and shape[0] != 3 and shape[2] == 3:
        hint += " Channels come first: tensor.permute(2, 0, 1)."
    elif not tensor.is_floating_point():
        hint += " From 8 bits: tensor.float() / 255."
    if tensor.ndim != 3 or shape[0] != 3 or not tensor.is_floating_point():
        raise DepthcueError(f"{got} is no picture", hint)
    values = tensor.detach().float().cpu()
    if not bool(torch.isfinite(values).all()):
        raise DepthcueError(f"{got} holds NaN or infinity", hint)
    low, high = (float(end) for end in values.aminmax())
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        hint += " It looks normalised: give the picture before that." if low < -_OVERSHOOT else \
            " From 8 bits: tensor / 255." if high > 2 else ""
        raise DepthcueError(f"{got} lies between {low:.3g} and {high:.3g}", hint)
    return (values.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _checked_mask(mask: NDArray[Any], size: tuple[int, int]) -> Map:
    mask = np.asarray(mask)
    if mask.shape != size or mask.dtype.kind not in "bf":
        raise DepthcueError(f"a mask {mask.dtype} {mask.shape} for a picture of {size}",
                            f"Give bool, or float in 0 to 1, {size}.")
    values = mask.astype(np.float32)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise DepthcueError(f"a mask between {values.min():.3g} and {values.max():.3g}", "Give values in 0 to 1.")
    return values


def _to_tensor(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Frames uint8 (B, h, w, 3) as float (B, 3, h, w) in 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 3, 1, 2).float() / 255.0


def _word(value: Any) -> str:
    """A value in the form that it has behind a spec."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return f"{value[1]}x{value[0]}" if len(value) == 2 else "/".join(map(str, value))
    return str(value)
