"""Do different networks look at the same pixels? Figs. 6 and 7 of Hu et al. (ICCV 2019), as numbers.

Every network is a depth net N with its mask net G. On the same pictures:
- agreement: how alike two networks' masks are, pair by pair, against how alike they are to edges and to chance;
- transfer: the error of each N when it sees the pixels that another network's mask chose, as many of them.
"Masks differ only little" (sec. 4.3) becomes a difference: agreement between networks minus agreement with edges.

Networks work at sizes of their own, on the whole picture each. Masks are compared on the smallest of these sizes, to
which larger ones are shrunk (bilinear, antialiased), so that no mask is compared with pixels it never had. For a
transfer the mask is brought to the size of the N that sees it. A mask net with a dial is set to the lambda whose masks
have a mean nearest to the wanted share; soft maps of edges and chance are scaled to the mean of the masks; binary maps
keep exactly the same share of pixels. Equal scores are put in another random order for every map, so that ties do
not count as agreement. Masks of different networks on *different* pictures say how much of the
agreement comes from the position in the picture alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.data import RgbdData, open_data
from depthcue.errors import DepthcueError, check_share
from depthcue.evaluation import statistics
from depthcue.evaluation.cells import EDGES
from depthcue.evaluation.images import save_row
from depthcue.evaluation.metrics import AGREEMENT_MEASURES, agreement
from depthcue.evaluation.statistics import Floats, Tally, TallySummary, mean_entry, pair, short, shorts
from depthcue.evaluation.viewing import (
    View,
    Viewing,
    data_entry,
    described,
    inputs_of,
    load_pair,
    setting_for_share,
    setting_of,
)
from depthcue.nets import DepthNet, MaskNet, resize
from depthcue.progress import Progress, Silent
from depthcue.results import CompareNets, ResultFolder
from depthcue.scorers import Pictures, ScorerInputs, build_scorer, keep_top, scale_to_mean, sobel_edges

CHANCE = "random"
BETWEEN, OTHER_NETWORKS = "between networks", "other networks"
OTHER_PICTURE = "another picture"
"""The masks of two networks, each on a picture of its own."""

Network = tuple[MaskNet, DepthNet]


@dataclass(frozen=True)
class CompareNetsSettings:
    """Settings of the comparison of nets."""

    share: float = 0.2
    """Share of pixels that binary masks keep, and target mean of the soft masks."""
    lam: float | None = None
    """One lambda for all networks instead of the one nearest to the share."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4


def compare_specs(weights: Sequence[str], targets: Sequence[str], data: str, out: Path | None = None,
                  settings: CompareNetsSettings | None = None, limit: int | None = None, device: str = "auto",
                  progress: Progress | None = None) -> CompareNets:
    """`compare_nets` on nets and test data given by their specs.

    Args:
        weights: specs of mask nets.
        targets: specs of depth nets, one for each of `weights`; empty takes those the mask nets were trained for.

    Raises:
        DepthcueError: also where a spec cannot be opened, or the numbers of targets and weights differ.
    """
    if targets and len(targets) != len(weights):
        raise DepthcueError(f"there must be one --target for every --weights, got {len(targets)} and {len(weights)}",
                            "Give one --target for every --weights, in the same order, or none.")
    torch_device = pick_device(device)
    named_targets: Sequence[str | None] = targets or [None] * len(weights)
    networks = [load_pair(spec, target, torch_device) for spec, target in zip(weights, named_targets, strict=True)]
    opened = open_data(data, split="test", limit=limit)
    return compare_nets(networks, opened, out, settings, torch_device, progress)


def compare_nets(networks: Sequence[Network], data: RgbdData, out: Path | None = None,
                 settings: CompareNetsSettings | None = None, device: str | torch.device = "cpu",
                 progress: Progress | None = None) -> CompareNets:
    """Compare what several networks look at.

    Args:
        networks: at least two mask nets, each with its depth net, on `device`, in eval mode.
        data: with ground truth or without.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: fewer than two networks, a share or a lambda out of range, no images, nowhere to write.
    """
    settings = settings or CompareNetsSettings()
    progress = progress or Silent()
    _check(networks, data, settings)
    home = ResultFolder(out)  # now, and not when the work is done
    with torch.inference_mode():
        observers = [_Observer(label, *network, data, settings, torch.device(device))
                     for label, network in zip(labels_of(networks), networks, strict=True)]
        for observer in observers:
            observer.turn_dial(progress)
        comparison = _NetComparison(observers, data, settings)
        examples = comparison.measure(home.folder, progress)
    return home.finish(_document(comparison, examples))


