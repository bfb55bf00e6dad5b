"""The shipped nets: EfficientNet-Lite encoders that know ImageNet, and thin decoders; fast on a CPU, easy to quantise.

EfficientNet-Lite (Tan, 2020) is EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation and with ReLU6; its
stem is not scaled. Weights and padding follow TensorFlow: where a stage halves an even map, the padding lies to the
right and below. The decoders come back to the picture's size in steps of two. A step brings the coarser map and the
encoder's map to one width by 1×1 convolutions, adds them, and refines the sum by a depthwise and a 1×1 convolution,
with the sum added again (separable decoding as in FastDepth: Wofk et al., ICRA 2019). The mask net modulates each step
by a scale and a shift computed from its dial, the share to keep or λ (FiLM: Perez et al., AAAI 2018).

It ends in scores that `normalised_to` turns into a mask whose mean is the share. Scores are brought to a mean of 0 and
a deviation of 1 within each picture, so that a temperature T stands for the same whatever a net's scores span. A
threshold τ is found for each picture such that the mean of sigmoid((score − τ) / T) is the share: by bisection, then
one step of Newton's method, which carries the gradient (raising all scores changes nothing; raising one pixel lowers
the others). A binary mask is 1 above τ and 0 below, and its gradient is that of the soft one (straight-through
estimator: Bengio, Léonard, Courville, 2013).

Deviation: the decoders repeat the border instead of padding with zeros, so that no mask lights up along the frame.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.checkpoint import State, load_strict

TEMPERATURE = 0.05
"""T of the masks that nets answer with, in deviations of the picture's scores."""
_CERTAIN = 16.0
"""Beyond so many temperatures from the threshold a pixel of a mask is as good as 0 or 1."""
_BISECTIONS = 20
_FLAT = 1e-12
"""Variance of scores far below which a picture has no order."""
MULTIPLE = 32
SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Factors of width and depth of each encoder."""
# repeats, kernel, stride, expansion, channels
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))
_TAPPED = (0, 1, 2, 4, 6)
"""The stages whose maps the decoder sees, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
_EPS, _MOMENTUM = 1e-3, 0.01
_TENSORFLOW_MEAN, _TENSORFLOW_STD = 127.0 / 255.0, 128.0 / 255.0
"""Normalisation that the ImageNet weights were trained with, for pictures in [0, 1]."""
DEPTH_WIDTHS = (128, 96, 64, 32)
MASK_WIDTHS = (96, 64, 48, 24)
DETAIL = 16


class ScoredMaskNet(MaskNet):
    """A mask net with a dial that gives each pixel a score: its mask is that of the share, or of λ the sigmoid."""

    def scores(self, normalised: Tensor, dial: Tensor) -> Tensor:
        """Scores that rank the pixels, (B, 1, H, W) float32, any real number; higher is kept earlier.

        Args:
            normalised: (B, 3, H, W).
            dial: the share to keep or λ of each picture, (B,).
        """
        raise NotImplementedError

    def forward(self, normalised: Tensor, dial: Tensor | None = None,
                temperature: Tensor | float = TEMPERATURE) -> Tensor:
        """See `MaskNet`; `temperature` is that of `normalised_to`, one number or one a picture (B,)."""
        dial = self.dial_of(normalised, dial)
        scores = self.scores(normalised, dial)
        return normalised_to(scores, dial, temperature) if self.keeps_shares else torch.sigmoid(scores)


def normalised_to(scores: Tensor, share: Tensor, temperature: Tensor | float = TEMPERATURE) -> Tensor:
    """Masks in (0, 1) whose mean is the share of each picture, (B, 1, H, W).

    Args:
        scores: (B, 1, H, W) float32; a higher score is kept earlier.
        share: (B,), strictly between 0 and 1.
        temperature: T, one number or one a picture (B,); towards 0 the mask becomes binary.
    """
    wide, standard = _column(temperature, scores), standardised(scores)
    return torch.sigmoid((standard - threshold(standard, share, wide)) / wide)


