"""Steadiness of kept pixels in a video: the mask of one frame carried into the next along the camera's true motion.

Frames of a walk with depth and poses say which pixels of two frames show the same point. Where both frames see it, a
steady mask keeps it in both or in neither. Three numbers are measured of a pair of frames:

    overlap            2 |A ∩ B| / (|A| + |B|) of the pixels kept in each, over the points that both frames see
    overlap_unaligned  the same at equal pixels, as if the camera had not moved
    depth_change       how much the depth net's own error changes: mean |Δ log(N(I) / true depth)| over those points

The mask is measured as it is and through `frames.motion.SteadyMaps`, which follows estimated motion and knows no poses;
edges and chance stand beside them. What steadiness costs is the error of N through the kept pixels. Neighbouring frames
are alike, so intervals are over runs of RUN frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.data import KnownMotion, open_motion
from depthcue.errors import DepthcueError, check_share
from depthcue.evaluation import statistics
from depthcue.evaluation.images import map_of, nearest, picture_of, truth_map
from depthcue.evaluation.metrics import mean_squared_difference
from depthcue.evaluation.statistics import mean_entry, pair, short, shorts
from depthcue.evaluation.viewing import (
    View,
    Viewing,
    choose_rivals,
    described,
    inputs_of,
    load_pair,
    setting_for_share,
)
from depthcue.frames.motion import STRENGTH, SteadyMaps
from depthcue.nets import DepthNet, MaskNet
from depthcue.progress import Progress, Silent
from depthcue.results import MASK, STEADY, ResultFolder, Steadiness
from depthcue.scorers import ScorerInputs, build_scorer, keep_top

RUN = 10
"""Frames that are one draw of the bootstrap."""
SAME_WITHIN = 0.05
"""Two frames see one point where its depth in one, moved into the other, is the other's within this share."""


@dataclass(frozen=True)
class SteadinessSettings:
    """Settings of the measurement of steadiness."""

    against: tuple[str, ...] = ("sobel", "random")
    """Scorers to set beside the mask."""
    keep: float = 0.2
    strength: float = STRENGTH
    """Share of the last frame in the steady mask; see `SteadyMaps`."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS


def steadiness_specs(weights: str | None, target: str | None, data: str, out: Path | None = None,
                     settings: SteadinessSettings | None = None, limit: int | None = None, device: str = "auto",
                     progress: Progress | None = None) -> Steadiness:
    """`steadiness` on nets and data given by their specs; `limit` takes that many frames from the beginning.

    Raises:
        DepthcueError: also where a spec cannot be opened, or the data has no poses.
    """
    torch_device = pick_device(device)
    mask_net, depth_net = load_pair(weights, target, torch_device)
    return steadiness(mask_net, depth_net, open_motion(data, limit), out, settings, torch_device, progress)


def steadiness(mask_net: MaskNet, depth_net: DepthNet, data: KnownMotion, out: Path | None = None,
               settings: SteadinessSettings | None = None, device: str | torch.device = "cpu",
               progress: Progress | None = None) -> Steadiness:
    """Measure how steady the mask is from frame to frame, beside edges and the depth itself.

    Args:
        mask_net, depth_net: on `device`, in eval mode.
        data: frames in the order of time.
        out: folder for results.json; None leaves it to the result's `save`.

    Raises:
        DepthcueError: a wrong share, scorer or strength, OpenCV is not installed, fewer than two frames in a row.
    """
    settings, progress = settings or SteadinessSettings(), progress or Silent()
    check_share(settings.keep, "--keep")
    if not any(data.follows(index) for index in range(1, len(data))):
        raise DepthcueError(f"{data.spec} has no two frames in a row", "Give more frames.")
    home = ResultFolder(out)
    with torch.inference_mode():
        walk = _Walk(mask_net, depth_net, data, settings, torch.device(device), progress)
        progress.start("following pixels", len(data))
        for view in walk.viewing.views():
            walk.measure(view)
            progress.advance(len(view))
    return home.finish(_document(walk))


@dataclass(frozen=True)
class _Frame:
    """Values of a frame that are held until the next is measured; arrays (h, w) at the nets' working size."""

    depth_m: NDArray[np.float32]
    kept: Mapping[str, NDArray[np.bool_]]
    relative_error: NDArray[np.float32]
    """N(I) by the true depth."""


