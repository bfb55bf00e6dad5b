"""What goes into an exported file: a net with its preprocessing, raw frames in, masks or metres out.

Whoever runs the file in C++ or on a server feeds the bytes of a picture as they are; mean, deviation and layout
cannot be got wrong there because they are part of the graph.
"""

from torch import Tensor, nn

from depthcue.nets import DepthNet, MaskNet


class MaskGraph(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB, and what the net takes beside it, float32 (B,), to mask float32 (B, H, W)."""

    def __init__(self, net: MaskNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor, dial: Tensor | None = None) -> Tensor:
        mask: Tensor = self.net(self.net.normalise(_to_rgb(frames)), dial)
        return mask[:, 0].float()  # (B, H, W)


class DepthGraph(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB to depth float32 (B, h, w) in metres."""

    def __init__(self, net: DepthNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor) -> Tensor:
        depth_m = self.net.to_depth_m(self.net(self.net.normalise(_to_rgb(frames))))
        return depth_m[:, 0].float()  # (B, h, w)


def _to_rgb(frames: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]."""
    # the cast must be the graph's first node: TensorRT takes uint8 into a cast and nothing else
    return frames.float().permute(0, 3, 1, 2) / 255.0
