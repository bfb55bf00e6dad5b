"""A mask net made ready for torch: rewritten, behind its preprocessing, channels last, in the precision asked for."""

import logging

import torch
from torch import Tensor, nn

from depthcue.errors import DepthcueError
from depthcue.export.rewrites import exchange_pays_in_torch, rewritten
from depthcue.nets import MaskNet

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _InFloat32(nn.Module):
    """A convolution in float32, whatever it takes: of scores that order pixels, too many are equal in 16 bit."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv.float()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv(x.float())
        return scores


class MaskModule(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB to mask float32 (B, H, W), for one share or λ.

    Below float32 the weights themselves are 16 bit wide, so that no call has to cast them, as autocast does. Bytes are
    brought to [0, 1] and normalised in float32, where their digits are needed; what sums and means accumulate in is
    float32 by torch's own choice.
    """

    dial: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, net: MaskNet, dial: float, precision: str) -> None:
        """
        Args:
            net: left as it is; a copy is rewritten.
            dial: the share to keep or λ, whichever the net takes.
            precision: `fp32`, `bf16` or `fp16`.

        Raises:
            DepthcueError: weights too large for fp16.
        """
        super().__init__()
        self.dtype = DTYPES[precision]
        self.net, rewriting = rewritten(net, polyphase=exchange_pays_in_torch(net), dial=dial)
        log.debug("%s in torch: %s", net.description.name, "; ".join(rewriting.applied) or "as it was given")
        description = net.description
        # one for all frames: what is computed from it is computed once, not for each frame
        self.register_buffer("dial", torch.tensor([dial]))
        self.register_buffer("mean", torch.tensor(description.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(description.std).view(1, 3, 1, 1))
        self.net.to(self.dtype)
        if self.net.keeps_shares and isinstance(head := getattr(self.net, "head", None), nn.Conv2d):
            self.net.set_submodule("head", _InFloat32(head))
        for name, value in self.net.state_dict().items():
            if precision == "fp16" and value.isinf().any():
                raise DepthcueError(f"{description.name} does not fit into {precision}: {name} holds weights that are "
                                    "too large for it", "Use --precision bf16, which has the range of fp32, or fp32.")
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor) -> Tensor:
        # what arrives in channels-last order stays so: this moves nothing
        rgb = frames.permute(0, 3, 1, 2).float() / 255.0  # (B, 3, H, W)
        normalised = ((rgb - self.mean) / self.std).to(self.dtype)
        mask: Tensor = self.net(normalised, self.dial)
        return mask[:, 0].float()  # (B, H, W)
