"""Mask against edges and chance: how well a depth net does when it sees only so many pixels.

After Fig. 5 of Hu et al. (ICCV 2019): for a picture I, a depth net N and a way to choose pixels, measure N(I * kept)
with exactly the same number of pixels kept for every way, at shares 0.1 to 0.9. The way under test is the mask
M = G(I); Sobel edges and random pixels stand against it. Errors are against ground truth where the data has it, and
always against N(I). Beside them the soft maps: M itself, M' = M > 0.025, and the others' maps scaled to the mean of M.
Deviation: a mask net with a lambda dial is asked at each share for a mask of about that share, its lambda found by a
short sweep that looks at mask means alone, never at depth; the paper's nets have one lambda each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue import record
from depthcue.atomic import make_folder
from depthcue.data import Batch, RgbdData, open_data
from depthcue.device import pick_device
from depthcue.errors import DepthcueError
from depthcue.evaluation import statistics
from depthcue.evaluation.examples import Example, draw_example, save_example
from depthcue.evaluation.metrics import image_errors, mean_squared_difference, root, summarise
from depthcue.evaluation.pair import load_pair
from depthcue.imaging import fit_size
from depthcue.nets import DepthNet, MaskNet, depth_from, resize
from depthcue.progress import Progress, Silent
from depthcue.selection import (
    METHODS,
    THRESHOLD,
    Means,
    Pictures,
    binarise,
    build_method,
    keep_first,
    rank_pixels,
    scale_to_mean,
    sparseness,
)

Floats = NDArray[np.float64]

SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))


@dataclass(frozen=True)
class Settings:
    """How to compare."""

    against: tuple[str, ...] = ("sobel", "random")
    """Names in `selection.METHODS`."""
    shares: tuple[float, ...] = SHARES
    """Sparsenesses: shares of the pixels kept."""
    lam: float | None = None
    """One lambda for all; None lets a net with a dial be asked for each sparseness."""
    soft_maps: bool = True
    """Whether to measure soft maps too: about as much work as all the rest."""
    sweep_steps: int = 16
    sweep_images: int = 64
    """The most images whose masks choose the lambdas, spread over the data."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4
    example_share: float = 0.2


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
    """Measure `mask_net` against other ways to choose pixels, write OUT/results.json and OUT/examples/.

    Args:
        mask_net, depth_net: on `device`, in eval mode.
        data: with ground truth or without.

    Returns:
        The results document; `_document` says what is in it.

    Raises:
        DepthcueError: an unknown method, a lambda outside the net's range, no images, nowhere to write.
    """
    settings = settings or Settings()
    progress = progress or Silent()
    _check(mask_net, data, settings)
    make_folder(out)  # now, and not when the work is done
    comparison = _Comparison(mask_net, depth_net, data, settings, torch.device(device))
    with torch.inference_mode():
        progress.start("choosing lambda", len(comparison.sweep_places()))
        comparison.choose_lambdas(progress)
        progress.start("comparing", len(data))
        examples = [example for batch in comparison.batches(range(len(data)))
                    for example in comparison.measure(*batch, progress=progress)]
    saved = [save_example(example, out) for example in examples]
    results = _document(comparison, saved)
    record.write_json(out / "results.json", results)
    return results


def _check(mask_net: MaskNet, data: RgbdData, settings: Settings) -> None:
    mask_net.check_lambda(settings.lam)
    others = [name for name in METHODS if name != "mask"]
    for name in settings.against:
        if name not in others:
            raise DepthcueError(f"there is no way to choose pixels called {name!r} to compare the mask with",
                                f"Choose --against from: {', '.join(others)}.")
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")