def labels_of(networks: Sequence[Network]) -> list[str]:
    """Names of the networks in tables: the depth net's name or else the mask net's; numbers where both repeat."""
    for names in ([depth_net.description.name for _, depth_net in networks],
                  [mask_net.description.name for mask_net, _ in networks]):
        if len({*names, EDGES, CHANCE}) == len(names) + 2:
            return names
    return [f"{depth_net.description.name} ({number})" for number, (_, depth_net) in enumerate(networks, start=1)]


def _check(networks: Sequence[Network], data: RgbdData, settings: CompareNetsSettings) -> None:
    if len(networks) < 2:
        raise DepthcueError("there is nothing to compare one network with", "Give --weights at least twice.")
    check_share(settings.share, "--share")
    for mask_net, _ in networks:
        setting_of(mask_net, lam=settings.lam)
    if len(data) < 2:
        raise DepthcueError(f"{data.spec} has {len(data)} images; at least two are needed", "Choose another --data.")


class _Observer:
    """One network with its view of the data, and the errors of every image so far."""

    def __init__(self, label: str, mask_net: MaskNet, depth_net: DepthNet, data: RgbdData,
                 settings: CompareNetsSettings, device: torch.device) -> None:
        self.label, self.mask_net, self.depth_net, self.settings = label, mask_net, depth_net, settings
        self.viewing = Viewing(depth_net, data, device, batch_size=settings.batch_size,
                               multiple=mask_net.description.multiple)
        self.setting = setting_of(mask_net, lam=settings.lam)
        self.errors = Tally()

    def turn_dial(self, progress: Progress) -> None:
        """Take the setting whose masks keep the wanted share, unless a lambda was given or there is no dial."""
        self.setting = setting_for_share(self.mask_net, self.viewing, self.settings.share, self.settings.lam,
                                              progress, f" for {self.label}")

    def masks(self, pictures: Pictures) -> Tensor:
        """M = G(I), (B, 1, h, w) at this network's working size."""
        return build_scorer("mask", inputs_of(self.mask_net, self.setting))(pictures)


