"""Attributions of depth to pixels: gradients and occlusion by Captum, and attention rollout.

Gradient, SmoothGrad (the mean gradient over noisy copies: Smilkov et al. 2017), integrated gradients (Sundararajan et
al. 2017) and occlusion (Zeiler and Fergus 2014) attribute the sum of N(I) over all its pixels, in its own unit. A
pixel's score is the sum over colours of the attribution's size. The mean colour, which hidden pixels show under masks,
is the baseline of integrated gradients and covers the windows of occlusion.

Attention rollout (Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020): a layer passes on half of
its input by its skip connection and half by its attention W, the mean over heads. Through all layers that is the
product of

    A = (W + I) / 2                                                                    sec. 3

from the last layer to the first. Its row i holds the share of each input token in output token i. Deviations: the paper
reads the row of the token that a class is made of. A depth map has no such token: every patch of it is a query, so a
patch scores the mean over the rows of all patches. The share of the summary token and the registers belongs to no pixel
and is left out. Scores of patches are resized bilinearly to pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from depthcue.errors import import_extra
from depthcue.nets import DepthNet, require_gradients, resize, restore_mode
from depthcue.nets.foreign.transformers_model import attention_of, check_attention
from depthcue.scorers.keeping import Pictures, Scorer, ScorerInputs

NOISY_COPIES = 16
NOISE = 0.15
"""Deviation of SmoothGrad's noise as a share of the picture's range of values."""
PATH_STEPS = 20
"""Points on integrated gradients' path from the mean colour to the picture."""
WINDOW = 1 / 6
"""Side of occlusion's window as a share of the picture's height; it moves by half of itself."""
AT_ONCE = 16
"""Pictures that Captum gives to N together, at least."""

Forward = Callable[[Tensor], Tensor]


@contextmanager
def gradients_through(net: DepthNet, rgb: Tensor) -> Iterator[Tensor]:
    """Pictures (B, 3, H, W) in [0, 1] normalised for `net`, in a context in which gradients can be taken.

    The net's own weights are frozen meanwhile: only the gradient to the picture is paid for.
    """
    with torch.inference_mode(False), torch.enable_grad(), restore_mode(net):
        # a tensor made in inference mode can never be part of a gradient; its copy can
        yield net.normalise(rgb.clone()).detach()


def depth_net_of(inputs: ScorerInputs, gradients_for: str | None = None) -> DepthNet:
    """The depth net of a scorer's inputs.

    Args:
        gradients_for: name of the scorer where it takes gradients.

    Raises:
        DepthcueError: it takes gradients, and the net passes none on.
        ValueError: no net was given.
    """
    if inputs.depth_net is None:
        raise ValueError("this scorer needs the depth net")
    if gradients_for is not None:
        require_gradients(inputs.depth_net, gradients_for)
    return inputs.depth_net


def gradient(inputs: ScorerInputs) -> Scorer:
    """The gradient at the picture itself."""
    captum = _captum()
    return _scored(depth_net_of(inputs, "gradient"), lambda forward, normalised, _: captum.Saliency(forward).attribute(
        normalised, abs=False))


def smoothgrad(inputs: ScorerInputs) -> Scorer:
    """The mean gradient over noisy copies of the picture."""
    captum = _captum()

    def attribute(forward: Forward, normalised: Tensor, pictures: Pictures) -> Tensor:
        tunnel = captum.NoiseTunnel(captum.Saliency(forward))
        # one at a time, so that the noise is the picture's and not its batch's
        return torch.cat([_noisy(tunnel, normalised[row:row + 1], inputs.seed * 1_000_003 + index)
                          for row, index in enumerate(pictures.indices)])

    return _scored(depth_net_of(inputs, "smoothgrad"), attribute)


def integrated_gradients(inputs: ScorerInputs) -> Scorer:
    """Gradients along the path from a picture of the mean colour, times the picture's distance from it."""
    captum = _captum()
    return _scored(depth_net_of(inputs, "integrated-gradients"), lambda forward, normalised, _: (
        captum.IntegratedGradients(forward).attribute(normalised, baselines=0.0, n_steps=PATH_STEPS,
                                                      internal_batch_size=max(AT_ONCE, len(normalised)))))


def occlusion(inputs: ScorerInputs) -> Scorer:
    """Change of depth when a square window is covered, over all windows that hold the pixel."""
    captum = _captum()

    def attribute(forward: Forward, normalised: Tensor, _: Pictures) -> Tensor:
        side = max(round(normalised.shape[2] * WINDOW), 1)
        step = max(side // 2, 1)
        return captum.Occlusion(forward).attribute(
            normalised, sliding_window_shapes=(3, side, side), strides=(3, step, step), baselines=0.0,
            perturbations_per_eval=max(AT_ONCE // len(normalised), 1))

    return _scored(depth_net_of(inputs), attribute)


def _scored(net: DepthNet, attribute: Callable[[Forward, Tensor, Pictures], Tensor]) -> Scorer:
    """An attribution (B, 3, H, W) of any sign as a score."""

    def summed_depth(normalised: Tensor) -> Tensor:
        # as predicted where the net is relative: in units found anew for each picture, nothing would ever grow
        return net.to_depth_m(net(normalised)).sum(dim=(1, 2, 3))  # (B,)

    def score(pictures: Pictures) -> Tensor:
        with gradients_through(net, pictures.rgb) as normalised:
            values = attribute(summed_depth, normalised.requires_grad_(), pictures).detach()
        size = values.abs().sum(dim=1, keepdim=True).to(pictures.rgb.dtype)  # (B, 1, H, W)
        return size / size.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)

    return score


def _noisy(tunnel: Any, normalised: Tensor, seed: int) -> Tensor:
    # Captum draws from torch's own generators; they are given back as they were
    devices = [normalised.device] if normalised.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        spread = NOISE * float(normalised.detach().max() - normalised.detach().min())
        return tunnel.attribute(normalised, nt_type="smoothgrad", nt_samples=NOISY_COPIES, stdevs=spread, abs=False)


def _captum() -> Any:
    return import_extra("captum.attr", "the attribution of depth to pixels", "attribution")


def rollout(inputs: ScorerInputs) -> Scorer:
    """Share of each patch in the last layer's patches, resized to pixels.

    Raises:
        DepthcueError: the depth net has no attention that can be rolled out.
    """
    net = depth_net_of(inputs)
    check_attention(net)

    def score(pictures: Pictures) -> Tensor:
        maps = []
        # one at a time: all layers' attention is held at once
        for rgb in pictures.rgb.split(1):
            attention = attention_of(net, net.normalise(rgb))
            maps.append(patch_scores(attention.layers, attention.grid))
        height, width = pictures.rgb.shape[-2:]
        scores = resize(torch.cat(maps), (height, width))
        return scores / scores.amax(dim=(2, 3), keepdim=True)

    return score


def patch_scores(layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """The rollout of attention (B, heads, T, T), from the first layer, as a map of patches (B, 1, h, w).

    Args:
        grid: (h, w); the last h·w of the T tokens are the patches.
    """
    rolled = torch.eye(layers[0].shape[-1], device=layers[0].device)
    for attention in layers:
        # softmax rows sum to 1, and so do these halves
        rolled = (attention.float().mean(dim=1) + torch.eye(attention.shape[-1], device=attention.device)) / 2 @ rolled
    height, width = grid
    patches = rolled[:, -height * width:, -height * width:]
    return patches.mean(dim=1).view(-1, 1, height, width)
