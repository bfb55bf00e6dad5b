"""The mask found for each picture directly, Eq. (3), beside those that mask nets give, Eqs. (4) and (5).

After Fig. 3 of Hu et al. (ICCV 2019), which shows the three on the same picture and calls the first noisy and the last
not useful. Measured are the objective that Eqs. (3) and (4) share, which the search alone minimises for the picture at
hand; how rough the mask is; what depth is seen through it; and what it costs. The mask net of Eq. (4) is set to the
same lambda, so that both minimise the same objective.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.data import RgbdData, open_data
from depthcue.data.folder import PictureData, open_pictures
from depthcue.errors import DepthcueError
from depthcue.evaluation import statistics
from depthcue.evaluation.images import map_of, picture_of, save_picture, save_row
from depthcue.evaluation.metrics import roughness
from depthcue.evaluation.statistics import Stopwatch, Tally, TallySummary, short
from depthcue.evaluation.viewing import View, Viewing, data_entry, described, load_pair, setting_of
from depthcue.imaging import grey8, overlay
from depthcue.nets import DepthNet, MaskNet, load_depth_net, load_mask_net, require_gradients
from depthcue.nets.catalog import SHIPPED
from depthcue.objective import total_variation
from depthcue.progress import Progress, Silent
from depthcue.results import Optimization, ResultFolder
from depthcue.scorers import (
    DirectSettings,
    Pictures,
    Scorer,
    ScorerInputs,
    build_scorer,
    judge,
    optimise_masks,
    sobel_edges,
)

DIRECT, LEARNED, OPPOSITE = "eq3", "eq4", "eq5"
"""Methods that find a mask, by the equations of the paper."""
MEASURES = ("objective", "difference", "mean", "total_variation", "roughness")
DEFAULT_LAMBDA = 5.0
"""Lambda where no mask net has one: the paper's for its analyses."""
_NAME_CHARACTERS = 40
"""Characters of a picture's name in the names of its masks: all of a long one would not fit."""


@dataclass(frozen=True)
class OptimizeSettings:
    """Settings of the search for masks."""

    lam: float | None = None
    """None takes the mask net's own, or 5 where there is none."""
    direct: DirectSettings = DirectSettings()
    """The seed is that of the measurement."""
    batch_size: int = 4
    seed: int = 0
    draws: int = statistics.DRAWS
    examples: int = 4
    """Pictures of the figure, spread over the data."""


@dataclass(frozen=True)
class OptimizeNets:
    """The depth net, and the mask nets to set beside the search: of Eq. (4) and of Eq. (5), each where there is one."""

    depth: DepthNet
    learned: MaskNet | None = None
    opposite: MaskNet | None = None


def optimize_specs(sources: Sequence[str], data: str | None, out: Path | None = None, target: str | None = None,
                   weights: str | None = None, opposite: str | None = None, settings: OptimizeSettings | None = None,
                   limit: int | None = None, device: str = "auto", progress: Progress | None = None) -> Optimization:
    """`optimize` on pictures or data, and nets, given by their specs.

    Args:
        sources: pictures, folders, globs; or none, and `data`.
        target: None takes the net that `weights` was trained for; compact-indoor where that is not given either.
        weights: None takes the shipped mask net of a shipped target, none of any other.
        opposite: a mask net trained by Eq. (5).

    Raises:
        DepthcueError: also where a spec cannot be opened, or sources and data are both given or neither.
    """
    if bool(sources) == (data is not None):
        raise DepthcueError("either pictures or --data must be given, got " + ("both" if sources else "neither"),
                            "Name pictures, or data by --data, such as --data scenes:indoor.")
    torch_device = pick_device(device)
    if weights is None and (target is None or target in SHIPPED):
        weights = target or SHIPPED[0]
    if weights is None:
        learned, depth_net = None, load_depth_net(target or SHIPPED[0], torch_device)
    else:
        learned, depth_net = load_pair(weights, target, torch_device)
    nets = OptimizeNets(depth_net, learned, None if opposite is None else load_mask_net(opposite, torch_device))
    opened: RgbdData = open_pictures(sources, limit, without=out) if data is None else open_data(
        data, split="test", limit=limit)
    return optimize(nets, opened, out, settings, torch_device, progress)