def standardised(scores: Tensor) -> Tensor:
    """Scores (B, 1, H, W) with a mean of 0 and a deviation of 1 in each picture; 0 everywhere where all are equal."""
    centred = scores - scores.mean(dim=(1, 2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(1, 2, 3), keepdim=True) + _FLAT).sqrt()


def threshold(scores: Tensor, share: Tensor, temperature: Tensor | float) -> Tensor:
    """τ of each picture, (B, 1, 1, 1), for scores that are standardised. Its gradient is that of the exact solution."""
    wide, mean = _column(temperature, scores), _column(share, scores)
    known = scores.detach() / wide  # in temperatures, so that nothing is divided at every step
    low = known.amin(dim=(1, 2, 3), keepdim=True) - _CERTAIN
    high = known.amax(dim=(1, 2, 3), keepdim=True) + _CERTAIN
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = torch.sigmoid(known - middle).mean(dim=(1, 2, 3), keepdim=True) > mean
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    found = wide * (low + high) / 2
    if not scores.requires_grad:
        return found
    steep = torch.sigmoid((scores - found) / wide)
    slope = (steep * (1 - steep)).detach().mean(dim=(1, 2, 3), keepdim=True) / wide
    excess = steep.mean(dim=(1, 2, 3), keepdim=True) - mean
    return found + (excess - excess.detach()) / slope.clamp_min(1e-4)


def straight_through(mask: Tensor) -> Tensor:
    """The mask of `normalised_to` as 0 and 1, with the gradient of the soft one."""
    return mask + ((mask > 0.5).to(mask.dtype) - mask).detach()


def _column(values: Tensor | float, like: Tensor) -> Tensor:
    """One number, or one a picture (B,) or (B, 1, 1, 1), as (B or 1, 1, 1, 1)."""
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)


class _Conv(nn.Sequential):
    """Convolution without bias, batch norm and, where `active`, ReLU6.

    `border` is how it pads: "tensorflow", zeros to the right and below where it halves; "replicate", the border
    repeated.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
                 active: bool = True, border: str = "tensorflow") -> None:
        layers: list[nn.Module] = []
        padding = kernel // 2
        if stride == 2:
            layers.append(nn.ZeroPad2d(((kernel - 2) // 2, (kernel - 1) // 2) * 2))
            padding = 0
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False,
                                padding_mode="replicate" if border == "replicate" and kernel > 1 else "zeros"))
        layers.append(nn.BatchNorm2d(outputs, eps=_EPS, momentum=_MOMENTUM))
        if active:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _Conv(inputs, hidden) if expansion != 1 else None
        self.depthwise = _Conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _Conv(hidden, outputs, active=False)
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(out))
        return x + out if self.added else out


class LiteEncoder(nn.Module):
    """A normalised picture (B, 3, H, W) to five maps of features at 1/2 to 1/32 of its size; H, W multiples of 32."""

    def __init__(self, size: str) -> None:
        super().__init__()
        width, depth = SCALES[size]
        self.stem = _Conv(3, 32, 3, stride=2)
        self.stages = nn.ModuleList()
        self.channels: list[int] = []
        inputs = 32
        for index, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            outputs = _rounded(channels * width)
            # the first and the last stage keep their single block
            count = repeats if index in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)
            blocks = [_InvertedResidual(inputs if block == 0 else outputs, outputs, kernel, stride if block == 0 else 1,
                                        expansion) for block in range(count)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs
            if index in _TAPPED:
                self.channels.append(outputs)

    def forward(self, normalised: Tensor) -> list[Tensor]:
        x = self.stem(normalised)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _TAPPED:
                maps.append(x)
        return maps

    def load_classifier(self, state: State, source: str, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take the weights of a classifier with this encoder; its head is left out.

        The publisher's first convolution is changed so that it takes pictures normalised by `mean` and `std` (per
        channel); an encoder of our own nets has that behind it.

        Raises:
            DepthcueError: tensors are missing, unexpected or of another shape.
        """
        own = list(self.state_dict())
        if "_conv_stem.weight" in state:
            # the publisher's names, in the order of the layers
            body = {key: value for key, value in state.items() if not key.startswith(("_conv_head", "_bn1.", "_fc."))}
            if len(body) == len(own):
                state = dict(zip(own, body.values(), strict=True))
                _renormalise(state, "stem.1", "stem.2", (_TENSORFLOW_MEAN,) * 3, (_TENSORFLOW_STD,) * 3, mean, std)
        load_strict(self, state, source)


