"""Nets of one convolution, which nothing is exported faster than, and a small compact pair on disk."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet, build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.nets.lite import normalised_to

SIZE = (32, 48)
MULTIPLE = 8
SHARES_OF_LAMBDAS = ((0.1, 4.0), (0.4, 1.0), (0.8, 0.5))


class LastWord(MaskNet):
    """One convolution and λ."""

    def __init__(self, target: str = "nowhere") -> None:
        super().__init__(MaskDescription("last-word", target, *SIZE, MULTIPLE, 2.0, (0.5, 6.0)))
        self.config: dict[str, int] = {}
        self.conv = _convolution(7)
        self.eval()

    def forward(self, normalised: Tensor, lam: Tensor | None = None) -> Tensor:
        assert lam is not None
        return torch.sigmoid(self.conv(normalised) - lam.log()[:, None, None, None])


class TopShare(MaskNet):
    """One convolution, and the share of the pixels that it keeps."""

    def __init__(self, target: str = "nowhere") -> None:
        super().__init__(MaskDescription("top-share", target, *SIZE, MULTIPLE, 2.0, keep_range=(0.05, 0.8),
                                         lambda_at=SHARES_OF_LAMBDAS))
        self.config: dict[str, int] = {}
        self.conv = _convolution(9)
        self.eval()

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        return normalised_to(self.conv(normalised).float(), self.dial_of(normalised, dial))


class FirstLook(DepthNet):
    """One convolution, at half the size."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("first-look", *SIZE, MULTIPLE))
        self.config: dict[str, int] = {}
        self.conv = _convolution(8, stride=2)
        self.eval()

    def forward(self, normalised: Tensor) -> Tensor:
        return 1 + nn.functional.softplus(self.conv(normalised))


def _convolution(seed: int, stride: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(3, 1, 3, stride, padding=1)
    nn.init.normal_(convolution.weight, std=0.4, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(convolution.bias)
    return convolution


def save_small_pair(folder: Path, **dial: Any) -> tuple[Path, Path]:
    """A compact mask net of random weights and, beside it, the depth net that its card names; 32×48.

    `dial` is what the mask net takes; a range of λ where nothing is said.
    """
    dial = dial or {"lambda_range": (0.5, 6.0)}
    depth = build_depth_net("compact", seed=2, config={"widths": [8] * 5}, height=32, width=48, name="small-depth")
    save_net(depth, folder / "depth.safetensors", architecture="compact")
    mask = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                          name="small", target=str(folder / "depth.safetensors"), **dial)
    nn.init.normal_(mask.head.weight, std=2.0, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    save_net(mask, folder / "mask.safetensors", architecture="compact")
    return folder / "mask.safetensors", folder / "depth.safetensors"


def save_tiny_nets(folder: Path, **masks: dict[str, Any]) -> dict[str, str]:
    """Files by name: `depth`, a compact depth net of random weights, and mask nets with these options; 32×48.

    Mask nets explain `depth`, and have a dial of λ where the options name neither.
    """
    shape = {"height": SIZE[0], "width": SIZE[1]}
    files = {name: str(folder / f"{name}.safetensors") for name in ("depth", *masks)}
    save_net(build_depth_net("compact", config={"widths": (4, 4, 8, 8, 8)}, **shape), files["depth"],
             architecture="compact")
    for name, options in masks.items():
        net = build_mask_net("compact", config={"widths": (4, 4, 8, 8, 8), "detail": 4},
                             **{"target": files["depth"], "name": name, "lambda_range": (0.5, 6.0), **shape, **options})
        save_net(net, files[name], architecture="compact")
    return files
