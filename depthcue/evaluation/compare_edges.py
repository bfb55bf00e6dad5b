"""Mask against edges, chance and other scorers: the error of a depth net that gets only a share of the pixels.

After Fig. 5 of Hu et al. (ICCV 2019): for a picture I, a depth net N and a scorer, measure N(I * kept) with exactly the
same number of pixels kept for every scorer, at shares 0.1 to 0.9. The scorer under test is the mask M = G(I); Sobel
edges and random pixels stand against it, or any other of `scorers.SCORERS`, and what each costs is measured in the same
run. Errors are against ground truth where the data has it, and always against N(I). Beside them the soft maps: M
itself, M' = M > 0.025, and the others' maps scaled to the mean of M. Deviation: a mask net of shares gives a mask for
each share itself. One with a lambda dial gives a mask of about that share, its lambda found by a short sweep that looks
at mask means alone, never at depth; the paper's nets have one lambda each.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.backends.frozen import frozen_depth, frozen_mask
from depthcue.data import RgbdData, open_data
from depthcue.errors import DepthcueError, check_share
from depthcue.evaluation import statistics, viewing
from depthcue.evaluation.images import Step, save_example, save_still
from depthcue.evaluation.statistics import Stopwatch, Tally, TallySummary, short
from depthcue.evaluation.viewing import (
    Sweep,
    View,
    Viewing,
    choose_rivals,
    data_entry,
    described,
    inputs_of,
    load_pair,
    setting_of,
    sweep_dial,
    wants_scenes,
)
from depthcue.nets import DepthNet, MaskNet, Setting, load_mask_net
from depthcue.progress import Progress, Silent
from depthcue.results import CompareEdges, ResultFolder
from depthcue.scorers import (
    THRESHOLD,
    DirectSettings,
    Pictures,
    ScorerInputs,
    binarise,
    build_scorer,
    keep_first,
    rank_pixels,
    scale_to_mean,
    sobel_edges,
    sparseness,
)

if TYPE_CHECKING:
    from depthcue.training.mask import TrainedMask

SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))


@dataclass(frozen=True)
class CompareEdgesSettings:
    """Settings of the comparison with edges."""

    against: tuple[str, ...] = ("sobel", "random")
    """Names in `scorers.SCORERS`, or "all" for all that can work."""
    direct: DirectSettings = DirectSettings()
    """Settings by which `direct` minimises Eq. (3), at `lam` or the mask net's own lambda; the seed is the
    comparison's."""
    shares: tuple[float, ...] = SHARES
    """Sparsenesses: shares of the pixels kept."""
    lam: float | None = None
    """One lambda for all; None asks a net with a dial for each share."""
    soft_maps: bool | None = None
    """Whether to measure soft maps too: about as much work as all the rest. None: for nets that take λ, whose masks are
    soft; those of a net of shares are nearly binary."""
    sweep_steps: int = viewing.STEPS
    sweep_images: int = viewing.IMAGES
    """The most images whose masks choose the lambdas, spread over the data."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4
    example_share: float = 0.2
    gallery: bool = True
    """Whether to leave the examples with their masks at every lambda, for a page to turn through."""


def compare_specs(weights: str | None, target: str | None, data: str, out: Path | None = None,
                  settings: CompareEdgesSettings | None = None,
                  limit: int | None = None, device: str = "auto", progress: Progress | None = None) -> CompareEdges:
    """`compare_edges` on nets and test data given by their specs; `limit` takes that many images.

    Raises:
        DepthcueError: also where a spec cannot be opened.
    """
    torch_device = pick_device(device)
    mask_net, depth_net = load_pair(weights, target, torch_device)
    opened = open_data(data, split="test", limit=limit)
    return compare_edges(mask_net, depth_net, opened, out, settings, torch_device, progress)


def compare_edges(mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, out: Path | None = None,
                  settings: CompareEdgesSettings | None = None,
                  device: str | torch.device = "cpu", progress: Progress | None = None) -> CompareEdges:
    """Measure `mask_net` against other ways to choose pixels.

    Args:
        mask_net, depth_net: on `device`, in eval mode.
        data: with ground truth or without.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: an unknown method or one that cannot work here, a lambda outside the net's range, no images,
            nowhere to write.
    """
    settings = settings or CompareEdgesSettings()
    progress = progress or Silent()
    setting_of(mask_net, lam=settings.lam)
    for share in settings.shares:
        check_share(share, "--keep")
    settings.direct.check()
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")
    comparison = _EdgeComparison(mask_net, depth_net, data, settings, torch.device(device))
    home = ResultFolder(out)  # now, and not when the work is done
    with torch.inference_mode():
        comparison.choose_settings(progress)
        progress.start("comparing", len(data))
        examples, stills = [], []
        for view in comparison.viewing.views():
            measured = comparison.measure(view, progress)
            examples += comparison.examples(view, measured, home.folder)
            stills += comparison.stills(view, measured, home.folder)
    return home.finish(_document(comparison, examples, stills))


def check_trained(trained: "TrainedMask", out: Path, seed: int = 0, progress: Progress | None = None) -> CompareEdges:
    """`compare_edges` at 20% of the pixels on the pictures that a training kept aside: what its mask net is good for.

    Raises:
        ValueError: it kept none aside.
    """
    if trained.aside is None:
        raise ValueError("no pictures were kept aside")
    device = trained.target.get_buffer("_mean").device
    settings = CompareEdgesSettings(shares=(CompareEdgesSettings.example_share,), soft_maps=False, gallery=False,
                                    examples=2, seed=seed)
    return compare_edges(load_mask_net(str(trained.weights), device), trained.target, trained.aside, out, settings,
                         device, progress)


@dataclass(frozen=True)
class _Measured:
    """Values that the shown pictures of a batch are drawn from; see `_EdgeComparison`.

    Attributes:
        rows: those of the batch that are shown.
        masks: of the whole batch, for each setting.
        kept: of the whole batch, the pixels that each method keeps at the share of the examples.
        depths_m: of `rows` alone, the depth through these pixels.
        soft_m: of `rows` alone, the depth through the masks of each setting; empty where soft maps are left out.
    """

    rows: list[int]
    masks: dict[Setting, Tensor]
    kept: dict[str, Tensor]
    depths_m: dict[str, Tensor]
    soft_m: dict[Setting, Tensor]


class _EdgeComparison:
    """The measuring itself: nets, data, the settings of the mask net, and the errors of every image so far."""

    def __init__(self, mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, settings: CompareEdgesSettings,
                 device: torch.device) -> None:
        self.mask_net, self.depth_net, self.data, self.settings = mask_net, depth_net, data, settings
        self.with_soft = not mask_net.keeps_shares if settings.soft_maps is None else settings.soft_maps
        shares = len(settings.shares)
        # about how often each net runs
        self._quick_mask = frozen_mask(mask_net, len(data) * (shares if mask_net.has_dial else 1))
        quick_depth = frozen_depth(depth_net, len(data) * shares * (1 + len(settings.against)) * (1 + self.with_soft))
        self.viewing = Viewing(quick_depth, data, device, batch_size=settings.batch_size,
                               multiple=mask_net.description.multiple, scenes=wants_scenes(settings.against))
        inputs = ScorerInputs(mask_net, settings.lam, settings.seed, depth_net,
                             replace(settings.direct, seed=settings.seed))
        self.rivals = choose_rivals(settings.against, inputs, self.viewing)
        self.watch = Stopwatch(device)
        self.sweep: Sweep | None = None
        self.settings_at: dict[float, Setting] = {}
        """Setting of the mask net for each share of pixels."""
        self.tally = Tally()

    def choose_settings(self, progress: Progress) -> None:
        """Find the setting whose masks keep each share; one for all where λ is fixed."""
        net, settings = self.mask_net, self.settings
        if settings.lam is not None or not net.has_dial:
            self.settings_at = dict.fromkeys(settings.shares, setting_of(net, lam=settings.lam))
        elif net.keeps_shares:
            self.settings_at = {share: setting_of(net, share) for share in settings.shares}
        else:
            indices = self.viewing.spread(settings.sweep_images)
            progress.start("choosing lambda", len(indices))
            self.sweep = sweep_dial(self._quick_mask, self.viewing, indices, settings.sweep_steps, progress)
            self.settings_at = {share: Setting(self.sweep.for_share(share)) for share in settings.shares}

    def settings_used(self) -> list[Setting]:
        """Settings in use, those that keep most first."""
        return sorted(set(self.settings_at.values()),
                      key=lambda one: -one.keep if one.keep is not None else one.lam or 0.0)

    def _mask(self, pictures: Pictures, setting: Setting) -> Tensor:
        return build_scorer("mask", inputs_of(self._quick_mask, setting, self.settings.seed))(pictures)  # (B, 1, H, W)

    def measure(self, view: View, progress: Progress) -> _Measured:
        """Add one batch to what is collected; give what its examples are drawn from."""
        used = self.settings_used()
        others = {one: self._mask(view.pictures, one) for one in used[1:]}
        # timed after the others, which may have paid for what is done once
        masks = {one: self.watch.score("mask", partial(self._mask, setting=one), view.pictures) for one in used[:1]}
        masks |= others
        scores = {name: self.watch.score(name, score, view.pictures) for name, score in self.rivals.scores.items()}
        ranks = {name: rank_pixels(score, self.settings.seed) for name, score in scores.items()}
        mask_ranks = {one: rank_pixels(mask, self.settings.seed) for one, mask in masks.items()}
        self.tally.add_target(view)
        measured = _Measured(self._shown(view), masks, {}, {}, {})
        for share, one in self.settings_at.items():
            for name, method_ranks in {"mask": mask_ranks[one], **ranks}.items():
                kept = keep_first(method_ranks, share)
                depth_m = view.through(kept)
                self.tally.errors(_curve(name, share), view, depth_m)
                if share == self._example_share:
                    measured.kept[name], measured.depths_m[name] = kept, depth_m[measured.rows]
        for one, mask in masks.items() if self.with_soft else ():
            mean = mask.mean(dim=(1, 2, 3))
            binary = binarise(mask)
            depth_m = view.through(mask)
            measured.soft_m[one] = depth_m[measured.rows]
            self.tally.add(_soft("mask", one), "mean", mean)
            self.tally.add(_soft("binary", one), "mean", sparseness(binary))
            self.tally.errors(_soft("mask", one), view, depth_m)
            self.tally.errors(_soft("binary", one), view, view.through(binary))
            for name, score in scores.items():
                scaled = scale_to_mean(score, mean)
                self.tally.add(_soft(name, one), "mean", scaled.mean(dim=(1, 2, 3)))
                self.tally.errors(_soft(name, one), view, view.through(scaled))
        progress.advance(len(view))
        return measured

    @property
    def _example_share(self) -> float:
        """The share of the examples: of those measured the nearest to the one wanted."""
        return min(self.settings_at, key=lambda candidate: abs(candidate - self.settings.example_share))

    def _shown(self, view: View) -> list[int]:
        """The rows of a batch that are shown as examples: evenly spread over the data."""
        total = len(self.data)
        count = min(self.settings.examples, total)
        wanted = {(2 * position + 1) * total // (2 * count) for position in range(count)}
        return [row for row, index in enumerate(view.pictures.indices) if index in wanted]

    def stills(self, view: View, measured: _Measured, out: Path) -> list[dict[str, Any]]:
        """Leave the examples of a batch as stills of the gallery, with the masks and depths of every setting."""
        rows = measured.rows if self.settings.gallery else []
        if not rows:
            return []
        depths_m = {one: measured.soft_m[one] if one in measured.soft_m else view.through(mask[rows], rows=rows)
                    for one, mask in measured.masks.items()}
        edges, batch = sobel_edges(view.pictures.rgb[rows]), view.batch
        return [save_still(
            out, f"{view.pictures.indices[row]:06d}", batch.names[row], batch.rgb[row], edges[number],
            view.target_m[row],
            [Step(one.entry(), mask[row], depths_m[one][number]) for one, mask in measured.masks.items()],
            view.truth(row))
            for number, row in enumerate(rows)]

    def examples(self, view: View, measured: _Measured, out: Path) -> list[dict[str, Any]]:
        """Leave the examples of a batch."""
        share = self._example_share
        mask = measured.masks[self.settings_at[share]]
        return [
            save_example(
                out, view.pictures.indices[row], view.batch.names[row], share, view.pictures.rgb[row],
                self.depth_net.description.mean, mask[row],
                {name: pixels[row] for name, pixels in measured.kept.items()},
                {"target": view.target_m[row], **{name: depth[number] for name, depth in measured.depths_m.items()}},
                view.truth(row))
            for number, row in enumerate(measured.rows)
        ]


def _curve(method: str, share: float) -> str:
    return f"{method} at {share}"


def _soft(method: str, setting: Setting) -> str:
    return f"soft {method} at {setting}"


def _document(comparison: _EdgeComparison, examples: list[dict[str, Any]],
              stills: list[dict[str, Any]]) -> CompareEdges:
    """The results document, schema 1.

    Beside the fields every document has: `weights`, `target_net`, `data` (what was compared), `images` (how many),
    `ground_truth` (whether the data has any), `target` (errors of N on whole pictures; empty without ground truth),
    `curves` (for each method, at each sparseness, its errors and its RMSE minus the mask's on the same images; without
    ground truth only those against N(I), whose names say `to_target`; where it is the mask also `lambda`, and `keep` of
    a net of shares, whose `lambda` is what the share answers to), `soft` (the same for soft maps and M', for every
    setting used; empty where they are left out), `cost_ms` (what each scorer takes for a picture: milliseconds,
    median and quartiles over batches), `left_out` (scorers that cannot work here, where all are wanted, and why),
    `direct` (how Eq. (3) was minimised, where it was), `lambda` (how it was chosen), `examples` (files under OUT),
    `gallery` (the same images for a page; see `images.save_still`) and `per_image`. All errors in metres.
    """
    settings, settings_at = comparison.settings, comparison.settings_at
    summary = TallySummary(comparison.tally, settings.draws, settings.seed)
    methods = ("mask", *comparison.rivals.scores)
    curves = {method: [{"sparseness": share, **(one.entry() if method == "mask" else {}),
                        **summary.beside(_curve(method, share), _curve("mask", share))}
                       for share, one in settings_at.items()]
              for method in methods}
    soft = [_soft_entry(summary, one, methods) for one in comparison.settings_used() if comparison.with_soft]
    sweep = [] if comparison.sweep is None else [
        {"lambda": short(lam), "mean": short(mean)}
        for lam, mean in zip(comparison.sweep.lambdas, comparison.sweep.means, strict=True)]
    choice = ("at each sparseness the one of the sweep whose masks have the nearest mean; no depth was looked at"
              if sweep else "the mask net is asked for the share itself"
              if len(set(settings_at.values())) > 1 else "one for all")
    return CompareEdges.made(
        weights=described(comparison.mask_net), target_net=described(comparison.depth_net),
        data=data_entry(comparison.data, summary.without_depth()),
        seed=settings.seed, images=len(summary.names), ground_truth=summary.ground_truth,
        target=summary.of_target(), curves=curves, soft=soft,
        cost_ms=comparison.watch.cost_ms(), batch_size=settings.batch_size, left_out=comparison.rivals.left_out,
        **({"direct": asdict(settings.direct)} if "direct" in methods else {}),
        **{"lambda": {"choice": choice, "sweep": sweep}},
        examples=examples, gallery=stills,
        per_image={"names": summary.names, "target": summary.per_image("target"), "curves": {
            method: {str(share): summary.per_image(_curve(method, share)) for share in settings_at}
            for method in methods}},
    )


def _soft_entry(summary: TallySummary, one: Setting, methods: tuple[str, ...]) -> dict[str, Any]:
    reference = _soft("mask", one)
    entry: dict[str, Any] = one.entry()
    for method in methods:
        entry[method] = {"mean": summary.mean(_soft(method, one), "mean"),
                         **summary.beside(_soft(method, one), reference)}
    binary = _soft("binary", one)
    entry["binary"] = {"threshold": THRESHOLD, "sparseness": summary.mean(binary, "mean"),
                       **summary.beside(binary, reference)}
    return entry
