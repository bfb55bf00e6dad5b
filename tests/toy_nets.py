"""Nets and data small enough to know every answer: the depth of a picture is in its red pixels and nowhere else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from depthcue.data import Frames, RgbdBatch
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.lite import normalised_to

SIZE = (24, 32)
RED_SHARE = 0.1
"""Share of the pixels that carry any red; round(0.1 * 24 * 32) = 77 of 768."""

_PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class RedDepth(DepthNet):
    """Sees the same depth everywhere: 1 m, and 4 m more for the mean of red where every red pixel is seen."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("red-depth", *SIZE, multiple=1, **_PLAIN))

    def forward(self, normalised: Tensor) -> Tensor:
        red = normalised[:, :1].mean(dim=(2, 3), keepdim=True) / RED_SHARE
        return (1 + 4 * red).expand(-1, 1, SIZE[0] // 2, SIZE[1] // 2)


class RedMask(MaskNet):
    """Keeps the red pixels; with a dial, lambda also adds others at random, a little less: share 1 / lambda in all."""

    def __init__(self, dial: bool = False) -> None:
        super().__init__(MaskDescription("red-mask", "red-depth", *SIZE, multiple=1, default_lambda=4.0,
                                         lambda_range=(1.0, 10.0) if dial else None, **_PLAIN))
        self.dial = dial

    def forward(self, normalised: Tensor, lam: Tensor | None = None) -> Tensor:
        red = (normalised[:, :1] > 0).float()
        if not self.dial or lam is None:
            return red
        noise = torch.rand(1, 1, *normalised.shape[2:], generator=torch.Generator().manual_seed(0))
        others = red + noise > torch.quantile(red + noise, 1 - 1 / lam[0].item())
        return torch.maximum(red, 0.999 * others)


class RedShares(MaskNet):
    """Keeps the share it is asked for: red pixels first, then others at random."""

    def __init__(self) -> None:
        super().__init__(MaskDescription("red-shares", "red-depth", *SIZE, multiple=1, default_lambda=4.0,
                                         keep_range=(0.05, 0.9), lambda_at=((0.1, 8.0), (0.5, 2.0)), **_PLAIN))

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        red = (normalised[:, :1] > 0).float()
        noise = torch.rand(1, 1, *normalised.shape[2:], generator=torch.Generator().manual_seed(0))
        return normalised_to(red + 0.5 * noise, self.dial_of(normalised, dial))


class ToyData:
    """Pictures of faint red dots under strong stripes of blue and green, of which the depth knows nothing."""

    spec = "toy:red"
    max_depth_m = 10.0

    def __init__(self, count: int = 6, has_depth: bool = True, unknown: Sequence[int] = ()) -> None:
        self.count, self.has_depth, self.unknown = count, has_depth, set(unknown)

    def __len__(self) -> int:
        return self.count

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        raise NotImplementedError

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        pictures = []
        for index in indices:
            generator = torch.Generator().manual_seed(index)
            rgb = torch.zeros(3, *SIZE)
            rgb[1:, :, ::4] = 1.0
            dots = torch.randperm(SIZE[0] * SIZE[1], generator=generator)[:round(RED_SHARE * SIZE[0] * SIZE[1])]
            rgb[0].view(-1)[dots] = 0.05 + 0.05 * torch.rand(1, generator=generator)
            pictures.append(rgb)
        rgb = torch.stack(pictures).to(device)
        names = [f"toy-{index}" for index in indices]
        if not self.has_depth:
            return RgbdBatch(rgb, None, None, names)
        depth_m = RedDepth()(rgb).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) + 0.1
        valid = torch.ones_like(depth_m, dtype=torch.bool)
        for row, index in enumerate(indices):
            valid[row] = index not in self.unknown
        return RgbdBatch(rgb, depth_m * valid, valid, names)