def optimize(nets: OptimizeNets, data: RgbdData, out: Path | None = None, settings: OptimizeSettings | None = None,
             device: str | torch.device = "cpu", progress: Progress | None = None) -> Optimization:
    """Find a mask for every picture by Eq. (3).

    Args:
        nets: on `device`, in eval mode.
        data: with ground truth or without.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: settings that make no sense, a lambda that the mask net does not take, a depth net without
            gradients, no images, nowhere to write.
    """
    settings = settings or OptimizeSettings()
    progress = progress or Silent()
    require_gradients(nets.depth, "Eq. (3)")
    settings.direct.check()
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")
    search = _Search(nets, data, settings, torch.device(device))
    home = ResultFolder(out)  # now, and not when the work is done
    progress.start("minimising Eq. (3)", len(data) * settings.direct.steps * settings.direct.restarts)
    masks: list[dict[str, Any]] = []
    examples: list[dict[str, Any]] = []
    with torch.inference_mode():
        for view in search.viewing.views():
            found = search.measure(view, progress)
            masks += _save_masks(view, found, home.folder)
            examples += search.examples(view, found, home.folder)
    return home.finish(_document(search, masks, examples))


class _Search:
    """Nets, data and methods that find a mask, and what has been measured of every picture so far."""

    def __init__(self, nets: OptimizeNets, data: RgbdData, settings: OptimizeSettings, device: torch.device) -> None:
        self.nets, self.data, self.settings = nets, data, settings
        self.lam = _lambda(nets, settings)
        self.direct = replace(settings.direct, seed=settings.seed)
        alone = isinstance(data, PictureData) and not data.uniform
        multiple = int(np.lcm.reduce([net.description.multiple for net in (nets.learned, nets.opposite) if net] or [1]))
        self.viewing = Viewing(nets.depth, data, device, batch_size=1 if alone else settings.batch_size,
                               multiple=multiple)
        self.watch = Stopwatch(device)
        self.tally = Tally()
        self.methods: dict[str, Scorer] = {}
        if nets.learned is not None:
            self.methods[LEARNED] = build_scorer("mask", ScorerInputs(nets.learned, settings.lam))
        if nets.opposite is not None:
            self.methods[OPPOSITE] = build_scorer("mask", ScorerInputs(nets.opposite))

    def measure(self, view: View, progress: Progress) -> dict[str, Tensor]:
        """Find every method's masks (B, 1, H, W) for one batch, and add what they come to."""
        def search(pictures: Pictures) -> Tensor:
            return optimise_masks(self.nets.depth, pictures, self.lam, self.direct, progress)

        self.tally.add_target(view)
        found = {method: self.watch.score(method, score, view.pictures)
                 for method, score in {DIRECT: search, **self.methods}.items()}
        measured = {method: self._measures(method, view.pictures, mask) for method, mask in found.items()}
        for method, mask in found.items():
            self.tally.errors(method, view, view.through(mask))
            for name, values in measured[method].items():
                self.tally.add(method, name, values)
                if method == LEARNED:
                    self.tally.add(DIRECT, f"{name}_minus_{LEARNED}", measured[DIRECT][name] - values)
        return found

    def _measures(self, method: str, pictures: Pictures, mask: Tensor) -> dict[str, Tensor]:
        judged = judge(self.nets.depth, pictures, mask, self.lam)
        objective = judged.objective
        if method == OPPOSITE:
            assert self.nets.opposite is not None
            objective = -judged.difference + self.nets.opposite.description.default_lambda * (1 - judged.mean)
        return dict(zip(MEASURES, (objective, judged.difference, judged.mean, total_variation(mask), roughness(mask)),
                        strict=True))

    def examples(self, view: View, found: dict[str, Tensor], out: Path) -> list[dict[str, Any]]:
        """Leave the pictures of the figure that are in this batch."""
        batch, pictures = view.batch, view.pictures
        wanted = set(self.viewing.spread(self.settings.examples))
        depths_m = ({method: view.through(mask) for method, mask in found.items()}
                    if wanted & set(pictures.indices) else {})
        return [save_row(
            out, f"{index:06d}", batch.names[row], pictures.rgb[row], sobel_edges(pictures.rgb[row:row + 1])[0],
            [mask[row] for mask in found.values()], [view.target_m[row]], [depth[row] for depth in depths_m.values()],
            view.truth(row))
            for row, index in enumerate(pictures.indices) if index in wanted]


