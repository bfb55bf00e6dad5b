"""The contract of depth nets N and mask nets G, their descriptions, and building blocks that several nets share."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.errors import DepthcueError, check_one_dial, check_share

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Described = TypeVar("Described", "DepthDescription", "MaskDescription")
METRIC_DEPTH, INVERSE_DEPTH, DISPARITY = "metric depth", "inverse depth", "disparity"
MIN_DEPTH_M = 1e-3


@dataclass(frozen=True)
class DepthDescription:
    """Prediction of a depth net and the form of its picture."""

    name: str
    height: int
    """Working height in pixels: other pictures are brought to about this many pixels, aspect ratio kept."""
    width: int
    multiple: int
    """Height and width of the input must be multiples of this."""
    predicts: str = METRIC_DEPTH
    """`metric depth` (metres), `inverse depth` (1/metres) or `disparity` (fraction of the picture's width)."""
    relative: bool = False
    """Whether its predictions are right only up to scale and shift (see `units`)."""
    shift_unknown: bool = True
    """Whether a relative net has an unknown shift too; False where it is right up to a scale alone."""
    max_depth_m: float = 10.0
    """The range of a net that is not relative."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    licence: str = "unknown"
    source: str = "unknown"
    dial_name: ClassVar[None] = None
    """See `MaskDescription.dial_name`; a depth net takes the picture alone."""

    @property
    def depth_range(self) -> float:
        """The range of `depth_from`, in metres; own units (see `units`) have that of a room, 10."""
        return 10.0 if self.relative else self.max_depth_m


@dataclass(frozen=True)
class MaskDescription:
    """The depth net that a mask net explains, the form of its picture, and its range of shares or λ."""

    name: str
    target: str
    """Spec or name of the depth net it was trained for."""
    height: int
    width: int
    multiple: int
    default_lambda: float
    lambda_range: tuple[float, float] | None = None
    """Range of λ it takes as an input; None where it was trained for `default_lambda` alone, or takes a share."""
    keep_range: tuple[float, float] | None = None
    """Range of the share to keep that it was trained for and takes as an input; None where it takes none."""
    default_keep: float = 0.2
    lambda_at: tuple[tuple[float, float], ...] = ()
    """Pairs of a share, rising, and the λ of Eq. (4) whose best mask keeps it; for a net that takes a share."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    licence: str = "unknown"
    source: str = "unknown"

    @property
    def keeps_shares(self) -> bool:
        """Whether the dial is the share of pixels to keep."""
        return self.keep_range is not None

    @property
    def has_dial(self) -> bool:
        """Whether the net takes a share or λ as an input."""
        return self.keeps_shares or self.lambda_range is not None

    @property
    def dial_name(self) -> Literal["keep", "lambda"] | None:
        """Name in exported graphs of the input beside the picture; None where the net takes the picture alone."""
        if self.keep_range is not None:
            return "keep"
        return None if self.lambda_range is None else "lambda"

    @property
    def dial_range(self) -> tuple[float, float] | None:
        """Range of the dial; None where the net takes none."""
        return self.lambda_range if self.keep_range is None else self.keep_range

    @property
    def default_dial(self) -> float:
        """Its own share, or its own λ."""
        return self.default_lambda if self.keep_range is None else self.default_keep

    def dial_value(self, keep: float | None = None, lam: float | None = None) -> float:
        """Value of the dial for a share or for a λ; the net's own default where both are None.

        A net without shares has one answer for all of them: its mask at its own λ, whose pixels can be ranked.

        Raises:
            DepthcueError: both are given, the share is not between 0 and 1, or λ is outside the net's range.
        """
        check_one_dial(keep, lam)
        if keep is not None:
            check_share(keep, "--keep")
        if not self.keeps_shares:
            return self.check_lambda(lam)
        if lam is not None:
            return self.keep_of(self.check_lambda(lam))
        return self.default_keep if keep is None else keep

    def lambda_of(self, keep: float) -> float | None:
        """The λ of Eq. (4) whose best mask keeps this share; None where the net's card has none."""
        pairs = self.lambda_at
        if not pairs:
            return None
        shares, lambdas = zip(*pairs, strict=True)
        return float(np.exp(np.interp(keep, shares, np.log(lambdas))))

    def keep_of(self, lam: float) -> float:
        """The share that the best mask of a λ within the net's range keeps."""
        shares, lambdas = zip(*self.lambda_at, strict=True)
        return float(np.interp(-np.log(lam), -np.log(lambdas), shares))

    def check_lambda(self, lam: float | None) -> float:
        """The λ to use: `lam`, or the net's own where None.

        Raises:
            DepthcueError: λ is outside what the net was trained for.
        """
        if lam is None:
            return self.default_lambda
        span = self.lambda_range
        if self.keeps_shares:
            if not self.lambda_at:
                raise DepthcueError(f"{self.name} takes a share, and its card does not say which lambda that is",
                                    "Give --keep, such as --keep 0.2.")
            span = (self.lambda_at[-1][1], self.lambda_at[0][1])
        if span is None:
            # "not … <=" refuses NaN too
            if not abs(lam - self.default_lambda) <= 1e-6 * self.default_lambda:
                raise DepthcueError(
                    f"--lambda must be {self.default_lambda:g} for {self.name}, which was trained for it alone, got "
                    f"{lam:g}", "Leave it out, or train a net for it with depthcue train --lambda.")
            return lam
        low, high = span
        if not low <= lam <= high:
            raise DepthcueError(f"--lambda must be between {low:g} and {high:g} for {self.name}, got {lam:g}",
                                "Leave it out for the net's own.")
        return lam

    def check_dial(self, dial: float | None) -> float:
        """The share or λ to set the net to, whichever it takes: `dial`, or its own default where None.

        Raises:
            DepthcueError: the net takes no such share or λ.
        """
        return self.dial_value(keep=dial) if self.keeps_shares else self.check_lambda(dial)


@dataclass(frozen=True)
class Setting:
    """Setting of a mask net: a share to keep, or λ."""

    lam: float | None
    """λ of Eq. (4), given or of the share; None where the card of a net of shares has none."""
    keep: float | None = None
    """The share of pixels that is kept, exactly; None where λ decides how many are."""

    @classmethod
    def of(cls, description: MaskDescription, keep: float | None = None, lam: float | None = None) -> Self:
        """The setting for a share or for λ; for the net's own default where both are None.

        Raises:
            DepthcueError: both are given, or one is outside of what the net takes.
        """
        value = description.dial_value(keep, lam)
        if not description.keeps_shares:
            return cls(value, keep)
        return cls(description.lambda_of(value) if lam is None else lam, value)

    def entry(self) -> dict[str, Any]:
        """The setting for a results document."""
        named = {name: None if value is None else float(f"{value:.6g}")
                 for name, value in (("keep", self.keep), ("lambda", self.lam))}
        return named if self.keep is not None else {"lambda": named["lambda"]}

    def __str__(self) -> str:
        return f"lambda {self.lam:g}" if self.keep is None else f"a share of {self.keep:g}"


def description_from(kind: type[Described], fields: Mapping[str, Any]) -> Described:
    """A description from the checked fields of a card: tuples in place of JSON's lists, without unknown fields."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{key: _tuples(value) for key, value in fields.items() if key in known})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


_DULL = 0.25
"""Range that a normalised picture without values below 0 hardly exceeds within 0 to 1."""
_HIDDEN = 0.1
"""Share of values that are 0 from which a picture may have been hidden in part."""


class _PictureNet(nn.Module):
    """A net that takes a normalised picture and carries its card."""

    _mean: Tensor
    _std: Tensor
    config: dict[str, Any]
    """Keyword arguments that, with the description, build the same architecture again."""

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        # not among the weights: the card states them
        self.register_buffer("_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.card: dict[str, Any] = {}
        self.config = {}
        self.graph_file: Path | None = None
        """File of an exported graph, with its card beside it; None for a net that is none."""
        self.known_normalised = False
        """Whether its pictures are known to be normalised; set by its own `normalise`, or by the calling code."""
        self._warned = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, after a check of the picture.

        The shape is checked at every call. Values tell whether the picture was normalised, in eval mode: values of 0
        to 255 are refused on a CPU at every call. Values that all lie in 0 to 1 and span more than 0.25 are refused in
        the first call, where `normalise` of this net was not used; later they give a warning, once, unless many are 0,
        as hidden pixels are. A picture in 0 to 1 that spans less passes: a normalised one of a dull wall looks so too.

        Raises:
            DepthcueError: no (B, 3, H, W) of real numbers, a side that is no multiple of the description's, or a
                picture that was not normalised.
        """
        if args and isinstance(args[0], Tensor) and not torch.compiler.is_compiling():
            self._check(args[0])
        return super().__call__(*args, **kwargs)

    def normalise(self, rgb: Tensor) -> Tensor:
        """z-score a picture (B, 3, H, W), RGB in [0, 1], with the mean and deviation of the description.

        Raises:
            DepthcueError: the picture is of whole numbers.
        """
        if not rgb.is_floating_point():
            raise DepthcueError(f"normalise takes real numbers in 0 to 1, got {str(rgb.dtype).removeprefix('torch.')}",
                                "Divide 8-bit pictures by 255: rgb.float() / 255.")
        if not (self.known_normalised or torch.compiler.is_compiling()):
            self.known_normalised = True
        return (rgb - self._mean) / self._std

    def _check(self, picture: Tensor) -> None:
        if picture.is_meta:  # a trial of shapes, without values
            return
        description: DepthDescription | MaskDescription = self.__dict__["description"]
        name, multiple = description.name, description.multiple
        hint = ("depthcue.load and depthcue.load_depth take pictures as they are. By hand: "
                "net(net.normalise(rgb)) with rgb (B, 3, H, W) in 0 to 1, both sides multiples of "
                f"{multiple} (depthcue.nets.fit brings it there).")
        if picture.ndim != 4 or picture.shape[1] != 3 or not picture.is_floating_point():
            raise DepthcueError(f"{name} takes normalised pictures (B, 3, H, W) of real numbers, got "
                                f"{str(picture.dtype).removeprefix('torch.')} {tuple(picture.shape)}", hint)
        height, width = picture.shape[-2:]
        if min(height, width) < 1 or height % multiple or width % multiple:
            raise DepthcueError(f"{name} takes pictures whose sides are multiples of {multiple}, got {width}x{height}",
                                hint)
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
        if self.training or tracing or (self.known_normalised and picture.device.type != "cpu"):
            return
        low, high = (float(end) for end in picture.detach().aminmax())
        plain = description.mean == (0.0, 0.0, 0.0)  # then pictures in 0 to 1 may be normalised ones
        looks_plain = not plain and low >= 0 and high <= 1 and high - low > _DULL
        message = (f"{name} takes normalised pictures; this one has values from {low:.3g} to {high:.3g} and looks "
                   "unnormalised")
        if high > 10 / min(description.std) or (looks_plain and not self.known_normalised):
            raise DepthcueError(message, hint)
        # hidden pixels are 0, so that what is left of a bright picture may lie in 0 to 1
        if looks_plain and not self._warned and float((picture == 0).float().mean()) < _HIDDEN:
            self._warned = True
            warnings.warn(f"{message}. {hint}", stacklevel=3)
        self.known_normalised = True


class DepthNet(_PictureNet):
    """A depth net N: normalised picture (B, 3, H, W) to prediction (B, 1, h, w) in the units it describes."""

    differentiable = True
    """Whether gradients of a prediction reach the picture; False for a black box, which can only be measured."""
    gradients_hint = "Give the network itself instead of an exported graph or of a function under no_grad."
    """Hint for a net that passes no gradients on: the reason, and the remedy."""

    def __init__(self, description: DepthDescription) -> None:
        super().__init__(description.mean, description.std)
        self.description = description

    def forward(self, normalised: Tensor) -> Tensor:
        raise NotImplementedError

    def for_export(self) -> "DepthNet":
        """The net that a graph is written from: itself, where its code holds for every size.

        Raises:
            DepthcueError: it is a graph already.
        """
        return self

    def to_depth_m(self, prediction: Tensor) -> Tensor:
        """Bring a prediction to metres, never below a millimetre.

        A relative net's prediction stays as it is: `units` makes depth of it, picture by picture.
        """
        if self.description.relative:
            return prediction
        if self.description.predicts == METRIC_DEPTH:
            return prediction.clamp_min(MIN_DEPTH_M)
        return 1.0 / prediction.clamp(1.0 / 1e4, 1.0 / MIN_DEPTH_M)


def require_gradients(net: DepthNet, purpose: str, remedy: str = "") -> None:
    """Refuse a net that passes no gradients on.

    Args:
        purpose: what needs the gradients, for the message.
        remedy: a sentence added to the hint.

    Raises:
        DepthcueError: it passes none on.
    """
    if not net.differentiable:
        hint = " ".join(part for part in (net.gradients_hint, remedy) if part)
        raise DepthcueError(f"{net.description.name} passes no gradients back to the picture, and {purpose} needs them",
                            f"{hint} Without gradients it can be measured: evaluate, compare-edges, mask.")


class MaskNet(_PictureNet):
    """A mask net G: normalised picture (B, 3, H, W), and a dial (B,) if it has one, to mask (B, 1, H, W) in [0, 1].

    The dial is the share of pixels to keep or λ, by `keep_range` and `lambda_range` of the description. The masks of a
    net that takes a share have that mean.
    """

    trainable = True
    """Whether it has weights to be trained on; False for a black box, which can only be run."""

    def __init__(self, description: MaskDescription) -> None:
        super().__init__(description.mean, description.std)
        self.description = description

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def for_export(self) -> "MaskNet":
        """As `DepthNet.for_export`."""
        return self

    @property
    def keeps_shares(self) -> bool:
        """See `MaskDescription.keeps_shares`."""
        return self.description.keeps_shares

    @property
    def has_dial(self) -> bool:
        """See `MaskDescription.has_dial`."""
        return self.description.has_dial

    def dial_value(self, keep: float | None = None, lam: float | None = None) -> float:
        """See `MaskDescription.dial_value`."""
        return self.description.dial_value(keep, lam)

    def dial_of(self, normalised: Tensor, dial: Tensor | None) -> Tensor:
        """The dial of each picture, (B,) float32; the net's default where None."""
        if dial is None:
            return torch.full((normalised.shape[0],), self.dial_value(), device=normalised.device)
        return dial.float()

    def dial_feature(self, dial: Tensor) -> Tensor:
        """The dial as the net's input, (B,): ln λ, or the logit of the share within the range of training."""
        if self.description.keep_range is not None:
            share = dial.clamp(*self.description.keep_range)
            return torch.log(share / (1 - share))  # some converters of graphs do not know torch.logit
        return dial.log()


class NetOnFrames(nn.Module):
    """A net with its preprocessing: `frames` uint8 (B, H, W, 3) RGB to masks (B, H, W) or depths (B, h, w), float32.

    Depths are in metres; those of a relative net as it predicts them. A mask net takes its dial too, (B,) or (1,).
    """

    def __init__(self, net: MaskNet | DepthNet) -> None:
        super().__init__()
        self.net = net
        self.net.known_normalised = True
        self.dtype = torch.float32
        """Type of the net's picture; bytes are normalised in float32, so that they keep their digits."""

    def forward(self, frames: Tensor, dial: Tensor | None = None) -> Tensor:
        # the cast must be a graph's first node: TensorRT accepts uint8 in a cast alone
        rgb = frames.float().permute(0, 3, 1, 2) / 255.0  # (B, 3, H, W)
        normalised = self.net.normalise(rgb).to(self.dtype)
        if isinstance(self.net, MaskNet):
            maps: Tensor = self.net(normalised, dial)
        else:
            maps = self.net.to_depth_m(self.net(normalised))
        return maps[:, 0].float()


@contextmanager
def restore_mode(net: nn.Module) -> Iterator[nn.Module]:
    """Context in which a borrowed net is frozen and in eval mode; its modes and gradient flags come back after it."""
    modes = [(module, module.training) for module in net.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.eval().requires_grad_(False)
    try:
        yield net
    finally:
        for module, training in modes:
            module.training = training
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3×3 convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(out + shortcut, inplace=True)
