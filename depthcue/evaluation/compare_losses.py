"""Effect of a depth net's losses on its masks: Fig. 8 of Hu et al. (ICCV 2019), as numbers.

The same depth net N is trained three times, from the same start, on the same batches: with l_depth, with l_depth +
l_grad, with l_depth + l_grad + l_normal. For each a mask net G is trained, with all three losses and the same lambda,
so that the depth nets alone differ. Then, on test pictures: how much of each mask lies on surfaces and on small
objects, and how straight its edges are. The paper reads off its figure that l_grad puts more on surfaces, and l_normal
more on small objects and on straighter edges.

Masks are compared at equal sparseness, since a mask that keeps more pixels reaches farther into surfaces whatever it
looks for: shares are of the pixels with the highest values, as many for every mask. Intervals are over images; they say
nothing of what another start of the training would have brought.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.data import KnownScenes, RgbdData, open_data
from depthcue.errors import DepthcueError, check_share
from depthcue.evaluation import statistics
from depthcue.evaluation.images import save_row
from depthcue.evaluation.objects import share_within, small_objects, straightness, surfaces
from depthcue.evaluation.statistics import Tally, TallySummary, mean_entry, shorts
from depthcue.evaluation.viewing import View, Viewing, data_entry, described
from depthcue.nets import DepthNet, MaskNet, load_depth_net, load_mask_net
from depthcue.nets.catalog import MASK_DEFAULTS
from depthcue.progress import Named, Progress, Silent
from depthcue.results import CompareLosses, ResultFolder
from depthcue.scorers import ScorerInputs, build_scorer, keep_top, sobel_edges
from depthcue.training.depth import DepthTraining, depth_recipe
from depthcue.training.mask import MaskTraining, complete, mask_recipe
from depthcue.training.run import OURS

LOSSES = ("depth", "depth+grad", "depth+grad+normal")
"""Each adds one to the one before."""
MEASURES = ("mean", "on_surfaces", "on_small_objects", "straightness")
"""Measures of the masks of each picture."""
MASK, PICTURE = "mask", "picture"
"""Keys of what is measured of masks, and of the regions of pictures whatever the mask."""
Trained = tuple[str, DepthNet, MaskNet]
"""A loss, and the nets trained with it."""


@dataclass(frozen=True)
class CompareLossesSettings:
    """Settings of the measurement of masks."""

    share: float = 0.2
    """Share of pixels that binary masks keep."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4

    def check(self) -> None:
        """Raise DepthcueError unless a share of pixels can be chosen."""
        check_share(self.share, "--share")


def plan(net: str, mask_net: str | None, steps: int | None, mask_steps: int | None, learning_rate: float | None,
         lam: float | None, *, size: tuple[int, int] | None, backbone: str,
         **alike: Any) -> tuple[DepthTraining, MaskTraining]:
    """Plan of the trainings for `train_and_compare`; options that are None get the values of single trainings.

    Args:
        net, mask_net: architectures; a mask net of the depth net's kind where None.
        lam: the one lambda of all masks; the mask net's own where None.
        size, backbone: of the depth net.
        alike: options that all trainings share.

    Raises:
        DepthcueError: no such mask net.
    """
    mask_net = mask_net or (net if net in OURS else "drn22")
    if mask_net not in MASK_DEFAULTS:
        raise DepthcueError(f"there is no mask net called {mask_net!r}", f"Known: {', '.join(MASK_DEFAULTS)}.")
    recipe = {"epochs": None, "learning_rate": learning_rate, "schedule": None, "average": None}
    lam = MASK_DEFAULTS[mask_net].default_lambda if lam is None else lam
    return (DepthTraining(net=net, size=size, backbone=backbone, **alike, **depth_recipe(net, steps=steps, **recipe)),
            MaskTraining(target="", net=mask_net, lam=(lam,), **alike,
                         **mask_recipe(mask_net, steps=mask_steps, **recipe)))