def _lambda(nets: OptimizeNets, settings: OptimizeSettings) -> float:
    if nets.learned is not None:
        setting = setting_of(nets.learned, lam=settings.lam)
        return nets.learned.description.default_lambda if setting.lam is None else setting.lam
    lam = DEFAULT_LAMBDA if settings.lam is None else settings.lam
    if not 0 <= lam < math.inf:
        raise DepthcueError(f"--lambda must be at least 0 and finite, got {lam:g}", "The paper compares 1 to 6.")
    return lam


def _save_masks(view: View, found: dict[str, Tensor], out: Path) -> list[dict[str, Any]]:
    """Write masks as 8 bit and over the picture, at the size the nets work at; their entries, paths relative to OUT."""
    entries = []
    for row, (index, name) in enumerate(zip(view.pictures.indices, view.batch.names, strict=True)):
        picture, files = picture_of(view.pictures.rgb[row]), {}
        for method, mask in found.items():
            grey = grey8(map_of(mask[row]))
            for kind, pixels in (("mask", grey), ("overlay", overlay(picture, grey))):
                path = f"masks/{index:06d}-{PurePosixPath(name).stem[:_NAME_CHARACTERS]}-{method}-{kind}.png"
                files[f"{method}_{kind}"] = save_picture(out, path, pixels)
        entries.append({"name": name, **files})
    return entries


def _document(search: _Search, masks: list[dict[str, Any]], examples: list[dict[str, Any]]) -> Optimization:
    """The results document, schema 1.

    Beside the fields every document has: `target_net`, `weights` and `opposite` (None where there is none), `data`,
    `images`, `ground_truth`, `lambda`, `direct` (how the search was done), `target` (errors of N on whole pictures),
    `before` (the objective of showing all), `ways`: for eq3 and, where there are mask nets, eq4 and eq5, their errors
    as in compare-edges and the means over pictures of MEASURES with intervals, for eq3 also minus eq4's; the objective
    is that of Eqs. (3) and (4), for eq5 its own. `cost_ms` as in compare-edges; `per_image`; `masks` and `examples`,
    files under OUT.
    """
    settings = search.settings
    summary = TallySummary(search.tally, settings.draws, settings.seed)
    cost_ms = search.watch.cost_ms()
    methods = {}
    for method in cost_ms:
        names = [name for name in search.tally.numbers if name[0] == method and name[1].startswith(MEASURES)]
        methods[method] = summary.of(method) | {
            field: value for _, name in names
            for field, value in ((name, summary.mean(method, name)),
                                 (f"{name}_ci95", summary.mean_interval(method, name)))}
    nothing_lost = 3 * float(np.log(0.5))
    return Optimization.made(
        target_net=described(search.nets.depth),
        weights=None if search.nets.learned is None else described(search.nets.learned),
        opposite=None if search.nets.opposite is None else described(search.nets.opposite),
        data=data_entry(search.data, summary.without_depth()), seed=settings.seed,
        images=len(summary.names), ground_truth=summary.ground_truth, **{"lambda": short(search.lam)},
        direct=asdict(search.direct), batch_size=search.viewing.batch_size, target=summary.of_target(),
        before={"objective": short(nothing_lost + search.lam), "difference": short(nothing_lost), "mean": 1.0},
        ways=methods, cost_ms=cost_ms,
        per_image={"names": summary.names, "ways": {
            method: {name: [short(value) for value in search.tally.numbers[method, name]] for name in MEASURES}
            for method in methods}},
        masks=masks, examples=examples,
    )