def _renormalise(state: State, convolution: str, norm: str, old_mean: Sequence[float], old_std: Sequence[float],
                 mean: Sequence[float], std: Sequence[float]) -> None:
    """Fold another normalisation of the picture into a convolution that sees it, and the batch norm behind it.

    Args:
        old_mean, old_std: of each channel, what the weights were trained with.
        mean, std: what they are to take.
    """
    weight = state[f"{convolution}.weight"]  # (O, 3, k, k)
    old, spread = weight.new_tensor(old_mean), weight.new_tensor(old_std)
    scale = (weight.new_tensor(std) / spread).view(1, 3, 1, 1)
    shift = ((weight.new_tensor(mean) - old) / spread).view(1, 3, 1, 1)
    # conv(x · scale + shift): the shift adds a constant, which the running mean takes up
    state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - (weight * shift).sum(dim=(1, 2, 3))
    state[f"{convolution}.weight"] = weight * scale


def _rounded(channels: float) -> int:
    """The multiple of 8 nearest to a scaled width, never more than a tenth below it."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class LiteStage(nn.Module):
    """One step of a decoder: (B, C, h, w) and the encoder's (B, S, 2h, 2w) to (B, O, 2h, 2w).

    Args:
        condition: width of the vector that modulates the step; 0 for none.
        kernel: of the depthwise convolution: 5, or 3 where maps are large and see far already.
    """

    def __init__(self, inputs: int, skips: int, outputs: int, condition: int = 0, kernel: int = 5) -> None:
        super().__init__()
        self.coarse = _Conv(inputs, outputs, active=False)
        self.skip = _Conv(skips, outputs, active=False)
        self.depthwise = _Conv(outputs, outputs, kernel, groups=outputs, border="replicate")
        self.mix = _Conv(outputs, outputs, active=False)
        self.modulation = nn.Linear(condition, 2 * outputs) if condition else None
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor | None = None) -> Tensor:
        # the 1×1 convolution comes before the doubling: a quarter of the products for the same answer
        coarse = F.interpolate(self.coarse(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        added = coarse + self.skip(skip)
        if self.modulation is not None and condition is not None:
            scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
            added = added * (1 + scale) + shift
        added = F.relu6(added)
        return F.relu6(added + self.mix(self.depthwise(added)))


class _Whole(nn.Module):
    """One vector for the whole picture, added everywhere: the kind of room decides the scale of its depth."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vector = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.vector.weight)
        nn.init.zeros_(self.vector.bias)  # type: ignore[arg-type]

    def forward(self, deep: Tensor) -> Tensor:
        return deep + self.vector(deep.mean(dim=(2, 3), keepdim=True))