class _Walk:
    """The measuring: nets, data, and the numbers of every frame and pair so far."""

    def __init__(self, mask_net: MaskNet, depth_net: DepthNet, data: KnownMotion, settings: SteadinessSettings,
                 device: torch.device, progress: Progress) -> None:
        self.mask_net, self.depth_net, self.data, self.settings = mask_net, depth_net, data, settings
        self.viewing = Viewing(depth_net, data, device, batch_size=settings.batch_size,
                               multiple=mask_net.description.multiple)
        setting = setting_for_share(mask_net, self.viewing, settings.keep, None, progress)
        rivals = choose_rivals(settings.against, ScorerInputs(mask_net, setting.lam, settings.seed, depth_net),
                               self.viewing)
        self.scorers = {MASK: build_scorer("mask", inputs_of(mask_net, setting, settings.seed)), **rivals.scores}
        self.steady = SteadyMaps(settings.strength)
        self.methods = (MASK, STEADY, *list(self.scorers)[1:])
        self.squares: dict[str, list[float]] = {method: [] for method in self.methods}
        """Mean squared difference to N(I) of each frame, metres²."""
        self.pairs: dict[tuple[str, str], list[float]] = {}
        """Numbers of each pair, by method and measure."""
        self.later: list[int] = []
        """The later frame of each pair."""
        self._last: _Frame | None = None

    def measure(self, view: View) -> None:
        """Add the frames of one batch, and the pairs that end in it."""
        maps = {name: score(view.pictures) for name, score in self.scorers.items()}
        maps[STEADY] = torch.stack([self._steadied(view, maps[MASK], row) for row in range(len(view))])
        kept = {method: keep_top(maps[method], self.settings.keep, self.settings.seed) for method in self.methods}
        for method, pixels in kept.items():
            self.squares[method] += mean_squared_difference(view.through(pixels), view.target_m).tolist()
        for row, index in enumerate(view.pictures.indices):
            frame = self._frame(view, row, {method: pixels[row, 0].cpu().numpy() for method, pixels in kept.items()})
            if self._last is not None and self.data.follows(index):
                self._compare(self._last, frame, index, (view.batch.rgb.shape[2], view.batch.rgb.shape[3]))
            self._last = frame

    def _steadied(self, view: View, masks: Tensor, row: int) -> Tensor:
        if not self.data.follows(view.pictures.indices[row]):
            self.steady = SteadyMaps(self.settings.strength)
        values = self.steady(picture_of(view.pictures.rgb[row]), map_of(masks[row]))
        return torch.from_numpy(values)[None].to(masks)

    def _frame(self, view: View, row: int, kept: Mapping[str, NDArray[np.bool_]]) -> _Frame:
        batch = view.batch
        assert batch.depth_m is not None and batch.valid is not None
        height, width = view.pictures.rgb.shape[2:]
        depth_m = nearest(truth_map(batch.depth_m[row], batch.valid[row]), (height, width))
        seen_m = nearest(map_of(view.target_m[row]), (height, width))
        with np.errstate(divide="ignore", invalid="ignore"):
            return _Frame(depth_m, kept, seen_m / depth_m)

    def _compare(self, earlier: _Frame, later: _Frame, index: int, size: tuple[int, int]) -> None:
        height, width = later.depth_m.shape
        intrinsics = np.diag((width / size[1], height / size[0], 1.0)) @ self.data.intrinsics
        rows, columns, both = matching_pixels(earlier.depth_m, later.depth_m, intrinsics, self.data.pose(index - 1),
                                              self.data.pose(index))
        if not both.any():
            return
        self.later.append(index)
        self._add("", "seen_in_both", float(both.mean()))
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(np.log(later.relative_error[both]) - np.log(earlier.relative_error[rows, columns][both]))
        change = change[np.isfinite(change)]
        self._add("", "depth_change", float(change.mean()) if change.size else float("nan"))
        for method in self.methods:
            carried, here = earlier.kept[method][rows, columns] & both, later.kept[method] & both
            self._add(method, "overlap", overlap(carried, here))
            self._add(method, "overlap_unaligned", overlap(earlier.kept[method], later.kept[method]))

    def _add(self, method: str, measure: str, value: float) -> None:
        self.pairs.setdefault((method, measure), []).append(value)


