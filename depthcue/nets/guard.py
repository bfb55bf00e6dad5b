"""Pictures at a net's working size, depth from whole and masked pictures, and the trial of a depth net of others.

The trial refuses a wrong net before hours go into it. Two small rendered rooms go through it together, together again,
and one alone; then one at the working size. The answer must be a finite map of the picture's shape that is not
constant, has the sign of the quantity that the net predicts, and does not change with the call or with the rest of the
batch (no dropout, no batch statistics).
"""

import logging
from math import lcm
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size
from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription
from depthcue.nets.units import Units, hide, own_units

SMALL = (96, 128)
"""About the size of the small pictures."""
_FLAT = 1e-6
"""Share of the largest value below which a map is the same everywhere."""
_SAME = 1e-3
"""Share of the map's range within which two answers are the same: batches of other sizes sum in another order."""
_ASPECT = 0.2
"""Share by which the aspect ratio of a map may be off, rounded up to whole patches."""

log = logging.getLogger(__name__)


def fit(rgb: Tensor, description: DepthDescription | MaskDescription) -> Tensor:
    """Bring pictures (B, 3, H, W) to a net's working size for their aspect ratio; the same tensor where it fits."""
    working = (description.height, description.width)
    size = fit_size(rgb.shape[2], rgb.shape[3], working=working, multiple=description.multiple)
    return resize(rgb, size)


def working_size(description: DepthDescription | MaskDescription, multiple: int = 1) -> tuple[int, int]:
    """The (height, width) nearest to a net's own that are multiples of `multiple` too, for another net beside it."""
    both = lcm(description.multiple, multiple)
    height, width = (max(round(side / both), 1) * both for side in (description.height, description.width))
    return height, width


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to (height, width), antialiased when it shrinks."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)


def depth_from(net: DepthNet, normalised: Tensor, mask: Tensor | None = None, *, units: Units | None = None,
               shown: Tensor | None = None) -> Tensor:
    """Depth (B, 1, h, w) from a normalised picture, seen through a mask (B, 1, H, W) where one is given.

    In metres; of a relative net in `units`, by default the picture's own, which are those of the whole picture under
    any mask. They cost a pass over the whole picture; `whole_depth` gives them with its depth. A hidden pixel shows
    `shown`, see `units.background`; by default the mean colour (Eq. (2) of Hu et al. 2019).
    """
    if net.description.relative and units is None:
        with torch.no_grad():
            whole, units = whole_depth(net, normalised)
        if mask is None and not torch.is_grad_enabled():
            return whole
    shown_picture = normalised if mask is None else hide(normalised, mask, shown)
    prediction = net(shown_picture)
    return net.to_depth_m(prediction) if units is None else units.to_depth(prediction)


def whole_depth(net: DepthNet, normalised: Tensor) -> tuple[Tensor, Units | None]:
    """Depth of whole pictures (B, 3, H, W), (B, 1, h, w) as `depth_from` gives it, and its units.

    The units are for `depth_from` of the same pictures through masks; None where the net is not relative.
    """
    prediction = net(normalised)
    if not net.description.relative:
        return net.to_depth_m(prediction), None
    units = own_units(net.description, prediction)
    return units.to_depth(prediction), units


def check_depth_net(net: DepthNet, spec: str) -> None:
    """Try a net out, in the mode and on the device it is in; find out whether it passes gradients on.

    Args:
        spec: the user's name for it, for messages.

    Raises:
        DepthcueError: it fails, or gives no depth map of the picture; says what came, and what is expected.
    """
    from depthcue import scenes  # only nets of others are tried out

    device = net.get_buffer("_mean").device
    rooms = scenes.render("indoor", range(2), *SMALL).rgb.to(device)
    small = net.normalise(resize(rooms, _small_size(net)))
    working = net.normalise(fit(rooms[:1], net.description))
    with torch.no_grad():
        pair = _answer(net, small, spec)
        _check_maps(net, pair, small, spec)
        _check_steady(net, small, pair, spec)
        whole = _answer(net, working, spec)
    _check_maps(net, whole, working, spec)
    _check_values(net, whole, spec)
    net.differentiable = net.differentiable and _passes_gradients(net, small[:1])


