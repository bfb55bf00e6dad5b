"""Cells of pixels that the findings compare: batches of masks, means over cells, and what two properties explain.

Every finding sorts pixels into cells ("a strong edge that is a shadow", "two pixels inside a small object") and
computes means over cells. Counts and sums are kept picture by picture, so that pictures can be resampled: a mean is the
sum over all pictures divided by the count over all pictures, as measured and in every resample.

`explained` is a per-pixel analysis of variance with edge strength, cut into bins, and the kind of edge. Three models of
the attention of a pixel are compared: a mean for every bin of strength; a mean for every kind; a mean for every pair of
both. The means are fitted on all pictures but one and predict that one, in turn, and

    R² = 1 - (squared error of the model) / (squared error of one mean for all pixels)

over the predicted pictures. So a property without information explains nothing, where in-sample R² would grow with
every bin; it may even come out a little below 0. The share of kind given strength is R² of both minus R² of strength
alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.data import KnownScenes, SceneTruth
from depthcue.evaluation import statistics
from depthcue.evaluation.statistics import Floats, pair, short
from depthcue.evaluation.viewing import Viewing
from depthcue.nets import resize
from depthcue.scorers import Pictures, Scorer, keep_top
from depthcue.scorers.edges import gray, gray_gradient

Chosen = NDArray[np.bool_]
"""Selection of cells: bool in the shape of the cells."""

NOWHERE = -1
"""The cell of a pixel that is not counted."""
FEWEST_IMAGES = 2
"""Fewest pictures of an entry: one picture says nothing of others, and leaves no interval."""
STRENGTH, KIND, BOTH = "strength", "kind", "both"
MASK, EDGES = "mask", "edges"
"""The two maps that every finding looks at: the mask M, and Sobel edges to compare with."""

TRUE_DEPTH, PREDICTED_DEPTH = "ground truth", "the depth net on whole pictures"
_SOBEL_SUM = 8.0
"""A Sobel filter gives eight times the slope."""


class Cells:
    """Counts of pixels and sums of maps over cells, picture by picture.

    Args:
        shape: how many cells there are along each axis.
        maps: names of what is summed.
    """

    def __init__(self, shape: Sequence[int], maps: Sequence[str]) -> None:
        self.shape = tuple(shape)
        self.maps = tuple(maps)
        self._counts: list[Floats] = []
        self._sums: dict[str, list[Floats]] = {name: [] for name in maps}

    def __len__(self) -> int:
        """Number of pictures added."""
        return len(self._counts)

    def add(self, indices: Sequence[Tensor], maps: Mapping[str, Tensor]) -> None:
        """Add pictures.

        Args:
            indices: along each axis the index of every pixel's cell, int64 (B, 1, H, W); a pixel that is NOWHERE along
                any axis is not counted.
            maps: float (B, 1, H, W) for each name.
        """
        cell, counted = torch.zeros_like(indices[0]), torch.ones_like(indices[0], dtype=torch.bool)
        for size, index in zip(self.shape, indices, strict=True):
            cell = cell * size + index
            counted &= index != NOWHERE
        for row in range(len(cell)):
            here = counted[row]
            numbers = cell[row][here]
            self._counts.append(self._sum(numbers, None))
            for name in self.maps:
                self._sums[name].append(self._sum(numbers, maps[name][row][here].double()))

    def per_picture(self) -> tuple[Floats, dict[str, Floats]]:
        """Counts (pictures, *shape), and the sums of each map, of the same shape."""
        return np.array(self._counts), {name: np.array(sums) for name, sums in self._sums.items()}

    def table(self, draws: int, seed: int) -> "CellTotals":
        """Values of the cells, over `draws` resamples of the pictures."""
        counts, sums = self.per_picture()
        return CellTotals(counts, sums, statistics.resampling_weights(len(self), draws, seed))

    def _sum(self, numbers: Tensor, values: Tensor | None) -> Floats:
        summed: Floats = torch.bincount(numbers, values, minlength=prod(self.shape)).double().cpu().numpy()
        return summed.reshape(self.shape)


@dataclass(frozen=True)
class Samples:
    """A number as measured and in every resample of the pictures.

    Attributes:
        values: (1 + draws,), the first as measured; NaN where there is nothing to divide by.
        images: how many pictures have pixels in it.
    """

    values: Floats
    images: int

    def entry(self) -> dict[str, Any] | None:
        """The entry of a results document: `value`, `ci95`, `images`; None where fewer than FEWEST_IMAGES show it."""
        # a resample may hold none of the pictures that show it
        drawn = self.values[1:][np.isfinite(self.values[1:])]
        if self.images < FEWEST_IMAGES or not np.isfinite(self.values[0]) or not len(drawn):
            return None
        return {"value": short(float(self.values[0])), "ci95": pair(statistics.percentile_interval(drawn)),
                "images": self.images}

    def __sub__(self, other: "Samples") -> "Samples":
        return Samples(self.values - other.values, min(self.images, other.images))

    def __truediv__(self, other: "Samples") -> "Samples":
        return Samples(divided(self.values, other.values), min(self.images, other.images))


class CellTotals:
    """Totals over pictures, as measured and in every resample.

    Args:
        counts: (pictures, *shape).
        sums: of each map, of the same shape.
        weights: of the pictures in each resample, (draws, pictures).
    """

    def __init__(self, counts: Floats, sums: Mapping[str, Floats], weights: Floats) -> None:
        self.counts, self.weights = counts, weights
        self._plain_and_drawn = np.vstack([np.full((1, len(counts)), 1 / len(counts)), weights])
        self.count = self._over_pictures(counts)  # (1 + draws, *shape)
        self.total = {name: self._over_pictures(values) for name, values in sums.items()}

    def mean(self, name: str, chosen: Chosen) -> Samples:
        """The mean of a map over the pixels of the chosen cells."""
        return Samples(divided(self.total[name][:, chosen].sum(1), self.count[:, chosen].sum(1)), self.images(chosen))

    def share(self, chosen: Chosen, name: str | None = None) -> Samples:
        """Share of all pixels, or of the sum of a map, in the chosen cells."""
        amount = self.count if name is None else self.total[name]
        flat = amount.reshape(len(amount), -1)
        return Samples(divided(amount[:, chosen].sum(1), flat.sum(1)), self.images(chosen))

    def matched(self, name: str, first: Chosen, second: Chosen) -> Samples:
        """The mean of a map over one group of cells minus that over another, like compared with like.

        The first axis of the cells is what is held equal. Along it the differences are averaged with the weights
        n1 n2 / (n1 + n2), which are those of a regression on group and stratum.

        Args:
            first, second: bool over the other axes.
        """
        count = self.count.reshape(*self.count.shape[:2], -1)
        total = self.total[name].reshape(count.shape)
        chosen = [group.reshape(-1) for group in (first, second)]
        counts = [count[..., group].sum(-1) for group in chosen]  # (1 + draws, strata)
        means = [divided(total[..., group].sum(-1), number) for group, number in zip(chosen, counts, strict=True)]
        weight = divided(counts[0] * counts[1], counts[0] + counts[1])
        present = weight > 0
        difference = np.where(present, weight * (means[0] - means[1]), 0).sum(1)
        per_picture = self.counts.reshape(*self.counts.shape[:2], -1)
        images = min(int(per_picture[..., group].any(axis=(1, 2)).sum()) for group in chosen)
        return Samples(divided(difference, np.where(present, weight, 0).sum(1)), images)

    def images(self, chosen: Chosen) -> int:
        """Number of pictures with pixels in the chosen cells."""
        return int(self.counts[:, chosen].any(axis=1).sum())

    def _over_pictures(self, values: Floats) -> Floats:
        totals: Floats = np.tensordot(self._plain_and_drawn, values, axes=(1, 0))
        return totals


def divided(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where the bottom is 0."""
    result: Floats = np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom != 0)
    return result