def train_and_compare(depth: DepthTraining, mask: MaskTraining, out: Path,
                      settings: CompareLossesSettings | None = None, limit: int | None = None, device: str = "auto",
                      progress: Progress | None = None) -> CompareLosses:
    """Train the nets for every loss in OUT/runs, where they are not there yet, and `compare_losses` on test data.

    A training that is finished is not run again, and one that was stopped goes on.

    Args:
        depth: how depth nets are trained; its loss is replaced by each of LOSSES. The first of its data sets is the one
            whose test split is measured on.
        mask: how mask nets are trained, for one lambda; its target is replaced by each of the depth nets.
        limit: measure on that many test images.

    Raises:
        DepthcueError: wrong options or data, or runs in OUT/runs of other options.
        KeyboardInterrupt: stopped; the same call goes on from there.
    """
    settings, progress = settings or CompareLossesSettings(), progress or Silent()
    for options in (settings, depth, mask):  # before hours of training
        options.check()
    torch_device = pick_device(device)
    data = open_data(depth.data[0], split="test", limit=limit)
    trained: list[Trained] = []
    for number, loss in enumerate(LOSSES, start=1):
        of = f"{number} of {len(LOSSES)}, {loss}"
        weights = complete(replace(depth, loss=loss), out / "runs" / f"depth-net-{loss}", device,
                           Named(progress, f"depth net {of}"))
        explains = complete(replace(mask, target=str(weights)), out / "runs" / f"mask-net-{loss}", device,
                            Named(progress, f"mask net {of}"))
        trained.append((loss, load_depth_net(str(weights), torch_device), load_mask_net(str(explains), torch_device)))
    return compare_losses(trained, data, out, settings, torch_device, progress)


def compare_losses(trained: Sequence[Trained], data: RgbdData, out: Path | None = None,
                   settings: CompareLossesSettings | None = None,
                   device: str | torch.device = "cpu", progress: Progress | None = None) -> CompareLosses:
    """Compare the masks of depth nets trained with different losses.

    Args:
        trained: nets of one architecture and working size, on `device`, in eval mode; each loss is compared with the
            one before.
        data: with ground truth or without; small objects are known of rendered scenes alone.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: a share out of range, no images, nowhere to write.
    """
    settings, progress = settings or CompareLossesSettings(), progress or Silent()
    settings.check()
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")
    home = ResultFolder(out)  # now, and not when the work is done
    comparison = _LossComparison(trained, data, settings, torch.device(device))
    with torch.inference_mode():
        examples = comparison.measure(home.folder, progress)
    return home.finish(_document(comparison, examples))


class _LossComparison:
    """The measuring itself: nets, data, and the numbers of every image so far."""

    def __init__(self, trained: Sequence[Trained], data: RgbdData, settings: CompareLossesSettings,
                 device: torch.device) -> None:
        self.trained, self.data, self.settings = trained, data, settings
        self.viewings = [Viewing(depth_net, data, device, batch_size=settings.batch_size,
                                 multiple=mask_net.description.multiple, scenes=number == 0)
                         for number, (_, depth_net, mask_net) in enumerate(trained)]
        self.masks = [build_scorer("mask", ScorerInputs(mask_net)) for _, _, mask_net in trained]
        self.tallies = {loss: Tally() for loss, _, _ in trained}
        self.objects_known = isinstance(data, KnownScenes)

    def measure(self, out: Path, progress: Progress) -> list[dict[str, Any]]:
        """Go through the data and return the examples left under OUT."""
        shown = set(self.viewings[0].spread(self.settings.examples))
        examples = []
        progress.start("measuring", len(self.data))
        for views in zip(*(viewing.views() for viewing in self.viewings), strict=True):
            first = views[0]
            masks = [method(view.pictures) for method, view in zip(self.masks, views, strict=True)]
            regions = {"on_surfaces": surfaces(first.pictures), "on_small_objects": small_objects(first.pictures)}
            depths_m = []
            for (loss, _, _), view, mask in zip(self.trained, views, masks, strict=True):
                kept = keep_top(mask, self.settings.share, self.settings.seed)
                depths_m.append(view.through(kept))
                tally = self.tallies[loss]
                tally.add_target(view)
                tally.errors(MASK, view, depths_m[-1])
                tally.add(MASK, "mean", mask.mean(dim=(1, 2, 3)))
                tally.add(MASK, "straightness", straightness(mask))
                for name, region in regions.items():
                    if region is not None:
                        tally.add(MASK, name, share_within(kept, region))
            for name, region in regions.items():
                if region is not None:
                    self.tallies[self.trained[0][0]].add(PICTURE, name, region.flatten(1).float().mean(dim=1))
            for row, index in enumerate(first.pictures.indices):
                if index in shown:
                    examples.append(_example(out, index, row, views, masks, depths_m))
            progress.advance(len(first))
        return examples