def _small_size(net: DepthNet) -> tuple[int, int]:
    """A size that is small and not the working size, where the net takes others."""
    multiple = net.description.multiple
    height, width = (max(min(side // multiple * multiple, most), multiple)
                     for side, most in zip(SMALL, (net.description.height, net.description.width), strict=True))
    return height, width


def _answer(net: DepthNet, normalised: Tensor, spec: str) -> Tensor:
    size = tuple(normalised.shape)
    try:
        answer = net(normalised)
    except DepthcueError:
        raise
    except Exception as error:  # code of others may raise anything
        raise DepthcueError(f"{spec} fails on a picture of shape {size}: {type(error).__name__}: {error}",
                            f"It is said to work at {net.description.width}x{net.description.height} and to take any "
                            f"multiple of {net.description.multiple}. Where that is wrong, say it behind the spec: "
                            ",size=WxH,multiple=N or, where it takes one size alone, ,size=WxH,fixed=yes.") from error
    if not isinstance(answer, Tensor) or answer.ndim != 4 or answer.shape[1] != 1 or len(answer) != len(normalised):
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise DepthcueError(f"{spec} answers pictures of shape {size} with {shape}",
                            f"A depth map for each is expected, ({len(normalised)}, 1, h, w).")
    return answer


def _check_maps(net: DepthNet, answer: Tensor, normalised: Tensor, spec: str) -> None:
    height, width = normalised.shape[-2:]
    got_height, got_width = answer.shape[-2:]
    ratio = (got_width / got_height) / (width / height)
    if min(got_height, got_width) < 2 or not (getattr(net, "fixed", False) or abs(ratio - 1) <= _ASPECT):
        turned = " Height and width look exchanged." if abs(ratio * (width / height) ** 2 - 1) <= _ASPECT else ""
        raise DepthcueError(f"{spec} answers a picture of {width}x{height} with a map of {got_width}x{got_height}",
                            f"A map is expected that shows the same view, of any size.{turned} A net that always gives "
                            "one size is said to with ,size=WxH,fixed=yes behind the spec.")
    bad = int((~torch.isfinite(answer)).sum())
    if bad:
        raise DepthcueError(f"{spec} gives NaN or infinity at {bad / answer.numel():.0%} of the pixels of a plain "
                            "picture", "Its weights may be damaged, or computed in too few bits.")


def _check_steady(net: DepthNet, small: Tensor, pair: Tensor, spec: str) -> None:
    span = float(pair.max() - pair.min())
    allowed = max(_SAME * span, _FLAT * float(pair.abs().max()))
    again = float((_answer(net, small, spec) - pair).abs().max())
    if again > allowed:
        raise DepthcueError(f"{spec} answers the same pictures differently each time, by up to {again:.3g} where its "
                            f"maps span {span:.3g}: dropout or other chance is on{_still_training(net)}",
                            "Call .eval() on every part of it, and give F.dropout training=self.training.")
    alone = float((_answer(net, small[:1], spec) - pair[:1]).abs().max())
    if alone > allowed:
        raise DepthcueError(f"{spec} answers a picture differently when another is in its batch, by up to {alone:.3g} "
                            f"where its maps span {span:.3g}: it uses statistics of the batch{_still_training(net)}",
                            "Call .eval() on every part of it, batch normalisation above all.")


def _still_training(net: DepthNet) -> str:
    parts = [f"{name} ({type(module).__name__})" for name, module in net.named_modules() if module.training]
    return f"; still in train mode: {', '.join(parts[:5])}" if parts else ""


def _check_values(net: DepthNet, answer: Tensor, spec: str) -> None:
    description = net.description
    largest = float(answer.abs().max())
    if float(answer.max() - answer.min()) <= _FLAT * largest:
        raise DepthcueError(f"{spec} sees the same everywhere in a rendered room: {float(answer.mean()):.4g}",
                            "Its weights may not be loaded, or its output saturated: is the picture what it takes "
                            "(,takes=normalised, rgb or rgb255 behind the spec)?")
    positive = float((answer > 0).float().mean())
    if not description.relative and positive < 0.5:
        raise DepthcueError(f"{spec} is said to predict {description.predicts}, which is positive, but "
                            f"{1 - positive:.0%} of what it predicts is not (from {float(answer.min()):.3g} to "
                            f"{float(answer.max()):.3g})", "Where it predicts a logarithm or the like, give a function "
                            "that undoes it; where it is right up to scale and shift, say ,relative=yes.")
    if not description.relative:
        typical_m = float(net.to_depth_m(answer).median())
        if not description.max_depth_m / 200 <= typical_m <= 3 * description.max_depth_m:
            log.warning("%s sees a typical depth of %.3g m in a rendered room, and is said to see up to %g m: is what "
                        "it predicts right (%s)?", spec, typical_m, description.max_depth_m, description.predicts)


def _passes_gradients(net: DepthNet, normalised: Tensor) -> bool:
    """Whether autograd connects an answer with the picture."""
    with torch.inference_mode(False), torch.enable_grad():
        picture: Any = normalised.clone().requires_grad_()
        return bool(net(picture).requires_grad)