def cell_of(values: Tensor, bounds: Sequence[float]) -> Tensor:
    """Index of the bin of each value: 0 below the first bound, len(bounds) from the last on; NOWHERE for NaN."""
    indices = torch.bucketize(values, values.new_tensor(bounds), right=True)
    return torch.where(values.isnan(), torch.full_like(indices, NOWHERE), indices)


def explained(counts: Floats, sums: Floats, squares: Floats, weights: Floats) -> dict[str, Any]:
    """R² of the three models, and what each property adds to the other, with intervals over pictures.

    Args:
        counts: pixels of each picture in each cell, (pictures, strengths, kinds).
        sums, squares: of the attention, of the same shape.
        weights: of the pictures in each resample, (draws, pictures).

    Returns:
        Entries (see `Samples.entry`) by STRENGTH, KIND, BOTH, `kind_given_strength`, `strength_given_kind`; None
        where there is no number: a single picture, or no variance.
    """
    everything = np.vstack([np.full((1, len(counts)), 1 / len(counts)), weights])
    errors = left_out_errors(counts, sums, squares)
    whole = everything @ errors["none"]
    images = int(counts.any(axis=(1, 2)).sum())
    fits = {name: Samples(1 - divided(everything @ errors[name], whole), images) for name in (STRENGTH, KIND, BOTH)}
    measures = fits | {"kind_given_strength": fits[BOTH] - fits[STRENGTH],
                       "strength_given_kind": fits[BOTH] - fits[KIND]}
    return {name: samples.entry() for name, samples in measures.items()}


