"""Mask against edges, chance and other ways to choose: how well a depth net does when it sees only so many pixels.

After Fig. 5 of Hu et al. (ICCV 2019): for a picture I, a depth net N and a way to choose pixels, measure N(I * kept)
with exactly the same number of pixels kept for every way, at shares 0.1 to 0.9. The way under test is the mask
M = G(I); Sobel edges and random pixels stand against it, or any other of `selection.METHODS`, and what each costs is
measured in the same run. Errors are against ground truth where the data has it, and always against N(I). Beside them
the soft maps: M itself, M' = M > 0.025, and the others' maps scaled to the mean of M.
Deviation: a mask net with a lambda dial is asked at each share for a mask of about that share, its lambda found by a
short sweep that looks at mask means alone, never at depth; the paper's nets have one lambda each.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depthcue import record
from depthcue.data import RgbdData, open_data
from depthcue.device import pick_device
from depthcue.errors import DepthcueError
from depthcue.evaluation import dial, statistics
from depthcue.evaluation.dial import Sweep, has_dial, sweep_dial
from depthcue.evaluation.examples import Example, draw_example, save_example
from depthcue.evaluation.gallery import Step, save_still
from depthcue.evaluation.pair import described, load_pair
from depthcue.evaluation.rivals import Stopwatch, choose_rivals, wants_scenes
from depthcue.evaluation.tally import Summary, Tally, short
from depthcue.evaluation.viewing import View, Viewing
from depthcue.nets import DepthNet, MaskNet
from depthcue.progress import Progress, Silent
from depthcue.selection import (
    THRESHOLD,
    DirectSettings,
    Means,
    Pictures,
    binarise,
    build_method,
    keep_first,
    rank_pixels,
    scale_to_mean,
    sobel_edges,
    sparseness,
)

SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))


@dataclass(frozen=True)
class Settings:
    """How to compare."""

    against: tuple[str, ...] = ("sobel", "random")
    """Names in `selection.METHODS`, or "all" for all that can work."""
    direct: DirectSettings = DirectSettings()
    """How `direct` minimises Eq. (3), at `lam` or the mask net's own lambda; the seed is that of the comparison."""
    shares: tuple[float, ...] = SHARES
    """Sparsenesses: shares of the pixels kept."""
    lam: float | None = None
    """One lambda for all; None lets a net with a dial be asked for each sparseness."""
    soft_maps: bool = True
    """Whether to measure soft maps too: about as much work as all the rest."""
    sweep_steps: int = dial.STEPS
    sweep_images: int = dial.IMAGES
    """The most images whose masks choose the lambdas, spread over the data."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4
    example_share: float = 0.2
    gallery: bool = True
    """Whether to leave the examples with their masks at every lambda, for a page to turn through."""


def compare_specs(weights: str, target: str | None, data: str, out: Path, settings: Settings | None = None,
                  limit: int | None = None, device: str = "auto", progress: Progress | None = None) -> dict[str, Any]:
    """`compare_edges` on nets and test data given by their specs; `limit` takes that many images.

    Raises:
        DepthcueError: besides, a spec that cannot be opened.
    """
    place = pick_device(device)
    mask_net, depth_net = load_pair(weights, target, place)
    opened = open_data(data, split="test", limit=limit)
    return compare_edges(mask_net, depth_net, opened, out, settings, place, progress)


def compare_edges(mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, out: Path, settings: Settings | None = None,
                  device: str | torch.device = "cpu", progress: Progress | None = None) -> dict[str, Any]:
    """Measure `mask_net` against other ways to choose pixels, write OUT/results.json, OUT/examples/ and OUT/gallery/.

    Args:
        mask_net, depth_net: on `device`, in eval mode.
        data: with ground truth or without.

    Returns:
        The results document; `_document` says what is in it.

    Raises:
        DepthcueError: an unknown method or one that cannot work here, a lambda outside the net's range, no images,
            nowhere to write.
    """
    settings = settings or Settings()
    progress = progress or Silent()
    mask_net.check_lambda(settings.lam)
    settings.direct.check()
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")
    comparison = _Comparison(mask_net, depth_net, data, settings, torch.device(device))
    record.begin(out)  # now, and not when the work is done
    with torch.inference_mode():
        progress.start("choosing lambda", len(comparison.sweep_places()))
        comparison.choose_lambdas(progress)
        progress.start("comparing", len(data))
        examples, stills = [], []
        for view in comparison.viewing.views():
            examples += comparison.measure(view, progress)
            stills += comparison.stills(view, out)
    saved = [save_example(example, out) for example in examples]
    results = _document(comparison, saved, stills)
    record.write_json(out / "results.json", results)
    return results


class _Comparison:
    """The measuring itself: nets, data, the lambdas chosen, and the errors of every image so far."""

    def __init__(self, mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, settings: Settings,
                 device: torch.device) -> None:
        self.mask_net, self.depth_net, self.data, self.settings = mask_net, depth_net, data, settings
        self.viewing = Viewing(depth_net, data, device, batch_size=settings.batch_size,
                               multiple=mask_net.description.multiple, scenes=wants_scenes(settings.against))
        means = Means(mask_net, settings.lam, settings.seed, depth_net, replace(settings.direct, seed=settings.seed))
        self.rivals = choose_rivals(settings.against, means, self.viewing)
        self.watch = Stopwatch(device)
        self.sweep: Sweep | None = None
        self.lambdas: dict[float, float] = {}  # share -> lambda
        self.tally = Tally()

    def sweep_places(self) -> list[int]:
        """The images whose masks choose the lambdas: none where there is nothing to choose."""
        if self.settings.lam is not None or not has_dial(self.mask_net):
            return []
        return self.viewing.spread(self.settings.sweep_images)

    def choose_lambdas(self, progress: Progress) -> None:
        """For each share the lambda whose masks have the nearest mean; one for all where it is fixed."""
        places = self.sweep_places()
        if not places:
            self.lambdas = dict.fromkeys(self.settings.shares, self.mask_net.check_lambda(self.settings.lam))
            return
        self.sweep = sweep_dial(self.mask_net, self.viewing, places, self.settings.sweep_steps, progress)
        self.lambdas = {share: self.sweep.for_share(share) for share in self.settings.shares}

    def _mask(self, pictures: Pictures, lam: float) -> Tensor:
        return build_method("mask", Means(self.mask_net, lam, self.settings.seed))(pictures)  # (B, 1, H, W)

    def measure(self, view: View, progress: Progress) -> list[Example]:
        """Add one batch to what is collected; give the examples wanted of it."""
        lambdas = sorted(set(self.lambdas.values()))
        masks = {lam: self.watch.score("mask", partial(self._mask, lam=lam), view.pictures) for lam in lambdas[:1]}
        masks |= {lam: self._mask(view.pictures, lam) for lam in lambdas[1:]}
        scores = {name: self.watch.score(name, score, view.pictures) for name, score in self.rivals.scores.items()}
        ranks = {name: rank_pixels(score, self.settings.seed) for name, score in scores.items()}
        mask_ranks = {lam: rank_pixels(mask, self.settings.seed) for lam, mask in masks.items()}
        self.tally.see(view)
        for share, lam in self.lambdas.items():
            for name, order in {"mask": mask_ranks[lam], **ranks}.items():
                self.tally.errors(_curve(name, share), view, view.through(keep_first(order, share)))
        for lam, mask in masks.items() if self.settings.soft_maps else ():
            mean = mask.mean(dim=(1, 2, 3))
            binary = binarise(mask)
            self.tally.add(_soft("mask", lam), "mean", mean)
            self.tally.add(_soft("binary", lam), "mean", sparseness(binary))
            self.tally.errors(_soft("mask", lam), view, view.through(mask))
            self.tally.errors(_soft("binary", lam), view, view.through(binary))
            for name, score in scores.items():
                scaled = scale_to_mean(score, mean)
                self.tally.add(_soft(name, lam), "mean", scaled.mean(dim=(1, 2, 3)))
                self.tally.errors(_soft(name, lam), view, view.through(scaled))
        progress.advance(len(view))
        return self._examples(view, masks, {lam: {"mask": order, **ranks} for lam, order in mask_ranks.items()})

    def _shown(self, view: View) -> list[int]:
        """The rows of a batch that are shown as examples: evenly spread over the data."""
        total = len(self.data)
        count = min(self.settings.examples, total)
        wanted = {(2 * position + 1) * total // (2 * count) for position in range(count)}
        return [row for row, place in enumerate(view.pictures.places) if place in wanted]

    def stills(self, view: View, out: Path) -> list[dict[str, Any]]:
        """Leave the examples of a batch as stills of the gallery, with the masks and depths of every lambda."""
        rows = self._shown(view) if self.settings.gallery else []
        if not rows:
            return []
        masks = {lam: self._mask(view.pictures, lam) for lam in sorted(set(self.lambdas.values()))}
        seen_m = {lam: view.through(mask) for lam, mask in masks.items()}
        edges, batch = sobel_edges(view.pictures.rgb), view.batch
        return [save_still(
            out, f"{view.pictures.places[row]:06d}", batch.names[row], batch.rgb[row], edges[row], view.target_m[row],
            [Step(lam, mask[row], seen_m[lam][row]) for lam, mask in masks.items()],
            None if batch.depth_m is None or batch.valid is None else (batch.depth_m[row], batch.valid[row]))
            for row in rows]

    def _examples(self, view: View, masks: dict[float, Tensor],
                  ranks: dict[float, dict[str, Tensor]]) -> list[Example]:
        batch, places = view.batch, view.pictures.places
        here = self._shown(view)
        if not here:
            return []
        share = min(self.lambdas, key=lambda candidate: abs(candidate - self.settings.example_share))
        lam = self.lambdas[share]
        kept = {name: keep_first(order, share) for name, order in ranks[lam].items()}
        depths = {"target": view.target_m, **{name: view.through(pixels) for name, pixels in kept.items()}}
        return [
            draw_example(
                places[row], batch.names[row], share, view.pictures.rgb[row], self.depth_net.description.mean,
                masks[lam][row], {name: pixels[row] for name, pixels in kept.items()},
                {name: depth[row] for name, depth in depths.items()},
                None if batch.depth_m is None or batch.valid is None else (batch.depth_m[row], batch.valid[row]))
            for row in here
        ]


def _curve(method: str, share: float) -> str:
    return f"{method} at {share}"


def _soft(method: str, lam: float) -> str:
    return f"soft {method} at lambda {lam}"


def _document(comparison: _Comparison, examples: list[dict[str, Any]],
              stills: list[dict[str, Any]]) -> dict[str, Any]:
    """The results document, schema 1.

    Beside the fields every document has: `weights`, `target_net`, `data` (what was compared), `images` (how many),
    `ground_truth` (whether the data has any), `target` (errors of N on whole pictures; empty without ground truth),
    `curves` (for each method, at each sparseness, its errors and its RMSE minus the mask's on the same images; without
    ground truth only those against N(I), whose names say `to_target`; `lambda` where it is the mask), `soft` (the same
    for soft maps and M', for every lambda used; empty where they were not asked for), `cost_ms` (what each way takes
    to score a picture: milliseconds, median and quartiles over batches), `left_out` (ways that cannot work here, where
    all were asked for, and why), `direct` (how Eq. (3) was minimised, where it was), `lambda` (how it was chosen),
    `examples` (files under OUT), `gallery` (the same images for a page; see `gallery.save_still`) and `per_image`. All
    errors in metres.
    """
    settings, shares = comparison.settings, comparison.lambdas
    summary = Summary(comparison.tally, settings.draws, settings.seed)
    methods = ("mask", *comparison.rivals.scores)
    curves = {method: [{"sparseness": share, **({"lambda": short(lam)} if method == "mask" else {}),
                        **summary.beside(_curve(method, share), _curve("mask", share))}
                       for share, lam in shares.items()]
              for method in methods}
    soft = [_soft_entry(summary, lam, methods) for lam in sorted(set(shares.values())) if settings.soft_maps]
    choice = ("one for all" if comparison.sweep is None else
              "at each sparseness the one of the sweep whose masks have the nearest mean; no depth was looked at")
    return record.document(
        "compare-edges",
        weights=described(comparison.mask_net), target_net=described(comparison.depth_net),
        data={"spec": comparison.data.spec, "without_valid_depth": summary.without_depth()},
        seed=settings.seed, images=len(summary.names), ground_truth=summary.ground_truth,
        target=summary.of_target(), curves=curves, soft=soft,
        cost_ms=comparison.watch.cost_ms(), batch_size=settings.batch_size, left_out=comparison.rivals.left_out,
        **({"direct": asdict(settings.direct)} if "direct" in methods else {}),
        **{"lambda": {"choice": choice, "sweep": [] if comparison.sweep is None else comparison.sweep.entries()}},
        examples=examples, gallery=stills,
        per_image={"names": summary.names, "target": summary.per_image("target"), "curves": {
            method: {str(share): summary.per_image(_curve(method, share)) for share in shares} for method in methods}},
    )


def _soft_entry(summary: Summary, lam: float, methods: tuple[str, ...]) -> dict[str, Any]:
    reference = _soft("mask", lam)
    entry: dict[str, Any] = {"lambda": short(lam)}
    for method in methods:
        entry[method] = {"mean": summary.mean(_soft(method, lam), "mean"),
                         **summary.beside(_soft(method, lam), reference)}
    binary = _soft("binary", lam)
    entry["binary"] = {"threshold": THRESHOLD, "sparseness": summary.mean(binary, "mean"),
                       **summary.beside(binary, reference)}
    return entry