class _Comparison:
    """The measuring itself: nets, data, the lambdas chosen, and the errors of every image so far."""

    def __init__(self, mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, settings: Settings,
                 device: torch.device) -> None:
        self.mask_net, self.depth_net, self.data, self.settings, self.device = (
            mask_net, depth_net, data, settings, device)
        self.against = tuple(dict.fromkeys(settings.against))
        self.others = {name: build_method(name, Means(mask_net, seed=settings.seed)) for name in self.against}
        self.sweep: list[tuple[float, float]] = []  # lambda, mean of the masks
        self.lambdas: dict[float, float] = {}  # share -> lambda
        self.names: list[str] = []
        self.collected: dict[tuple[str, str], list[float]] = {}

    def batches(self, places: Sequence[int]) -> Iterator[tuple[Batch, Pictures]]:
        """Batches as the data has them, and as the nets see them: (B, 3, H, W) at the depth net's working size."""
        step = self.settings.batch_size
        for start in range(0, len(places), step):
            chosen = list(places[start:start + step])
            batch = self.data.evaluation_batch(chosen, self.device)
            yield batch, Pictures(self._fit(batch.rgb), chosen)

    def _fit(self, rgb: Tensor) -> Tensor:
        net = self.depth_net.description
        # one size for both nets, so that the mask lies on the depth net's own pixels
        multiple = lcm(net.multiple, self.mask_net.description.multiple)
        size = fit_size(rgb.shape[2], rgb.shape[3], working=(net.height, net.width), multiple=multiple)
        return resize(rgb, size)

    def sweep_places(self) -> list[int]:
        """The images whose masks choose the lambdas: none where there is nothing to choose."""
        if self.settings.lam is not None or self.mask_net.description.lambda_range is None:
            return []
        count = min(len(self.data), self.settings.sweep_images)
        return [position * len(self.data) // count for position in range(count)]

    def choose_lambdas(self, progress: Progress) -> None:
        """For each share the lambda whose masks have the nearest mean; one for all where it is fixed."""
        span = self.mask_net.description.lambda_range
        places = self.sweep_places()
        if not places or span is None:
            self.lambdas = dict.fromkeys(self.settings.shares, self.mask_net.check_lambda(self.settings.lam))
            return
        lams = np.geomspace(*span, self.settings.sweep_steps).clip(*span).tolist()
        totals = np.zeros(len(lams))
        for _, pictures in self.batches(places):
            for step, lam in enumerate(lams):
                totals[step] += float(self._mask(pictures, lam).mean(dim=(1, 2, 3)).sum())
            progress.advance(len(pictures.places))
        means = totals / len(places)
        self.sweep = list(zip(lams, means.tolist(), strict=True))
        self.lambdas = {share: lams[int(np.abs(means - share).argmin())] for share in self.settings.shares}

    def _mask(self, pictures: Pictures, lam: float) -> Tensor:
        return build_method("mask", Means(self.mask_net, lam, self.settings.seed))(pictures)  # (B, 1, H, W)

    def measure(self, batch: Batch, pictures: Pictures, progress: Progress) -> list[Example]:
        """Add one batch to what is collected; give the examples wanted of it."""
        normalised = self.depth_net.normalise(pictures.rgb)
        target_m = depth_from(self.depth_net, normalised)  # (B, 1, h, w)
        masks = {lam: self._mask(pictures, lam) for lam in sorted(set(self.lambdas.values()))}
        scores = {name: score(pictures) for name, score in self.others.items()}
        ranks = {name: rank_pixels(score, self.settings.seed) for name, score in scores.items()}
        mask_ranks = {lam: rank_pixels(mask, self.settings.seed) for lam, mask in masks.items()}
        self.names += batch.names
        self._collect("target", batch, target_m)

        def see(kept: Tensor) -> Tensor:
            return depth_from(self.depth_net, normalised, kept.to(normalised.dtype))

        for share, lam in self.lambdas.items():
            for name, order in {"mask": mask_ranks[lam], **ranks}.items():
                self._collect(_curve(name, share), batch, see(keep_first(order, share)), target_m)
        for lam, mask in masks.items() if self.settings.soft_maps else ():
            mean = mask.mean(dim=(1, 2, 3))
            binary = binarise(mask)
            self._add(_soft("mask", lam), "mean", mean)
            self._add(_soft("binary", lam), "mean", sparseness(binary))
            self._collect(_soft("mask", lam), batch, see(mask), target_m)
            self._collect(_soft("binary", lam), batch, see(binary), target_m)
            for name, score in scores.items():
                scaled = scale_to_mean(score, mean)
                self._add(_soft(name, lam), "mean", scaled.mean(dim=(1, 2, 3)))
                self._collect(_soft(name, lam), batch, see(scaled), target_m)
        progress.advance(len(batch.names))
        return self._examples(batch, pictures, target_m, masks,
                              {lam: {"mask": order, **ranks} for lam, order in mask_ranks.items()}, see)

    def _collect(self, key: str, batch: Batch, depth_m: Tensor, target_m: Tensor | None = None) -> None:
        if batch.depth_m is not None:
            for measure, values in image_errors(depth_m, batch.depth_m, batch.valid).items():
                self._add(key, measure, values)
        if target_m is not None:
            self._add(key, "mse_to_target", mean_squared_difference(depth_m, target_m))

    def _add(self, key: str, measure: str, values: Tensor) -> None:
        # plain numbers: thousands of small arrays among large tensors would keep the heap from shrinking
        self.collected.setdefault((key, measure), []).extend(values.double().tolist())

    def _examples(self, batch: Batch, pictures: Pictures, target_m: Tensor, masks: dict[float, Tensor],
                  ranks: dict[float, dict[str, Tensor]], see: Callable[[Tensor], Tensor]) -> list[Example]:
        total = len(self.data)
        count = min(self.settings.examples, total)
        wanted = {(2 * position + 1) * total // (2 * count) for position in range(count)}
        here = [row for row, place in enumerate(pictures.places) if place in wanted]
        if not here:
            return []
        share = min(self.lambdas, key=lambda candidate: abs(candidate - self.settings.example_share))
        lam = self.lambdas[share]
        kept = {name: keep_first(order, share) for name, order in ranks[lam].items()}
        depths = {"target": target_m, **{name: see(pixels) for name, pixels in kept.items()}}
        return [
            draw_example(
                pictures.places[row], batch.names[row], share, pictures.rgb[row], self.depth_net.description.mean,
                masks[lam][row], {name: pixels[row] for name, pixels in kept.items()},
                {name: depth[row] for name, depth in depths.items()},
                None if batch.depth_m is None or batch.valid is None else (batch.depth_m[row], batch.valid[row]))
            for row in here
        ]


def _curve(method: str, share: float) -> str:
    return f"{method} at {share}"


def _soft(method: str, lam: float) -> str:
    return f"soft {method} at lambda {lam}"


class _Summary:
    """Numbers over images, with intervals, from those of each image."""

    def __init__(self, comparison: _Comparison) -> None:
        self.values = {key: np.array(numbers) for key, numbers in comparison.collected.items()}
        settings = comparison.settings
        images = len(comparison.names)
        self.weights = statistics.resampling_weights(images, settings.draws, settings.seed)
        # an image without any valid depth has no error, and is left out of those against ground truth
        self.known = np.isfinite(self.values.get(("target", "mse"), np.full(images, np.nan)))
        self.ground_truth = bool(self.known.any())
        if self.ground_truth:
            self.known_weights = statistics.resampling_weights(int(self.known.sum()), settings.draws, settings.seed)

    def of_target(self) -> dict[str, Any]:
        """The error measures of N on whole pictures; empty without ground truth."""
        if not self.ground_truth:
            return {}
        errors = {measure: values[self.known] for (key, measure), values in self.values.items() if key == "target"}
        interval = statistics.rmse_interval(errors["mse"], self.known_weights)
        return {**{name: _short(value) for name, value in summarise(errors).items()}, "rmse_ci95": _pair(interval)}

    def of(self, key: str, reference: str) -> dict[str, Any]:
        """The errors of one way to see, and how much they exceed those of the `reference` on the same images."""
        entry: dict[str, Any] = {}
        if self.ground_truth:
            mse, other = (self.values[name, "mse"][self.known] for name in (key, reference))
            entry = {
                "rmse": _short(root(mse)), "rmse_ci95": _pair(statistics.rmse_interval(mse, self.known_weights)),
                **{name: _short(float(self.values[key, name][self.known].mean())) for name in ("abs_rel", "delta1")},
                "minus_mask": _short(root(mse) - root(other)),
                "minus_mask_ci95": _pair(statistics.rmse_difference_interval(mse, other, self.known_weights)),
            }
        mse, other = (self.values[name, "mse_to_target"] for name in (key, reference))
        return entry | {
            "rmse_to_target": _short(root(mse)),
            "rmse_to_target_ci95": _pair(statistics.rmse_interval(mse, self.weights)),
            "to_target_minus_mask": _short(root(mse) - root(other)),
            "to_target_minus_mask_ci95": _pair(statistics.rmse_difference_interval(mse, other, self.weights)),
        }

    def mean(self, key: str, measure: str) -> float:
        """The mean over images of something measured on each."""
        return _short(float(self.values[key, measure].mean()))

    def per_image(self, key: str) -> dict[str, list[float | None]]:
        """RMSE of each image, None where it has no valid depth."""
        columns = {"rmse": "mse", "rmse_to_target": "mse_to_target"}
        return {name: [_short(float(np.sqrt(value))) if np.isfinite(value) else None
                       for value in self.values[key, measure]]
                for name, measure in columns.items() if (key, measure) in self.values}


def _document(comparison: _Comparison, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """The results document, schema 1.

    Beside the fields every document has: `weights`, `target_net`, `data` (what was compared), `images` (how many),
    `ground_truth` (whether the data has any), `target` (errors of N on whole pictures; empty without ground truth),
    `curves` (for each method, at each sparseness, its errors and its RMSE minus the mask's on the same images; without
    ground truth only those against N(I), whose names say `to_target`; `lambda` where it is the mask), `soft` (the same
    for soft maps and M', for every lambda used; empty where they were not asked for), `lambda` (how it was chosen),
    `examples` (files under OUT) and `per_image`. All errors in metres.
    """
    summary = _Summary(comparison)
    settings, shares = comparison.settings, comparison.lambdas
    methods = ("mask", *comparison.against)
    curves = {method: [{"sparseness": share, **({"lambda": _short(lam)} if method == "mask" else {}),
                        **summary.of(_curve(method, share), _curve("mask", share))} for share, lam in shares.items()]
              for method in methods}
    soft = [_soft_entry(summary, lam, methods) for lam in sorted(set(shares.values())) if settings.soft_maps]
    choice = ("one for all" if not comparison.sweep else "at each sparseness the one of the sweep whose masks have the "
              "nearest mean; no depth was looked at")
    return record.document(
        "compare-edges",
        weights=_described(comparison.mask_net), target_net=_described(comparison.depth_net),
        data={"spec": comparison.data.spec, "without_valid_depth": [
            name for name, known in zip(comparison.names, summary.known, strict=True) if not known
        ] if summary.ground_truth else []},
        seed=settings.seed, images=len(comparison.names), ground_truth=summary.ground_truth,
        target=summary.of_target(), curves=curves, soft=soft,
        **{"lambda": {"choice": choice, "sweep": [{"lambda": _short(lam), "mean": _short(mean)}
                                                  for lam, mean in comparison.sweep]}},
        examples=examples,
        per_image={"names": comparison.names, "target": summary.per_image("target"), "curves": {
            method: {str(share): summary.per_image(_curve(method, share)) for share in shares} for method in methods}},
    )


def _soft_entry(summary: _Summary, lam: float, methods: tuple[str, ...]) -> dict[str, Any]:
    reference = _soft("mask", lam)
    entry: dict[str, Any] = {"lambda": _short(lam)}
    for method in methods:
        entry[method] = {"mean": summary.mean(_soft(method, lam), "mean"), **summary.of(_soft(method, lam), reference)}
    binary = _soft("binary", lam)
    entry["binary"] = {"threshold": THRESHOLD, "sparseness": summary.mean(binary, "mean"),
                       **summary.of(binary, reference)}
    return entry


def _described(net: MaskNet | DepthNet) -> dict[str, Any]:
    return {"name": net.description.name, "sha256": net.card.get("sha256")}


def _short(value: float) -> float:
    """Six digits are more than any of these numbers is good for, and make a file that can be read."""
    return float(f"{value:.6g}")


def _pair(interval: tuple[float, float]) -> list[float]:
    return [_short(end) for end in interval]