def matching_pixels(earlier_m: NDArray[np.float32], later_m: NDArray[np.float32], intrinsics: NDArray[np.float64],
                    earlier_pose: NDArray[np.float64], later_pose: NDArray[np.float64],
                    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """For each pixel of the later frame, the pixel of the earlier frame that shows the same point.

    Args:
        earlier_m, later_m: depth (h, w) in metres; NaN, infinite or not positive where it is not known.
        intrinsics: (3, 3) in pixels of these maps, from the corner of the first.
        earlier_pose, later_pose: camera-to-world, (4, 4) metres.

    Returns:
        Rows and columns in the earlier frame, int (h, w), and where both frames see the point, bool (h, w).
    """
    height, width = later_m.shape
    known = np.isfinite(later_m) & (later_m > 0)
    depth = np.where(known, later_m, 1.0).astype(np.float64)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack((columns, rows, np.ones_like(rows))).reshape(3, -1)
    points = np.linalg.inv(intrinsics) @ rays * depth.ravel()
    motion = np.linalg.inv(earlier_pose) @ later_pose
    moved = motion[:3, :3] @ points + motion[:3, 3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        column, row, _ = (intrinsics @ moved / moved[2]).reshape(3, height, width)
    moved_m = moved[2].reshape(height, width)
    inside = known & (moved_m > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    at = (np.where(inside, row, 0).astype(np.int64), np.where(inside, column, 0).astype(np.int64))
    with np.errstate(invalid="ignore"):
        same = np.abs(earlier_m[at] - moved_m) < SAME_WITHIN * moved_m
    return *at, inside & same


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice's coefficient 2 |A ∩ B| / (|A| + |B|): the share of kept pixels that stay kept; NaN where none is kept."""
    count = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / count if count else float("nan")


def _document(walk: _Walk) -> Steadiness:
    """The results document, schema 1.

    Beside the fields every document has: `weights`, `target_net`, `data`, `images` (frames), `pairs`, `share` kept,
    `strength` of the steady mask, `run` (frames that are one draw of the bootstrap), `seen_in_both` (share of pixels),
    `depth_change`, and `ways`: for the mask, the steady mask and each scorer `overlap`, `overlap_unaligned` and
    `rmse_to_target` with intervals; for all but the mask also the difference to it, `…_minus_mask`, and the error as a
    multiple of the mask's, `rmse_times_mask`. `per_pair` has the overlaps of every pair, and the index of its later
    frame.
    """
    settings = walk.settings
    runs_of_pairs, runs_of_frames = _runs(walk.later), _runs(range(len(walk.data)))
    weights = statistics.resampling_weights(int(runs_of_pairs.max()) + 1, settings.draws, settings.seed)
    frame_weights = statistics.resampling_weights(int(runs_of_frames.max()) + 1, settings.draws, settings.seed)

    def pairs(method: str, measure: str) -> NDArray[np.float64]:
        return _means(np.array(walk.pairs[method, measure]), runs_of_pairs)

    def mean(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
        return mean_entry(name, values, weights)

    squares = {method: _means(np.array(values), runs_of_frames) for method, values in walk.squares.items()}
    by_method: dict[str, Any] = {}
    for method in walk.methods:
        mse = squares[method]
        by_method[method] = {**mean("overlap", pairs(method, "overlap")),
                             **mean("overlap_unaligned", pairs(method, "overlap_unaligned")),
                             "rmse_to_target": short(float(np.sqrt(mse.mean()))),
                             "rmse_to_target_ci95": pair(statistics.rmse_interval(mse, frame_weights))}
        if method != MASK:
            times = np.sqrt((frame_weights @ mse) / (frame_weights @ squares[MASK]))
            by_method[method] |= {**mean("overlap_minus_mask", pairs(method, "overlap") - pairs(MASK, "overlap")),
                                  "rmse_times_mask": short(float(np.sqrt(mse.mean() / squares[MASK].mean()))),
                                  "rmse_times_mask_ci95": pair(statistics.percentile_interval(times))}
    return Steadiness.made(
        weights=described(walk.mask_net), target_net=described(walk.depth_net),
        data={"spec": walk.data.spec}, seed=settings.seed, images=len(walk.data), ground_truth=True,
        pairs=len(walk.later), runs=int(runs_of_pairs.max()) + 1, share=settings.keep, strength=settings.strength,
        run=RUN, batch_size=settings.batch_size, **mean("seen_in_both", pairs("", "seen_in_both")),
        **mean("depth_change", pairs("", "depth_change")), ways=by_method,
        per_pair={"frame": walk.later, "overlap": {
            method: shorts(np.array(walk.pairs[method, "overlap"])) for method in walk.methods}})


def _runs(frames: list[int] | range) -> NDArray[np.int64]:
    """Run of each frame, numbered from 0 without gaps."""
    return np.unique(np.array(frames) // RUN, return_inverse=True)[1].astype(np.int64)


def _means(values: NDArray[np.float64], runs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each run, NaN left out."""
    return np.array([np.nanmean(values[runs == run]) for run in range(int(runs.max()) + 1)])
