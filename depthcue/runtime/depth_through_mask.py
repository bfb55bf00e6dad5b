"""What the depth net makes of the whole picture and of the masked one, for saving beside the mask."""

from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.imaging import top_pixels
from depthcue.nets import DepthNet, depth_from, see_whole
from depthcue.runtime.halving import telling_out_of_memory
from depthcue.runtime.runner import Frames, Masks

Depths = NDArray[np.float32]
"""float32 (B, h, w), metres; of a relative net in units of its own (see `nets.units`)."""


class DepthThroughMask:
    """A depth net in torch; a context manager, as runners are."""

    def __init__(self, net: DepthNet, device: str = "cpu", keep: float | None = None) -> None:
        """
        Args:
            keep: the share of pixels that is seen, those where a mask is highest; None: all, each as far as its mask
                says.
        """
        self._keep = keep
        self.description = net.description
        self.device = device
        self._net = net

    def __enter__(self) -> Self:
        self._net = self._net.to(self.device).eval()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._net = self._net.to("cpu")

    def depths(self, frames: Frames, masks: Masks) -> tuple[Depths, Depths]:
        """Depth from frames uint8 (B, H, W, 3), and from the same under masks (B, H, W).

        Raises:
            OutOfDeviceMemory: the batch is too large.
        """
        if self._keep is not None:
            masks = np.stack([top_pixels(mask, self._keep) for mask in masks]).astype(np.float32)
        with telling_out_of_memory(), torch.inference_mode():
            rgb = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255.0
            normalised = self._net.normalise(rgb)
            mask = torch.from_numpy(masks).to(self.device)[:, None]
            whole, units = see_whole(self._net, normalised)
            masked = depth_from(self._net, normalised, mask, units=units)
        return whole[:, 0].cpu().numpy(), masked[:, 0].cpu().numpy()
