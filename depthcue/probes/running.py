"""Running experiments: cases through the net, readings, dropped cases with reasons, examples, and the results document.

Where a mask net is given, the share of its mask on the pixels that carry the changed cue is measured too.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.evaluation.images import depth_scale, depth_tile, picture_of, save_picture
from depthcue.evaluation.statistics import short
from depthcue.evaluation.viewing import described, load_pair
from depthcue.imaging import Rgb, resize_rgb
from depthcue.nets import DepthNet, MaskNet, load_depth_net
from depthcue.nets.catalog import SHIPPED
from depthcue.probes import appearance, cues, obstacles, pose
from depthcue.probes.contract import (
    PHOTOGRAPHS,
    RENDERED,
    STAGES,
    Answer,
    Case,
    Chance,
    Dropped,
    Experiment,
    Readings,
    Stage,
    Unreadable,
    Variant,
)
from depthcue.probes.photographs import PhotographStage
from depthcue.probes.reading import Observer
from depthcue.probes.stage import RenderedStage
from depthcue.progress import Progress, Silent
from depthcue.results import Probe, ResultFolder, read_result

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (
    obstacles.POSITION_SIZE_EXPERIMENT, cues.PERSPECTIVE_EXPERIMENT, cues.RELATIVE_SIZE_EXPERIMENT,
    cues.OCCLUSION_EXPERIMENT, cues.TEXTURE_GRADIENT_EXPERIMENT, cues.SHADING_EXPERIMENT, cues.HAZE_EXPERIMENT,
    cues.BLUR_EXPERIMENT, pose.PITCH_EXPERIMENT, pose.ROLL_EXPERIMENT, pose.VIEWPOINT_EXPERIMENT,
    appearance.EXPERIMENT, obstacles.UNFAMILIAR_EXPERIMENT, obstacles.PARTS_EXPERIMENT,
    obstacles.GROUND_EDGE_EXPERIMENT)}
"""Every experiment by name, as the list has them."""
BOTH_STAGES = "both"
ALL = "all"
"""Every experiment, on the command line."""
SHARE, LIFT, BEFORE = "mask_share", "mask_lift", "mask_share_before"
"""Numbers of a reading: the share of the mask's sum on the cue; that over the cue's share of the picture (1: as much as
by chance); and the first on the same pixels of the reference picture."""
_SHOWN_WIDTH = 320
"""Width of the pictures of examples."""
_MOST = 10
"""Most conditions of an example."""


class ExampleKeeper:
    """Keeps the first case of each experiment: its reference, and the last level of each condition."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._case = ""
        self._kept: dict[str, tuple[float, Rgb, Rgb]] = {}
        self._scale = (1.0, 2.0)

    def offer(self, case: str, variant: Variant, answer: Answer) -> None:
        """Keep a variant if it is one to be shown."""
        if not self._case:
            self._case = case
            self._scale = depth_scale(answer.reference.numpy())
        if case != self._case:
            return
        height, width = variant.rgb.shape[1:]
        size = (round(height * _SHOWN_WIDTH / width), _SHOWN_WIDTH)
        self._kept[variant.condition] = (variant.level, resize_rgb(picture_of(variant.rgb), *size),
                                         depth_tile(answer.depth.numpy().astype(np.float32), size, self._scale))

    def save(self, name: str) -> list[dict[str, Any]]:
        """Write what was kept as OUT/examples/NAME-*.png and begin anew; paths in the entries are relative to OUT."""
        entries = []
        for number, (condition, (level, picture, depth)) in enumerate(list(self._kept.items())[:_MOST]):
            paths = {"shown": f"examples/{name}-{number}-picture.png", "seen": f"examples/{name}-{number}-depth.png"}
            for path, tile in zip(paths.values(), (picture, depth), strict=True):
                save_picture(self.out, path, tile)
            entries.append({"case": self._case, "condition": condition, "level": level, **paths})
        self._case, self._kept = "", {}
        return entries


def share_on(mask: Tensor, cue: Tensor) -> float:
    """Share of the sum of a mask (1, H, W) that lies on a cue, bool (1, H, W); NaN of an empty mask."""
    return float(mask[cue].sum() / mask.sum()) if float(mask.sum()) > 0 else float("nan")


def read_attention(variant: Variant, mask: Tensor, before: Tensor) -> dict[str, float]:
    """The three numbers of a variant; none where no pixel, or all, carry the cue."""
    cue = variant.region if variant.cue is None else variant.cue
    if cue is None or not cue.any() or cue.all():
        return {}
    share = share_on(mask, cue)
    return {SHARE: share, LIFT: share / float(cue.float().mean()), BEFORE: share_on(before, cue)}