class LiteDepthNet(DepthNet):
    """`lite0`, `lite1`, `lite2`: depth in metres, (B, 1, H/2, W/2), as the exponential of the last convolution."""

    def __init__(self, description: DepthDescription, size: str = "lite0", widths: Sequence[int] = DEPTH_WIDTHS,
                 typical_depth_m: float = 2.5) -> None:
        super().__init__(description)
        self.config = {"size": size, "widths": list(widths), "typical_depth_m": typical_depth_m}
        self.encoder = LiteEncoder(size)
        half, quarter, eighth, sixteenth, deep = self.encoder.channels
        self.whole = _Whole(deep)
        self.up16 = LiteStage(deep, sixteenth, widths[0])
        self.up8 = LiteStage(widths[0], eighth, widths[1])
        self.up4 = LiteStage(widths[1], quarter, widths[2])
        self.up2 = LiteStage(widths[2], half, widths[3], kernel=3)
        self.head = nn.Conv2d(widths[3], 1, 3, padding=1, padding_mode="replicate")
        self.log_typical = math.log(typical_depth_m)
        self.log_limits = (math.log(0.05), math.log(4 * description.max_depth_m))
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, normalised: Tensor) -> Tensor:
        half, quarter, eighth, sixteenth, deep = self.encoder(normalised)
        x = self.up16(self.whole(deep), sixteenth)
        x = self.up8(x, eighth)
        x = self.up4(x, quarter)
        x = self.up2(x, half)
        # the exponential needs float32 whatever the convolutions ran in
        log_depth = self.head(x).float() + self.log_typical
        return log_depth.clamp(*self.log_limits).exp()  # (B, 1, H/2, W/2)

    def load_backbone(self, state: State, source: str) -> None:
        """Take an encoder's weights; see `LiteEncoder.load_classifier`."""
        self.encoder.load_classifier(state, source, self.description.mean, self.description.std)


class LiteMaskNet(ScoredMaskNet):
    """`lite0`, `lite1`, `lite2`: mask (B, 1, H, W) for the share to keep, or the λ, given with each picture."""

    condition_width = 32

    def __init__(self, description: MaskDescription, size: str = "lite0", widths: Sequence[int] = MASK_WIDTHS,
                 detail: int = DETAIL) -> None:
        super().__init__(description)
        self.config: dict[str, Any] = {"size": size, "widths": list(widths), "detail": detail}
        self.encoder = LiteEncoder(size)
        half, quarter, eighth, sixteenth, deep = self.encoder.channels
        condition = self.condition_width
        self.condition = nn.Sequential(nn.Linear(1, condition), nn.ReLU(), nn.Linear(condition, condition), nn.ReLU())
        self.whole = _Whole(deep)
        self.up16 = LiteStage(deep, sixteenth, widths[0], condition)
        self.up8 = LiteStage(widths[0], eighth, widths[1], condition)
        self.up4 = LiteStage(widths[1], quarter, widths[2], condition)
        self.up2 = LiteStage(widths[2], half, widths[3], condition, kernel=3)
        # thin features at full size, so that the mask can follow single pixels
        self.detail = _Conv(3, detail, 3, border="replicate")
        self.up1 = LiteStage(widths[3], detail, detail, condition, kernel=3)
        self.head = nn.Conv2d(detail, 1, 3, padding=1, padding_mode="replicate")
        nn.init.normal_(self.head.weight, std=1e-2)
        # with λ, start by keeping most of every pixel: from an empty mask there is no gradient to learn from
        nn.init.constant_(self.head.bias, 0.0 if self.keeps_shares else 1.5)  # type: ignore[arg-type]

    def scores(self, normalised: Tensor, dial: Tensor) -> Tensor:
        condition = self.condition(self.dial_feature(dial).to(normalised.dtype)[:, None])  # (B, 32)
        half, quarter, eighth, sixteenth, deep = self.encoder(normalised)
        x = self.up16(self.whole(deep), sixteenth, condition)
        x = self.up8(x, eighth, condition)
        x = self.up4(x, quarter, condition)
        x = self.up2(x, half, condition)
        x = self.up1(x, self.detail(normalised), condition)
        return self.head(x).float()

    def load_backbone(self, state: State, source: str) -> None:
        """Take an encoder's weights; see `LiteEncoder.load_classifier`."""
        self.encoder.load_classifier(state, source, self.description.mean, self.description.std)

    def start_from(self, other: "LiteMaskNet") -> None:
        """Take the weights of a net of the same configuration, whatever normalisation of the picture it takes."""
        state = dict(other.state_dict())
        for convolution, norm in (("encoder.stem.1", "encoder.stem.2"), ("detail.0", "detail.1")):
            _renormalise(state, convolution, norm, other.description.mean, other.description.std,
                         self.description.mean, self.description.std)
        self.load_state_dict(state)
