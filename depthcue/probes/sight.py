"""What a depth net sees in the pictures of a case, as depth in one unit; and where its mask lies on them."""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from depthcue.nets import DepthNet, MaskNet, fit, resize
from depthcue.nets.units import Units, aligned_units
from depthcue.probes.contract import FAR, Case, Seen, Variant


class Sight:
    """A frozen depth net, and its mask net where one is given, before the variants of cases.

    A net that is right up to scale and shift alone is brought to the anchor of the case in the reference picture, and
    in a variant to the reference over the pixels that show the same in both; where none do, the reference's scale and
    shift hold. A cue that moves the depth of all the picture alike is therefore measured on such a net against the
    pixels that do not carry it.
    """

    def __init__(self, depth_net: DepthNet, mask_net: MaskNet | None = None, device: str | torch.device = "cpu",
                 batch_size: int = 8) -> None:
        self.depth_net, self.mask_net = depth_net, mask_net
        self.device, self.batch_size = torch.device(device), batch_size

    def look(self, case: Case) -> Iterator[tuple[Variant, Seen, Tensor | None]]:
        """Every variant with what is seen in it, and its mask (1, H, W), None without a mask net; the reference first.

        Memory holds one batch of variants, however many a case has.
        """
        height, width = case.reference.rgb.shape[1:]
        (first,) = self._predict([case.reference])
        depth_m, known = (part[None].to(self.device) for part in case.anchor)
        relative = self.depth_net.description.relative
        units = self._aligned(first, depth_m, known) if relative else None
        reference = self._depth(first, units, (height, width))
        yield case.reference, Seen(reference, reference), self._masks([case.reference])[0]
        while batch := list(islice(case.variants, self.batch_size)):
            for variant, prediction, mask in zip(batch, self._predict(batch), self._masks(batch), strict=True):
                own = units
                if relative and variant.same is not None:
                    own = self._aligned(prediction, reference[None, None], variant.same[None].to(self.device))
                yield variant, Seen(self._depth(prediction, own, (height, width)), reference), mask

    def _stack(self, variants: Sequence[Variant]) -> Tensor:
        return torch.stack([variant.rgb for variant in variants]).to(self.device)  # (B, 3, H, W)

    def _predict(self, variants: Sequence[Variant]) -> list[Tensor]:
        """Predictions (1, 1, h, w) of the pictures, in the net's own units."""
        net = self.depth_net
        with torch.inference_mode():
            return list(net(net.normalise(fit(self._stack(variants), net.description))).split(1))

    def _aligned(self, prediction: Tensor, depth: Tensor, known: Tensor) -> Units:
        return aligned_units(self.depth_net.description, prediction, depth, known, FAR)

    def _depth(self, prediction: Tensor, units: Units | None, size: tuple[int, int]) -> Tensor:
        """Depth (H, W) at the picture's size, on the CPU, where it is read."""
        depth = self.depth_net.to_depth_m(prediction) if units is None else units.to_depth(prediction)
        return resize(depth.float(), size)[0, 0].clamp(max=FAR).cpu()

    def _masks(self, variants: Sequence[Variant]) -> list[Tensor | None]:
        """The mask net's masks (1, H, W) at its own setting and the picture's size."""
        net = self.mask_net
        if net is None:
            return [None] * len(variants)
        rgb = self._stack(variants)
        with torch.inference_mode():
            masks = net(net.normalise(fit(rgb, net.description)))
        return list(resize(masks.float(), (rgb.shape[2], rgb.shape[3])).cpu())