def attention_document(readings: Sequence[Readings], chance: Chance) -> list[dict[str, Any]]:
    """The mask's share on the cue, that share over chance's, and the share before it was turned, for each condition.

    Means over the levels of a case, then over cases with intervals; empty where no mask was looked at.
    """
    conditions = dict.fromkeys(condition for reading in readings for condition, _ in reading.numbers)
    entries = []
    for condition in conditions:
        columns = {name: [float(found.mean()) if len(found := reading.levels(condition, name)[1]) else np.nan
                          for reading in readings] for name in (SHARE, LIFT, BEFORE)}
        if np.isfinite(columns[SHARE]).any():
            entries.append({"condition": condition,
                            **{name: chance.mean(values) for name, values in columns.items()}})
    return entries


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of the experiments, besides nets and names.

    Attributes:
        stage: `rendered`, `photographs` or `both`; None takes both where there are frames, else the rendered one.
        scenes: kind of rendered scenes, `road` or `indoor`; None takes the one that fits the net's range.
        frames, objects: for photographs: frames (`kitti:PATH`, `folder:PATH` or a plain folder) and cut-outs.
        horizon: of photographs, share of the height from the top; None estimates it from depth where there is some.
        limit: cases of each experiment on each stage; None leaves it to the stage.
        draws: resamples for the intervals.
    """

    stage: str | None = None
    scenes: str | None = None
    frames: str | None = None
    objects: Path | None = None
    horizon: float | None = None
    limit: int | None = None
    seed: int = 0
    batch_size: int = 8
    draws: int = 2000


@dataclass
class _ExperimentRun:
    """Measurements of one experiment on one stage so far."""

    readings: list[Readings] = field(default_factory=list)
    variants: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)


def probe_specs(names: Sequence[str], target: str | None, out: Path | None = None,
                settings: ProbeSettings | None = None, weights: str | None = None, device: str = "auto",
                progress: Progress | None = None, beside: Sequence[Path] = ()) -> Probe:
    """`probe` on nets given by their specs.

    Args:
        target: None takes the net that `weights` was trained for; compact-indoor where that is not given either.

    Raises:
        DepthcueError: as `probe`, a net that cannot be loaded, or no such device.
    """
    torch_device = pick_device(device)
    if weights is None:
        mask_net, depth_net = None, load_depth_net(target or SHIPPED[0], torch_device)
    else:
        mask_net, depth_net = load_pair(weights, target, torch_device)
    return probe(names, depth_net, out, settings, mask_net, torch_device, progress, beside)


def probe(names: Sequence[str], depth_net: DepthNet, out: Path | None = None, settings: ProbeSettings | None = None,
          mask_net: MaskNet | None = None, device: str | torch.device = "cpu",
          progress: Progress | None = None, beside: Sequence[Path] = ()) -> Probe:
    """Run experiments on a depth net in eval mode.

    Args:
        names: of experiments; `all`, or none, runs every one that its stage supports.
        mask_net: for the share of its mask on each cue.
        beside: results of other networks, whose profiles are laid beside this one's.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result. Beside the fields every document has: `target_net`, `weights` (null without a mask net),
        `stages` (what each showed), `experiments` (for each on each stage: `name`, `question`, `stage`, `cases`,
        `variants`, `dropped` and `unreadable` with reasons, the fields of `Findings`, `attention`, `examples`,
        `seconds`), `profile` (all weights on the common scale, with the experiment and stage they come from) and
        `beside` (the `target_net`, `stages` and `profile` of other networks).

    Raises:
        DepthcueError: an unknown experiment or stage, a stage without what it needs, nowhere to write.
    """
    settings = settings or ProbeSettings()
    progress = progress or Silent()
    chosen = choose(names)
    others = [read_profile(path) for path in beside]
    stages = open_stages(chosen, depth_net, settings, device)
    home = ResultFolder(out)  # now, and not when the work is done
    keeper = ExampleKeeper(home.folder)
    observer = Observer(depth_net, mask_net, device, settings.batch_size)
    chance = Chance(settings.draws, settings.seed)
    entries = []
    for experiment in chosen:
        for stage in experiment.stages:
            if stage in stages:
                entries.append(measure(experiment, stages[stage], observer, chance, keeper, progress))
    profile = [{**weight, "experiment": entry["name"], "stage": entry["stage"]}
               for entry in entries for weight in entry["profile"]]
    return home.finish(Probe.made(
        target_net={**described(depth_net), "predicts": depth_net.description.predicts,
                    "relative": depth_net.description.relative},
        weights=None if mask_net is None else described(mask_net), seed=settings.seed,
        stages={name: stage.described() for name, stage in stages.items()}, experiments=entries, profile=profile,
        beside=others))


def choose(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these names, as EXPERIMENTS has them.

    Raises:
        DepthcueError: an unknown name.
    """
    for name in names:
        if name not in (ALL, *EXPERIMENTS):
            raise must_be_one_of("EXPERIMENT", (ALL, *EXPERIMENTS), name,
                                 "depthcue probe --list says what each asks.")
    if not names or ALL in names:
        return list(EXPERIMENTS.values())
    return [experiment for name, experiment in EXPERIMENTS.items() if name in names]