def _example(out: Path, index: int, row: int, views: Sequence[View], masks: Sequence[Tensor],
             depths_m: Sequence[Tensor]) -> dict[str, Any]:
    batch = views[0].batch
    return save_row(out, f"{index:06d}", batch.names[row], batch.rgb[row], sobel_edges(views[0].pictures.rgb)[row],
                    [mask[row] for mask in masks], [view.target_m[row] for view in views],
                    [depth_m[row] for depth_m in depths_m], views[0].truth(row))


def _document(comparison: _LossComparison, examples: list[dict[str, Any]]) -> CompareLosses:
    """The results document, schema 1.

    Beside the fields every document has: `losses` (one a loss: its name `loss`, `weights` and `target_net`, `lambda`,
    `whole`, the errors of N on whole pictures, `by_mask`, its errors by the kept pixels, and `masks`, the MEASURES with
    intervals), `changes` (for each loss after the first, and for the last against the first: `loss`, `minus`, and of
    every measure the paired difference and its interval), `share` (of the pixels kept), `regions` (the share of the
    pictures that is surface or small objects: what a mask without preference would have), `small_objects_known`,
    `examples` and `per_image`. `on_surfaces` and `on_small_objects` are shares of the kept pixels, `straightness` is
    that of the soft mask; without known objects there is no `on_small_objects`.
    """
    settings = comparison.settings
    summaries = {loss: TallySummary(tally, settings.draws, settings.seed) for loss, tally in comparison.tallies.items()}
    losses = list(summaries)
    first = summaries[losses[0]]
    measured = [measure for measure in MEASURES if (MASK, measure) in first.values]
    changes = list(zip(losses[1:], losses, strict=False))
    if len(losses) > 2:
        changes.append((losses[-1], losses[0]))
    return CompareLosses.made(
        losses=[{
            "loss": loss, "weights": described(mask_net), "target_net": described(depth_net),
            "lambda": mask_net.description.default_lambda,
            "size": [depth_net.description.height, depth_net.description.width],
            "trained_on": depth_net.card.get("training", {}).get("data", []),
            "steps": [net.card.get("training", {}).get("steps") for net in (depth_net, mask_net)],
            "whole": summaries[loss].of_target(), "by_mask": summaries[loss].of(MASK),
            "masks": {measure: summaries[loss].mean(MASK, measure) for measure in measured}
            | {f"{measure}_ci95": summaries[loss].mean_interval(MASK, measure) for measure in measured},
        } for loss, depth_net, mask_net in comparison.trained],
        changes=[{"loss": loss, "minus": before, **_change(summaries[loss], summaries[before], measured)}
                 for loss, before in changes],
        data=data_entry(comparison.data, first.without_depth()),
        seed=settings.seed, images=len(first.names), ground_truth=first.ground_truth, share=settings.share,
        small_objects_known=comparison.objects_known,
        regions={name: first.mean(PICTURE, name) for name in measured if (PICTURE, name) in first.values},
        examples=examples,
        per_image={"names": first.names, "masks": {
            loss: {measure: shorts(summary.values[MASK, measure]) for measure in measured}
            for loss, summary in summaries.items()}},
    )


def _change(after: TallySummary, before: TallySummary, measured: Sequence[str]) -> dict[str, Any]:
    """The difference of every measure on the same images, with its interval."""
    entry: dict[str, Any] = {}
    for measure in measured:
        entry |= mean_entry(measure, after.values[MASK, measure] - before.values[MASK, measure], after.weights)
    return entry