def left_out_errors(counts: Floats, sums: Floats, squares: Floats) -> dict[str, Floats]:
    """The squared error of each model in each picture, (pictures,), fitted on the other pictures.

    A cell that no other picture has is predicted by its strength alone, a strength that none has by the mean of all.
    `none` is the model of one mean for all.
    """
    other_counts, other_sums = counts.sum(0) - counts, sums.sum(0) - sums
    mean = divided(other_sums.sum((1, 2)), other_counts.sum((1, 2)))[:, None, None]

    def fitted(axis: int | None, otherwise: Floats) -> Floats:
        found = (divided(other_sums, other_counts) if axis is None else
                 divided(other_sums.sum(axis, keepdims=True), other_counts.sum(axis, keepdims=True)))
        result: Floats = np.where(np.isfinite(found), found, otherwise)
        return result

    strength = fitted(2, mean)
    models = {"none": mean, STRENGTH: strength, KIND: fitted(1, mean), BOTH: fitted(None, strength)}
    return {name: (squares - 2 * model * sums + model**2 * counts).sum((1, 2)) for name, model in models.items()}


@dataclass(frozen=True)
class MaskedBatch:
    """Pictures at the size that the nets see them in, (B, …, H, W).

    Attributes:
        names: of the pictures.
        rgb: (B, 3, H, W) in [0, 1].
        means: (B,), of the mask in each picture.
        attention: for MASK and EDGES, (B, 1, H, W): the map over its mean in the picture. 1 is what an average pixel
            of the picture gets; a map that is the same everywhere gives 1 everywhere.
        kept: for the same, bool (B, 1, H, W): the picture's highest pixels, of the share that counts as kept.
        strength: (B, 1, H, W), slope of the brightness in shares of black to white a pixel.
        depth_m: (B, 1, H, W) metres; inf for beyond the data's range, NaN for unknown. None where no depth in metres is
            known or predicted.
        depth_source: TRUE_DEPTH or PREDICTED_DEPTH.
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
        height, width = view.pictures.rgb.shape[-2:]
        predicted_m = None if viewing.depth_net.description.relative else resize(view.target_m, (height, width))
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