def read_profile(path: Path) -> dict[str, Any]:
    """The network and the profile of a probe document: a results.json, or the folder it lies in.

    Raises:
        DepthcueError: there is none.
    """
    hint = "Give --beside the results.json of another network's depthcue probe, or its folder."
    try:
        other = read_result(path, Probe.COMMAND)
    except DepthcueError as error:
        raise DepthcueError(error.message, hint) from None
    return {name: other[name] for name in ("target_net", "stages", "profile")}


def open_stages(chosen: Sequence[Experiment], depth_net: DepthNet, settings: ProbeSettings,
                device: str | torch.device) -> Mapping[str, RenderedStage | PhotographStage]:
    """The wanted stages that an experiment needs.

    Raises:
        DepthcueError: an unknown stage, photographs wanted without frames or objects, or these given where none are
            shown, no experiment for the stage.
    """
    if settings.stage not in (None, BOTH_STAGES, *STAGES):
        raise DepthcueError(f"--stage must be one of {', '.join(STAGES)}, {BOTH_STAGES}, got {settings.stage!r}",
                            "Leave it out for what the other options need.")
    if settings.stage is None:
        stage_names = STAGES if settings.frames is not None else (RENDERED,)
    else:
        stage_names = STAGES if settings.stage == BOTH_STAGES else (settings.stage,)
    if PHOTOGRAPHS not in stage_names:
        idle = [option for option, given in (("--frames", settings.frames), ("--objects", settings.objects),
                                             ("--horizon", settings.horizon)) if given is not None]
        if idle:
            raise DepthcueError(f"{', '.join(idle)} needs the stage of photographs, which is not shown",
                                f"Give --frames and --objects, and leave --stage out or give --stage {BOTH_STAGES}.")
    used = {stage for experiment in chosen for stage in experiment.stages}
    openers: dict[str, Callable[[], RenderedStage | PhotographStage]] = {
        RENDERED: lambda: RenderedStage.for_net(depth_net.description, settings.scenes, settings.limit, settings.seed,
                                                device),
        PHOTOGRAPHS: lambda: PhotographStage.open(settings.frames, settings.objects, settings.horizon, settings.limit,
                                                  settings.seed)}
    stages = {name: openers[name]() for name in stage_names if name in used}
    if not stages:
        raise DepthcueError(f"none of {', '.join(experiment.name for experiment in chosen)} can be shown on the stage "
                            f"{', '.join(stage_names)}",
                            "depthcue probe --list says which stages each experiment has; photographs need --frames.")
    return stages


def measure(experiment: Experiment, stage: Stage, observer: Observer, chance: Chance, keeper: ExampleKeeper,
            progress: Progress) -> dict[str, Any]:
    """Run one experiment on one stage; its entry in `experiments` of the results document."""
    start = time.perf_counter()
    progress.start(f"{experiment.name}, {stage.name}")
    run = _ExperimentRun()
    for case in experiment.cases[stage.name](stage):
        if isinstance(case, Dropped):
            run.dropped.append(case)
            continue
        run.readings.append(_read_case(experiment, case, observer, run, keeper, progress))
    chance = chance.over([readings.scene for readings in run.readings])
    findings = experiment.conclude(run.readings, chance)
    return {"name": experiment.name, "question": experiment.question, "stage": stage.name,
            "cases": len(run.readings), "variants": run.variants,
            "dropped": [{"case": drop.name, "reason": drop.reason} for drop in run.dropped],
            "unreadable": dict(run.unreadable), **findings.document(),
            "attention": attention_document(run.readings, chance),
            "examples": keeper.save(f"{experiment.name}-{stage.name}"),
            "seconds": short(time.perf_counter() - start)}


def _read_case(experiment: Experiment, case: Case, observer: Observer, run: _ExperimentRun, keeper: ExampleKeeper,
               progress: Progress) -> Readings:
    readings = Readings(case.scene)
    before = None
    for variant, answer, mask in observer.answers(case):
        before = mask if before is None else before
        run.variants += 1
        keeper.offer(case.name, variant, answer)
        try:
            if not bool(torch.isfinite(answer.depth).all() and torch.isfinite(answer.reference).all()):
                raise Unreadable("the net's answer is not finite")
            numbers = experiment.read(variant, answer)
        except Unreadable as missing:
            run.unreadable[missing.reason] += 1
            numbers = missing.numbers
        if numbers and mask is not None and before is not None and variant is not case.reference:
            numbers = numbers | read_attention(variant, mask, before)
        if numbers:
            readings.numbers[variant.condition, variant.level] = {**variant.truth, **numbers}
        progress.advance()
    return readings
