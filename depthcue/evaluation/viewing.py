"""A data set as a depth net N predicts it, whole and through masks; and the two nets of a measurement."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.data import KnownScenes, RgbdBatch, RgbdData
from depthcue.errors import DepthcueError, did_you_mean
from depthcue.evaluation.statistics import short
from depthcue.imaging import fit_size
from depthcue.nets import (
    DepthNet,
    MaskNet,
    depth_from,
    load_depth_net,
    load_mask_net,
    load_target_of,
    resize,
    whole_depth,
    working_size,
)
from depthcue.nets.catalog import warn_of_other_target
from depthcue.nets.units import Units, aligned_units, background
from depthcue.scorers import ORACLES, SCORERS, Pictures, Scorer, ScorerInputs, build_scorer


class Viewing:
    """Batches of `data` before the frozen `depth_net`, which is on `device` and in eval mode.

    Args:
        multiple: what height and width must be multiples of besides, for a mask net that looks at the same pixels.
        scenes: whether the pictures carry what rendered data knows of its scenes, which costs rendering them again.
    """

    def __init__(self, depth_net: DepthNet, data: RgbdData, device: str | torch.device = "cpu", *,
                 batch_size: int = 8, multiple: int = 1, scenes: bool = False) -> None:
        self.depth_net, self.data, self.device = depth_net, data, torch.device(device)
        self.batch_size = batch_size
        self.scenes = scenes
        # one size for all nets, so that a mask lies on the depth net's own pixels
        self.multiple = lcm(depth_net.description.multiple, multiple)

    def pictures(self, indices: Sequence[int] | None = None) -> Iterator[tuple[RgbdBatch, Pictures]]:
        """Batches as the data has them, and as the nets see them: (B, 3, H, W) at the depth net's working size."""
        indices = range(len(self.data)) if indices is None else indices
        for start in range(0, len(indices), self.batch_size):
            chosen = list(indices[start:start + self.batch_size])
            batch = self.data.evaluation_batch(chosen, self.device)
            truth = self.data.truth(chosen, self.device) if self.scenes and isinstance(self.data, KnownScenes) else None
            yield batch, Pictures(self._fit(batch.rgb), chosen, batch.depth_m, batch.valid,
                                  None if truth is None else truth.edges, None if truth is None else truth.object_id)

    def views(self) -> Iterator["View"]:
        """Batches with what the net makes of them."""
        for batch, pictures in self.pictures():
            yield View(self.depth_net, batch, pictures, self.data.max_depth_m)

    def spread(self, count: int) -> list[int]:
        """Up to `count` indices, evenly over the data."""
        count = min(len(self.data), count)
        return [position * len(self.data) // count for position in range(count)]

    def _fit(self, rgb: Tensor) -> Tensor:
        working = working_size(self.depth_net.description, self.multiple)
        return resize(rgb, fit_size(rgb.shape[2], rgb.shape[3], working=working, multiple=self.multiple))


class View:
    """One batch before the depth net.

    What a relative net sees is brought to ground truth by a scale and shift for each picture, found for N(I) and kept
    for everything it sees through masks; to units of its own where the data has no depth (see `nets.units`).

    Attributes:
        batch: the pictures and depths as the data set has them.
        pictures: the pictures at the nets' working size.
        normalised: what the depth net takes, (B, 3, H, W).
        target_m: N(I), depth from the whole picture, (B, 1, h, w) metres.
    """

    def __init__(self, depth_net: DepthNet, batch: RgbdBatch, pictures: Pictures, far_m: float) -> None:
        self._depth_net = depth_net
        self.batch, self.pictures = batch, pictures
        self.normalised = depth_net.normalise(pictures.rgb)
        if depth_net.description.relative and batch.depth_m is not None:
            whole = depth_net(self.normalised)
            self._units: Units | None = aligned_units(depth_net.description, whole, batch.depth_m, batch.valid, far_m)
            self.target_m = self._units.to_depth(whole)
        else:
            self.target_m, self._units = whole_depth(depth_net, self.normalised)

    def __len__(self) -> int:
        return len(self.batch.names)

    def through(self, kept: Tensor, fill: str = "mean", rows: Sequence[int] | None = None) -> Tensor:
        """N(I ⊗ kept) in metres, (B, 1, h, w), for a mask (B, 1, H, W), soft in [0, 1] or boolean.

        Args:
            fill: what hidden pixels show, one of `nets.units.FILLS`.
            rows: the pictures that `kept` is for, by their row in the batch; all where None.
        """
        normalised, indices, units = self.normalised, self.pictures.indices, self._units
        if rows is not None:
            chosen = list(rows)
            normalised, indices = normalised[chosen], [indices[row] for row in chosen]
            units = None if units is None else units.of(chosen)
        shown = background(fill, self._depth_net, normalised, indices=indices)
        return depth_from(self._depth_net, normalised, kept.to(normalised.dtype), units=units, shown=shown)


ALIGNED = ("each picture by one scale and shift in what the net predicts, kept for all that it sees of that picture "
           "through masks: to ground truth by least squares where the data has depth (then metres), else, from the "
           "whole picture's prediction alone, to the median 2.7 and mean absolute deviation 0.8 of an average room")
"""Note in results documents on relative nets, whose depths have no unit."""


def load_pair(weights: str, target: str | None = None, device: str | torch.device = "cpu") -> tuple[MaskNet, DepthNet]:
    """The mask net `weights` names and the depth net it explains, in eval mode on `device`.

    Args:
        target: spec of the depth net; None takes the one the mask net was trained for, where that is data.

    Raises:
        DepthcueError: a net cannot be loaded, or the mask net does not say for which net it was trained.
    """
    mask_net = load_mask_net(weights, device)
    if target is not None:
        warn_of_other_target(mask_net.description, weights, target)
        return mask_net, load_depth_net(target, device)
    trained_for = mask_net.description.target
    try:
        return mask_net, load_target_of(mask_net.description, weights, device)
    except DepthcueError as error:
        raise error.within(f"the depth net that {weights} was trained for ({trained_for or 'not named'}) "
                           "cannot be loaded",
                           "Or name another with --target." if trained_for else None) from error


def described(net: MaskNet | DepthNet) -> dict[str, Any]:
    """A net as results documents name it; of a relative depth net also how its depths came to be comparable."""
    named = {"name": net.description.name, "sha256": net.card.get("sha256")}
    if isinstance(net, DepthNet) and net.description.relative:
        named |= {"relative": True, "predicts": net.description.predicts, "aligned": ALIGNED}
    return named


ALL = "all"
"""Name that stands for every scorer."""
NAMES = tuple(name for name in SCORERS if name != "mask")


@dataclass(frozen=True)
class Rivals:
    """Ways to choose pixels that work here, by name, and those that were left out, with the reason."""

    scores: dict[str, Scorer]
    left_out: dict[str, str]


def wants_scenes(against: Sequence[str]) -> bool:
    """Whether any of these scorers needs what rendered data knows of its scenes."""
    return bool({ALL, "object-boundaries"} & set(against))


def choose_rivals(against: Sequence[str], inputs: ScorerInputs, viewing: Viewing) -> Rivals:
    """Scorers called `against`, which may be or hold "all".

    Of all, those that cannot work here are left out: the depth net passes no gradients on, the data does not have the
    truth that an oracle needs (found out on its first picture), a package is not installed.

    Raises:
        DepthcueError: there is no such scorer, or one given by its name cannot work here.
    """
    for name in against:
        if name not in (*NAMES, ALL):
            raise DepthcueError(f"--against must be one of {', '.join(NAMES)}, {ALL}, got {name!r}",
                                f"{did_you_mean(name, NAMES)}Choose --against from: {', '.join(NAMES)}, {ALL}.")
    scores: dict[str, Scorer] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(NAMES if ALL in against else against):
        try:
            scorer = build_scorer(name, inputs)
            if name in ORACLES:
                _, first = next(viewing.pictures([0]))
                scorer(first)
        except DepthcueError as error:
            if name in against:
                raise
            left_out[name] = error.message
        else:
            scores[name] = scorer
    return Rivals(scores, left_out)


class Stopwatch:
    """Clock of the time that each scorer takes for the pictures of a batch."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ms: dict[str, list[float]] = {}

    def score(self, name: str, scorer: Scorer, pictures: Pictures) -> Tensor:
        """The scores (B, 1, H, W) of `pictures`, and the time it took, kept."""
        self._wait()
        start = time.perf_counter()
        scores = scorer(pictures)
        self._wait()
        self._ms.setdefault(name, []).append(1000 * (time.perf_counter() - start) / len(pictures.rgb))
        return scores

    def cost_ms(self) -> dict[str, dict[str, Any]]:
        """Milliseconds a picture of each scorer: median, quartiles, and how many batches they are of.

        Where there are several batches the first is left out: it also pays for what is done once.
        """
        costs = {}
        for name, all_ms in self._ms.items():
            timed = np.array(all_ms[1:] or all_ms)
            costs[name] = {"median": short(float(np.median(timed))),
                           "quartiles": [short(float(end)) for end in np.quantile(timed, (0.25, 0.75))],
                           "batches": len(timed)}
        return costs

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
