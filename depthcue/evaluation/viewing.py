"""What a measurement looks at: its two nets, scorers, and a data set as the depth net N predicts it.

`Viewing` gives batches of the data at the nets' working size, `View` what N makes of one batch, whole and through
masks. Masks have a setting, a share to keep or a λ. A net of shares takes the share itself. The λ dial of another net
is swept until its masks keep the share; the sweep uses means of masks alone, never depth, so that nothing that is
measured later chooses the λ.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.data import KnownScenes, RgbdBatch, RgbdData
from depthcue.errors import DepthcueError, must_be_one_of, shown
from depthcue.imaging import fit_size
from depthcue.nets import (
    DepthNet,
    MaskNet,
    Setting,
    depth_from,
    load_depth_net,
    load_mask_net,
    load_target_of,
    resize,
    whole_depth,
    working_size,
)
from depthcue.nets.catalog import GENERAL, mask_net_for, warn_of_other_target
from depthcue.nets.units import Units, aligned_units, background
from depthcue.progress import Progress
from depthcue.scorers import ORACLES, SCORERS, Pictures, Scorer, ScorerInputs, build_scorer

log = logging.getLogger(__name__)

ALL = "all"
"""Name that stands for every scorer."""
NAMES = tuple(name for name in SCORERS if name != "mask")
ALIGNED = ("each picture by one scale and shift in what the net predicts, kept for all that it sees of that picture "
           "through masks: to ground truth by least squares where the data has depth (then metres), else, from the "
           "whole picture's prediction alone, to the median 2.7 and mean absolute deviation 0.8 of an average room")
"""Note in results documents on relative nets, whose depths have no unit."""
STEPS = 16
"""Lambdas of a sweep of the dial."""
IMAGES = 64
"""The most images whose masks choose the lambdas."""


class Viewing:
    """Batches of `data` before the frozen `depth_net`, which is on `device` and in eval mode.

    Args:
        multiple: what height and width must be multiples of besides, for a mask net that looks at the same pixels.
        scenes: whether the pictures carry what rendered data knows of its scenes, which costs rendering them again.

    Raises:
        DepthcueError: a batch size below 1.
    """

    def __init__(self, depth_net: DepthNet, data: RgbdData, device: str | torch.device = "cpu", *,
                 batch_size: int = 8, multiple: int = 1, scenes: bool = False) -> None:
        if batch_size < 1:
            raise DepthcueError(f"--batch-size must be at least 1, got {batch_size}", "Usual is 8.")
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


def data_entry(data: RgbdData, without_valid_depth: Sequence[str]) -> dict[str, Any]:
    """`data` of a results document, with the names of pictures whose depth is nowhere valid."""
    return {"spec": data.spec, "without_valid_depth": list(without_valid_depth),
            "unreadable": list(getattr(data, "unreadable", ()))}


class View:
    """One batch before the depth net.

    What a relative net sees is brought to ground truth by a scale and shift for each picture, found for N(I) and kept
    for everything it sees through masks; to units of its own where the data has no depth (see `nets.units`).

    Attributes:
        batch: the pictures and depths as the data set has them.
        pictures: the pictures at the nets' working size.
        normalised: what the depth net takes, (B, 3, H, W).
        target_m: N(I), depth from the whole picture, (B, 1, h, w) metres.

    Raises:
        DepthcueError: the depth net gives NaN or infinity for a picture.
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
        for name, seen in zip(batch.names, self.target_m, strict=True):
            if not bool(torch.isfinite(seen).all()):
                raise DepthcueError(f"{depth_net.description.name} gives NaN or infinity for {shown(name)}",
                                    "Leave this picture out, or find out what the network does with it.")

    def __len__(self) -> int:
        return len(self.batch.names)

    def truth(self, row: int) -> tuple[Tensor, Tensor] | None:
        """Ground truth of one picture, (1, h, w) metres, and where it is valid, bool (1, h, w); None without any."""
        depth_m, valid = self.batch.depth_m, self.batch.valid
        return None if depth_m is None or valid is None else (depth_m[row], valid[row])

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