class _NetComparison:
    """The measuring itself: the networks, and the agreement of every image so far."""

    def __init__(self, observers: Sequence[_Observer], data: RgbdData, settings: CompareNetsSettings) -> None:
        self.observers, self.data, self.settings = observers, data, settings
        self.labels = [observer.label for observer in observers]
        self.columns = [*self.labels, EDGES, CHANCE]
        self.agreement = Tally()
        self.chance = build_scorer("random", ScorerInputs(seed=settings.seed))

    def measure(self, out: Path, progress: Progress) -> list[dict[str, Any]]:
        """Go through the data and return the examples left under OUT."""
        count = len(self.data)
        # far from each picture in the data's sequence, where neighbours may show the same room
        elsewhere = [(index + count // 2) % count for index in range(count)]
        shown = set(self.observers[0].viewing.spread(self.settings.examples))
        views = zip(*(observer.viewing.views() for observer in self.observers), strict=True)
        others = zip(*(observer.viewing.pictures(elsewhere) for observer in self.observers), strict=True)
        examples = []
        progress.start("comparing", count)
        for network_views, other in zip(views, others, strict=True):
            masks = [observer.masks(view.pictures)
                     for observer, view in zip(self.observers, network_views, strict=True)]
            other_masks = [observer.masks(pictures)
                           for observer, (_, pictures) in zip(self.observers, other, strict=True)]
            self._agree(network_views, masks, other_masks)
            depths_m = self._transfer(network_views, masks)
            for row, index in enumerate(network_views[0].pictures.indices):
                if index in shown:
                    examples.append(self._example(out, index, row, network_views, masks, depths_m))
            progress.advance(len(network_views[0]))
        return examples

    def _agree(self, network_views: Sequence[View], masks: Sequence[Tensor], other_masks: Sequence[Tensor]) -> None:
        """Add the agreement of every pair on the grid of the smallest working size."""
        smallest = min(network_views, key=lambda view: view.pictures.rgb.shape[-2] * view.pictures.rgb.shape[-1])
        grid = (smallest.pictures.rgb.shape[-2], smallest.pictures.rgb.shape[-1])
        self.agreement.names += smallest.batch.names
        soft = {label: resize(mask, grid) for label, mask in zip(self.labels, masks, strict=True)}
        mean = torch.stack(list(soft.values())).mean(dim=(0, 2, 3, 4))  # (B,)
        scores = {**soft, EDGES: sobel_edges(smallest.pictures.rgb), CHANCE: self.chance(smallest.pictures)}
        kept = {name: self._keep(score, name) for name, score in scores.items()}
        soft |= {name: scale_to_mean(scores[name], mean) for name in (EDGES, CHANCE)}
        for first, second in combinations(self.columns, 2):
            for measure, values in agreement(soft[first], soft[second], kept[first], kept[second]).items():
                self.agreement.add(_pair(first, second), measure, values)
        elsewhere = {label: resize(mask, grid) for label, mask in zip(self.labels, other_masks, strict=True)}
        for first, second in permutations(self.labels, 2):
            other_kept = self._keep(elsewhere[second], second)
            for measure, values in agreement(soft[first], elsewhere[second], kept[first], other_kept).items():
                self.agreement.add(_displaced(first, second), measure, values)

    def _keep(self, scores: Tensor, name: str) -> Tensor:
        return keep_top(scores, self.settings.share, seed=self.settings.seed + self.columns.index(name))

    def _transfer(self, network_views: Sequence[View], masks: Sequence[Tensor]) -> list[Tensor]:
        """Show every N the pixels that each network, edges and chance choose; gives what it sees by its own mask."""
        own_m = []
        for observer, view in zip(self.observers, network_views, strict=True):
            size = (view.pictures.rgb.shape[-2], view.pictures.rgb.shape[-1])
            scores = {label: resize(mask, size) for label, mask in zip(self.labels, masks, strict=True)}
            scores |= {EDGES: sobel_edges(view.pictures.rgb), CHANCE: self.chance(view.pictures)}
            observer.errors.add_target(view)
            observer.errors.add(observer.label, "mean", masks[self.labels.index(observer.label)].mean(dim=(1, 2, 3)))
            for name, score in scores.items():
                depth_m = view.through(self._keep(score, name))
                observer.errors.errors(name, view, depth_m)
                if name == observer.label:
                    own_m.append(depth_m)
        return own_m

    def _example(self, out: Path, index: int, row: int, network_views: Sequence[View], masks: Sequence[Tensor],
                 depths_m: Sequence[Tensor]) -> dict[str, Any]:
        first = network_views[0]
        edges = sobel_edges(first.pictures.rgb)
        return save_row(out, f"{index:06d}", first.batch.names[row], first.batch.rgb[row], edges[row],
                        [mask[row] for mask in masks], [view.target_m[row] for view in network_views],
                        [depth_m[row] for depth_m in depths_m], first.truth(row))


def _pair(first: str, second: str) -> str:
    return f"{first} and {second}"


def _displaced(first: str, second: str) -> str:
    return f"{first} and {second} of another picture"


def _document(comparison: _NetComparison, examples: list[dict[str, Any]]) -> CompareNets:
    """The results document, schema 1.

    Beside the fields every document has: `nets` (one a network: its `label`, `weights`, `target_net`, the `lambda`
    used, the `mean` of its masks, the working `size` as [height, width], and `whole`, the errors of N on whole
    pictures, empty without ground truth), `share`, `columns` (the labels, edges and random: the order of matrices),
    `agreement` (for each measure a symmetrical matrix of `mean` over images and of `ci95`), `differences` (for each
    measure the mean agreement `between_networks`, over pairs, and `with` edges, random and another picture, over
    networks, each with how much less it is, `minus`, and intervals of all, paired by image), `transfer` (for each
    label what its N sees by the pixels of each column: errors, and how far they are above those by its own mask,
    `minus_own`; against ground truth where there is any and, as `to_target`, against N(I)), `transfer_ratio` (how many
    times the error by its own mask, see `_ratio`), `examples` and `per_image`. Errors in metres.
    """
    settings, observers = comparison.settings, comparison.observers
    agreed = TallySummary(comparison.agreement, settings.draws, settings.seed)
    errors = {observer.label: TallySummary(observer.errors, settings.draws, settings.seed) for observer in observers}
    first = errors[observers[0].label]
    alike = {measure: _by_image(comparison.labels, agreed, measure) for measure in AGREEMENT_MEASURES}
    return CompareNets.made(
        nets=[{"label": observer.label, "weights": described(observer.mask_net),
               "target_net": described(observer.depth_net), **observer.setting.entry(),
               "mean": errors[observer.label].mean(observer.label, "mean"),
               "size": [observer.depth_net.description.height, observer.depth_net.description.width],
               "whole": errors[observer.label].of_target()} for observer in observers],
        data=data_entry(comparison.data, first.without_depth()),
        seed=settings.seed, images=len(agreed.names), ground_truth=first.ground_truth,
        share=settings.share, columns=comparison.columns,
        agreement={measure: _matrix(comparison.columns, agreed, measure) for measure in AGREEMENT_MEASURES},
        differences={measure: _differences(by_image, agreed.weights) for measure, by_image in alike.items()},
        transfer={label: {name: _transferred(summary, name, label) for name in comparison.columns}
                  for label, summary in errors.items()},
        transfer_ratio=_ratios(comparison, errors),
        examples=examples,
        per_image={
            "names": agreed.names,
            "agreement": {measure: {name: shorts(values) for name, values in by_image.items()}
                          for measure, by_image in alike.items()},
            "transfer": {label: {name: summary.per_image(name) for name in comparison.columns}
                         for label, summary in errors.items()}},
    )


def _matrix(columns: Sequence[str], agreed: TallySummary, measure: str) -> dict[str, Any]:
    """Mean and interval of every pair; a map agrees with itself by definition."""
    order = {name: position for position, name in enumerate(columns)}

    def cells(value: Callable[[str], Any], itself: Any) -> list[list[Any]]:
        return [[itself if row == column else value(_pair(*sorted((row, column), key=order.__getitem__)))
                 for column in columns] for row in columns]

    return {"mean": cells(lambda key: agreed.mean(key, measure), 1.0),
            "ci95": cells(lambda key: agreed.mean_interval(key, measure), [1.0, 1.0])}


def _by_image(labels: Sequence[str], agreed: TallySummary, measure: str) -> dict[str, Floats]:
    """The agreement of each image (images,): between networks, over pairs; and with all else, over networks."""
    keys = {BETWEEN: [_pair(*two) for two in combinations(labels, 2)],
            **{name: [_pair(label, name) for label in labels] for name in (EDGES, CHANCE)},
            OTHER_PICTURE: [_displaced(*two) for two in permutations(labels, 2)]}
    return {name: np.mean([agreed.values[key, measure] for key in some], axis=0) for name, some in keys.items()}


def _differences(by_image: dict[str, Floats], weights: Floats) -> dict[str, Any]:
    between = by_image[BETWEEN]
    return {**mean_entry("between_networks", between, weights),
            "with": {name: {**mean_entry("mean", values, weights), **mean_entry("minus", between - values, weights)}
                     for name, values in by_image.items() if name != BETWEEN}}


def _transferred(summary: TallySummary, name: str, label: str) -> dict[str, Any]:
    difference = summary.difference(name, label)
    names = {"truth": "minus_own", "truth_ci95": "minus_own_ci95",
             "target": "to_target_minus_own", "target_ci95": "to_target_minus_own_ci95"}
    return summary.of(name) | {names[field]: value for field, value in difference.items()}


def _ratios(comparison: _NetComparison, errors: dict[str, TallySummary]) -> dict[str, Any]:
    """Cost of using another's pixels, over all networks: other networks' pixels, edges', and chance's."""
    labels = comparison.labels
    choices = {OTHER_NETWORKS: list(permutations(labels, 2)),
               **{name: [(label, name) for label in labels] for name in (EDGES, CHANCE)}}
    return {name: {reference: _ratio(errors, cells, measure)
                   for reference, measure in (("truth", "mse"), ("target", "mse_to_target"))
                   if reference == "target" or errors[labels[0]].ground_truth}
            for name, cells in choices.items()}


def _ratio(errors: dict[str, TallySummary], cells: Sequence[tuple[str, str]], measure: str) -> dict[str, Any]:
    """The geometric mean over (network, choice) of RMSE by the choice over RMSE by the network's own mask.

    A ratio, because networks may see to 10 m or to 80 m. The images are resampled once for all networks: one that is
    hard for all weighs on all. `times` and `ci95` are None where an own error is 0.
    """
    logarithms, samples = [], []
    for label, name in cells:
        summary = errors[label]
        known, weights = ((summary.known, summary.known_weights) if measure == "mse"
                          else (slice(None), summary.weights))
        theirs, own = (summary.values[key, measure][known] for key in (name, label))
        if min(theirs.min(), own.min()) <= 0:
            return {"times": None, "ci95": None}
        logarithms.append(np.log(theirs.mean() / own.mean()) / 2)
        samples.append(np.log((weights @ theirs) / (weights @ own)) / 2)
    interval = statistics.percentile_interval(np.exp(np.mean(samples, axis=0)))
    return {"times": short(float(np.exp(np.mean(logarithms)))), "ci95": pair(interval)}
