"""The input of every finding: attention of mask and edges, edge strength, depth and the truth, all at one size."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from depthcue.data import KnownScenes, SceneTruth
from depthcue.evaluation.viewing import View, Viewing
from depthcue.nets import resize
from depthcue.scorers import Pictures, Scorer, keep_top
from depthcue.scorers.edges import gray, gray_gradient

MASK, EDGES = "mask", "edges"
"""The two maps that every finding looks at: the mask M, and Sobel edges to compare with."""

TRUE_DEPTH, PREDICTED_DEPTH = "ground truth", "the depth net on whole pictures"
_SOBEL_SUM = 8.0
"""A Sobel filter gives eight times the slope."""


@dataclass(frozen=True)
class MaskedBatch:
    """Pictures at the size that the nets see them in, (B, …, H, W).

    Attributes:
        names: of the pictures.
        rgb: (B, 3, H, W) in [0, 1].
        means: (B,), of the mask in each picture.
        attention: for MASK and EDGES, (B, 1, H, W): the map over its mean in the picture. 1 is what an average pixel
            of the picture gets; a map that is the same everywhere gives 1 everywhere.
        kept: for the same, bool (B, 1, H, W): as many of the picture's best pixels as were asked for.
        strength: (B, 1, H, W), slope of the brightness in shares of black to white a pixel.
        depth_m: (B, 1, H, W) metres; inf for beyond the data's range, NaN for unknown. None where no depth in metres is
            known or seen.
        depth_source: TRUE_DEPTH or SEEN_DEPTH.
        depth_as_stored: the data's own depth and where it is valid, (B, 1, h, w); None where it has none.
        truth: what is known of rendered scenes, at the size of the pictures.
    """

    names: list[str]
    rgb: Tensor
    means: Tensor
    attention: dict[str, Tensor]
    kept: dict[str, Tensor]
    strength: Tensor
    depth_m: Tensor | None
    depth_source: str
    depth_as_stored: tuple[Tensor, Tensor] | None
    truth: SceneTruth | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rgb.shape[-2], self.rgb.shape[-1]

    def __len__(self) -> int:
        return len(self.names)


def masked_batches(viewing: Viewing, scorer: Scorer, share: float) -> Iterator[MaskedBatch]:
    """All pictures of a data set, batch by batch.

    Args:
        scorer: gives the masks.
        share: of the pixels to keep, for `MaskedBatch.kept`.
    """
    if viewing.data.has_depth:
        for batch, pictures in viewing.pictures():
            assert batch.depth_m is not None and batch.valid is not None
            depth_m = torch.where(batch.valid | batch.depth_m.isinf(), batch.depth_m, torch.nan)
            yield _masked_batch(viewing, pictures, scorer, share, batch.names, nearest(depth_m, pictures), TRUE_DEPTH,
                                (batch.depth_m, batch.valid))
        return
    for view in viewing.views():
        predicted_m = _predicted_depth(viewing, view)
        yield _masked_batch(viewing, view.pictures, scorer, share, view.batch.names, predicted_m, PREDICTED_DEPTH,
                            None)


def nearest(values: Tensor, pictures: Pictures) -> Tensor:
    """Values (B, 1, h, w) at the size of the pictures, each one of its own."""
    resized: Tensor = torch.nn.functional.interpolate(values, size=pictures.rgb.shape[-2:], mode="nearest-exact")
    return resized


def edge_strength(rgb: Tensor) -> Tensor:
    """Slope of the brightness, (B, 3, H, W) -> (B, 1, H, W), in shares of black to white a pixel."""
    return gray_gradient(gray(rgb)).square().sum(dim=1, keepdim=True).sqrt() / _SOBEL_SUM


def attention_of(scores: Tensor) -> Tensor:
    """Scores (B, 1, H, W), not negative, over their mean in each picture; 1 where they are 0 all over."""
    scores = scores.double()
    mean = scores.mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(mean > 0, scores / mean.clamp_min(1e-300), torch.ones_like(scores))


def _predicted_depth(viewing: Viewing, view: View) -> Tensor | None:
    if viewing.depth_net.description.relative:
        return None
    height, width = view.pictures.rgb.shape[-2:]
    return resize(view.target_m, (height, width))


def _masked_batch(viewing: Viewing, pictures: Pictures, scorer: Scorer, share: float, names: list[str],
                  depth_m: Tensor | None, source: str, stored: tuple[Tensor, Tensor] | None) -> MaskedBatch:
    mask, strength = scorer(pictures), edge_strength(pictures.rgb)
    height, width = pictures.rgb.shape[-2:]
    truth = None
    if isinstance(viewing.data, KnownScenes):
        truth = viewing.data.truth(pictures.indices, viewing.device).at_size(height, width)
    return MaskedBatch(names, pictures.rgb, mask.mean(dim=(1, 2, 3)),
                       {MASK: attention_of(mask), EDGES: attention_of(strength)},
                       {MASK: keep_top(mask, share), EDGES: keep_top(strength, share)},
                       strength, depth_m, source, stored, truth)