def load_pair(weights: str | None, target: str | None = None,
              device: str | torch.device = "cpu") -> tuple[MaskNet, DepthNet]:
    """The mask net `weights` names and the depth net it explains, in eval mode on `device`.

    Args:
        weights: None takes the shipped one for `target` (see `mask_net_for`).
        target: spec of the depth net; None takes the one the mask net was trained for, where that is data.

    Raises:
        DepthcueError: a net cannot be loaded, or the mask net does not say for which net it was trained.
    """
    if weights is None:
        weights = mask_net_for(target)
        if weights == GENERAL:
            log.warning("%s has no mask net of its own: what is measured is a first guess, by the general one", target)
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


@dataclass(frozen=True)
class Rivals:
    """Scorers that work here, by name, and those that were left out, with the reason."""

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
            raise must_be_one_of("--against", (*NAMES, ALL), name)
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


@dataclass(frozen=True)
class Sweep:
    """Kept pixels of the masks at each lambda of a dial."""

    lambdas: tuple[float, ...]
    """Rising."""
    means: tuple[float, ...]
    """The mean over images and pixels of the masks of each lambda, in [0, 1]."""

    def for_share(self, share: float) -> float:
        """The lambda whose masks have the mean nearest to `share`."""
        return self.lambdas[int(np.abs(np.array(self.means) - share).argmin())]


def inputs_of(mask_net: MaskNet, setting: Setting, seed: int = 0) -> ScorerInputs:
    """Inputs of `scorers.build_scorer` for the masks of one setting."""
    return ScorerInputs(mask_net, setting.lam, seed, keep=setting.keep)


def setting_of(mask_net: MaskNet, keep: float | None = None, lam: float | None = None) -> Setting:
    """The setting for a share or for a λ; the net's own for neither. A share says nothing to a net of λ.

    Raises:
        DepthcueError: both are given, or one is out of range.
    """
    setting = Setting.of(mask_net.description, keep, lam)
    return setting if mask_net.keeps_shares else Setting(setting.lam)


def setting_for_share(mask_net: MaskNet, viewing: Viewing, share: float, lam: float | None,
                      progress: Progress, name: str = "") -> Setting:
    """The setting whose masks keep about `share` of the pixels, unless a λ is given; see `settings_for`."""
    own = setting_of(mask_net, lam=lam)
    return own if lam is not None else settings_for(mask_net, viewing, [share], own, progress, name)[share]


def settings_for(mask_net: MaskNet, viewing: Viewing, shares: Sequence[float], otherwise: Setting,
                 progress: Progress, name: str = "") -> dict[float, Setting]:
    """Settings whose masks keep about each share; `otherwise` for all where the net has no dial.

    Of a net with a λ dial it is the λ whose masks have the nearest mean. `name` follows "choosing lambda" in progress.
    """
    if not mask_net.has_dial:
        return dict.fromkeys(shares, otherwise)
    if mask_net.keeps_shares:
        return {share: setting_of(mask_net, share) for share in shares}
    indices = viewing.spread(IMAGES)
    progress.start(f"choosing lambda{name}", len(indices))
    sweep = sweep_dial(mask_net, viewing, indices, STEPS, progress)
    return {share: Setting(sweep.for_share(share)) for share in shares}


def sweep_dial(mask_net: MaskNet, viewing: Viewing, indices: Sequence[int], steps: int, progress: Progress) -> Sweep:
    """Measure the masks of `steps` lambdas, evenly in ln lambda over the range of a net that has a dial.

    Args:
        viewing: gives the pictures, at the size that the net sees them in.
        indices: of the images whose masks are looked at; see `Viewing.spread`.
        progress: advanced by one an image.
    """
    span = mask_net.description.lambda_range
    if span is None:
        raise ValueError(f"{mask_net.description.name} has no dial to turn")
    lambdas = np.geomspace(*span, steps).clip(*span).tolist()
    methods = [build_scorer("mask", ScorerInputs(mask_net, lam)) for lam in lambdas]
    totals = np.zeros(steps)
    for _, pictures in viewing.pictures(indices):
        for step, method in enumerate(methods):
            totals[step] += float(method(pictures).mean(dim=(1, 2, 3)).sum())
        progress.advance(len(pictures.indices))
    return Sweep(tuple(lambdas), tuple((totals / len(indices)).tolist()))
