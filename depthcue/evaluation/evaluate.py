"""Table 1: what a depth net loses behind masks of every lambda, and what that number depends on.

After sec. 5.2 of Hu et al. (ICCV 2019): for each lambda the RMSE of N(I * M) with the soft mask M = G(I), the RMSE with
M' = M > 0.025, and the sparseness of M', the mean share of its pixels that are not zero; against ground truth as in the
paper, and against N(I). Beyond the paper: every other error measure, with intervals; N(I * (1 - M)), what is left
outside the mask; other thresholds than 0.025; other fills than the mean colour; the curves of insertion and deletion;
equal shares of pixels under every fill (see `fills`); and what kind of selection the mask is (see `character`). These
are measured at one lambda, the one in question (see `EvaluateSettings.lam`), but for those that are about shares: there
a net with a dial gives a mask of about each share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import lcm
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depthcue.backends.device import pick_device
from depthcue.data import RgbdData, open_data
from depthcue.errors import DepthcueError
from depthcue.evaluation import fills, objects, statistics
from depthcue.evaluation.fills import (
    ALWAYS,
    FILL_SHARES,
    INSERTION_SHARES,
    curves_under_fills,
    measure_orders,
    measure_under_fills,
    order_curves,
)
from depthcue.evaluation.metrics import spearman
from depthcue.evaluation.sanity import Sanity, check_sanity, measure_sanity
from depthcue.evaluation.statistics import Tally, TallySummary
from depthcue.evaluation.viewing import (
    View,
    Viewing,
    choose_rivals,
    data_entry,
    described,
    inputs_of,
    load_pair,
    setting_of,
    settings_for,
    wants_scenes,
)
from depthcue.nets import DepthNet, MaskNet, Setting, load_mask_net
from depthcue.nets.units import FILLS, check_fill
from depthcue.progress import Progress, Silent
from depthcue.results import Evaluation, ResultFolder
from depthcue.scorers import (
    THRESHOLD,
    DirectSettings,
    Pictures,
    binarise,
    build_scorer,
    rank_pixels,
    sparseness,
)

KEEPS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Shares to keep of nets of shares."""
PAPER_LAMBDAS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
THRESHOLDS = (0.0, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
CHARACTER = "character"
"""The key of what kind of selection the mask in question is."""
WHOLE = "whole"
"""The key of the whole picture, which errors through masks are compared with."""


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of an evaluation."""

    lambdas: tuple[float, ...] = ()
    """Empty: for a net with a lambda dial the paper's 1 to 6 within its range, else the one the net was trained for."""
    keeps: tuple[float, ...] = ()
    """Shares to keep instead of lambdas; empty: KEEPS for nets of shares that no lambda is given for."""
    lam: float | None = None
    """The lambda in question; None takes the one nearest to the first mask net's own setting."""
    keep: float | None = None
    """The share in question, in place of `lam`."""
    truth: bool = False
    """Whether to insist on ground truth."""
    fill: str = "mean"
    """Fill of hidden pixels, but for the comparison of fills."""
    thresholds: tuple[float, ...] = THRESHOLDS
    """Thresholds of the sweep; empty leaves it out."""
    fills: tuple[str, ...] = FILLS
    """Fills to compare; empty leaves the comparison out."""
    character: bool = True
    """Whether to measure what kind of selection the mask is."""
    shares: tuple[float, ...] = INSERTION_SHARES
    """Shares of the insertion and deletion curves; empty leaves them out."""
    against: tuple[str, ...] = ("sobel", "random")
    """Orders that the mask's is compared with in those curves, names in `scorers.SCORERS`, or "all" that can work."""
    direct: DirectSettings = DirectSettings()
    """Settings by which `direct` minimises Eq. (3); the seed is the evaluation's."""
    sanity: Sanity | None = None
    """Settings for randomising the depth net layer by layer; None leaves it out."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS

    def table_only(self) -> "EvaluateSettings":
        """The same, with the table alone."""
        return replace(self, thresholds=(), fills=(), shares=(), character=False)


@dataclass(frozen=True)
class NetAtSetting:
    """One mask net at one setting."""

    number: int
    """Index of the mask net among those given."""
    mask_net: MaskNet
    setting: Setting

    def mask(self, pictures: Pictures) -> Tensor:
        """M, (B, 1, H, W) in [0, 1].

        Raises:
            DepthcueError: the net gives something else.
        """
        mask = build_scorer("mask", inputs_of(self.mask_net, self.setting))(pictures)
        if not (torch.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
            raise DepthcueError(f"the mask net {self.mask_net.description.name} gives values outside [0, 1] at "
                                f"{self.setting}, or none that are numbers",
                                "Its weights are damaged, or it overflows.")
        return mask

    def key(self, part: str) -> str:
        """Key of what the depth net predicts from one part of the picture: soft, binary or hidden."""
        return f"{part} of {self.number} at {self.setting}"

    def distance(self, keep: float | None, lam: float | None) -> float:
        """Distance of the setting from a share or a λ, or from the net's own for neither."""
        own = setting_of(self.mask_net) if keep is None and lam is None else Setting(lam, keep)
        if own.keep is not None and self.setting.keep is not None:
            return abs(self.setting.keep - own.keep)
        return abs((self.setting.lam or 0.0) - (own.lam or 0.0))


def evaluate_specs(weights: Sequence[str] | None, target: str | None, data: str, out: Path | None = None,
                   settings: EvaluateSettings | None = None,
                   limit: int | None = None, device: str = "auto", progress: Progress | None = None) -> Evaluation:
    """`evaluate` on nets and test data given by their specs; `limit` takes that many images.

    Args:
        weights: None takes the shipped mask net for `target`.

    Raises:
        DepthcueError: also where a spec cannot be opened, or mask nets for different depth nets without `target`.
    """
    torch_device = pick_device(device)
    first, *others = weights or (None,)
    mask_net, depth_net = load_pair(first, target, torch_device)
    mask_nets = [mask_net, *(load_mask_net(spec, torch_device) for spec in others if spec is not None)]
    trained_for = {net.description.target for net in mask_nets}
    if target is None and len(trained_for) > 1:
        raise DepthcueError(f"these mask nets were trained for different depth nets: {', '.join(sorted(trained_for))}",
                            "Evaluate each by itself, or name the one depth net with --target.")
    opened = open_data(data, split="test", limit=limit)
    return evaluate(mask_nets, depth_net, opened, out, settings, torch_device, progress)


def evaluate(mask_nets: Sequence[MaskNet], depth_net: DepthNet, data: RgbdData, out: Path | None = None,
             settings: EvaluateSettings | None = None, device: str | torch.device = "cpu",
             progress: Progress | None = None) -> Evaluation:
    """Measure what `depth_net` sees through the masks of `mask_nets`.

    Args:
        mask_nets, depth_net: on `device`, in eval mode. Several mask nets: of one lambda each, or rivals.
        data: with ground truth or without.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: a lambda outside a net's range, no images, no ground truth where it is insisted on, an unknown
            fill or order, outputs that are not numbers, nowhere to write.
    """
    settings, progress = settings or EvaluateSettings(), progress or Silent()
    nets_at_settings = _nets_at_settings(mask_nets, settings)
    _check(data, settings)
    evaluation = _Evaluation(nets_at_settings, depth_net, data, settings, torch.device(device))
    if settings.sanity is not None:
        check_sanity(depth_net, evaluation.in_question.mask_net, settings.sanity)
    home = ResultFolder(out)  # now, and not when the work is done
    with torch.inference_mode():
        evaluation.choose_settings(progress)
        progress.start("evaluating", len(data))
        for view in evaluation.viewing.views():
            evaluation.measure(view)
            progress.advance(len(view))
    summary = TallySummary(evaluation.tally, settings.draws, settings.seed)
    if settings.truth and not summary.ground_truth:
        raise DepthcueError(f"no depth in {data.spec} is valid", "Leave --truth out, or choose another --data.")
    sanity = None
    if settings.sanity is not None:
        one = evaluation.in_question
        sanity = measure_sanity(one.mask_net, one.setting, evaluation.viewing, settings.sanity, progress)
    return home.finish(_document(evaluation, summary, mask_nets, sanity))


def _nets_at_settings(mask_nets: Sequence[MaskNet], settings: EvaluateSettings) -> list[NetAtSetting]:
    """Every mask net at each of its settings."""
    nets_at_settings = []
    for number, net in enumerate(mask_nets):
        if net.keeps_shares and not settings.lambdas:
            nets_at_settings += [NetAtSetting(number, net, setting_of(net, keep)) for keep in settings.keeps or KEEPS]
        elif settings.keeps:
            raise DepthcueError(f"{net.description.name} does not take a share, and --keep was given",
                                "Give --lambda, or a mask net that is trained for shares.")
        else:
            lambdas = tuple(dict.fromkeys(settings.lambdas)) or _own_lambdas(net)
            nets_at_settings += [NetAtSetting(number, net, setting_of(net, lam=lam)) for lam in lambdas]
    return nets_at_settings


def _own_lambdas(net: MaskNet) -> tuple[float, ...]:
    own = (net.description.default_lambda,)
    if net.description.lambda_range is None:
        return own
    low, high = net.description.lambda_range
    return tuple(lam for lam in PAPER_LAMBDAS if low <= lam <= high) or own


def _check(data: RgbdData, settings: EvaluateSettings) -> None:
    if len(data) == 0:
        raise DepthcueError(f"{data.spec} has no images", "Choose another --data.")
    if settings.truth and not data.has_depth:
        raise DepthcueError(f"{data.spec} has no depth to measure against, and --truth asks for it",
                            "Leave --truth out to measure against what the depth net sees in whole pictures, or choose "
                            "data with depth: scenes:indoor, nyu:PATH, kitti:PATH.")
    for fill in (settings.fill, *settings.fills):
        check_fill(fill)


class _Evaluation:
    """The measuring itself: nets, data, and the errors of every image so far."""

    def __init__(self, nets_at_settings: Sequence[NetAtSetting], depth_net: DepthNet, data: RgbdData,
                 settings: EvaluateSettings, device: torch.device) -> None:
        self.nets_at_settings, self.depth_net, self.data, self.settings = nets_at_settings, depth_net, data, settings
        self.viewing = Viewing(depth_net, data, device, batch_size=settings.batch_size,
                               multiple=lcm(*(one.mask_net.description.multiple for one in nets_at_settings)),
                               scenes=bool(settings.shares) and wants_scenes(settings.against))
        self.in_question = min(nets_at_settings, key=lambda one: one.distance(settings.keep, settings.lam))
        inputs = replace(inputs_of(self.in_question.mask_net, self.in_question.setting, settings.seed),
                         depth_net=depth_net, direct=replace(settings.direct, seed=settings.seed))
        self.rivals = choose_rivals(settings.against if settings.shares else (), inputs, self.viewing)
        self.scores = self.rivals.scores | {name: build_scorer(name, inputs) for name in ALWAYS}
        self.at: dict[float, Setting] = {}
        """Setting of the net in question for each share that its masks are to keep."""
        # without ground truth, the depth of a relative net has a unit of its own and no zero
        self.in_metres = data.has_depth or not depth_net.description.relative
        self.tally = Tally()

    def choose_settings(self, progress: Progress) -> None:
        """Find the setting whose masks keep each share that is needed."""
        shares = set(FILL_SHARES if self.settings.fills else ())
        if self.settings.character:
            shares |= {share for both in objects.NESTED for share in both}
        if shares:
            one = self.in_question
            self.at = settings_for(one.mask_net, self.viewing, sorted(shares), one.setting, progress)

    def measure(self, view: View) -> None:
        """Add one batch to what is collected."""
        _require_numbers(view.target_m, self.depth_net, view)
        self.tally.add_target(view)
        self.tally.full_errors(WHOLE, view, view.target_m, in_metres=self.in_metres)
        for one in self.nets_at_settings:
            mask = one.mask(view.pictures)
            binary = binarise(mask)
            self.tally.add(one.key("soft"), "mean", mask.mean(dim=(1, 2, 3)))
            self.tally.add(one.key("binary"), "mean", sparseness(binary))
            for part, kept in (("soft", mask), ("binary", binary), ("hidden", 1 - mask)):
                self.tally.full_errors(one.key(part), view, self._depth_through(view, kept), in_metres=self.in_metres)
            if one is self.in_question:
                self._measure_closely(view, mask)

    def _measure_closely(self, view: View, mask: Tensor) -> None:
        for threshold in self.settings.thresholds:
            kept = binarise(mask, threshold)
            self.tally.add(_threshold(threshold), "mean", sparseness(kept))
            self.tally.errors(_threshold(threshold), view, self._depth_through(view, kept))
        parts = {"soft": mask, "binary": binarise(mask), "hidden": 1 - mask, "nothing": torch.zeros_like(mask)}
        for fill in self.settings.fills:
            for part, kept in parts.items():
                self.tally.errors(_filled(fill, part), view, self._depth_through(view, kept, fill))
        if not (self.settings.shares or self.settings.fills or self.settings.character):
            return
        mask_at = self._masks(view.pictures)
        scores = {name: score(view.pictures) for name, score in self.scores.items()}
        ranks = {name: rank_pixels(score, self.settings.seed) for name, score in scores.items()}
        if self.settings.fills:
            measure_under_fills(self.tally, view, partial(self._depth_through, view), self.settings.fills,
                                lambda share: rank_pixels(mask_at(share), self.settings.seed), ranks)
        if self.settings.shares:
            orders = {fills.MASK: rank_pixels(mask, self.settings.seed)}
            orders |= {name: ranks[name] for name in self.rivals.scores}
            measure_orders(self.tally, view, partial(self._depth_through, view), orders, self.settings.shares)
        if self.settings.character:
            self._add_character(mask, mask_at, scores)

    def _masks(self, pictures: Pictures) -> Callable[[float], Tensor]:
        """Function from a share to the masks (B, 1, H, W) that the net in question gives for it."""
        @cache
        def of_setting(setting: Setting) -> Tensor:
            return replace(self.in_question, setting=setting).mask(pictures)

        return lambda share: of_setting(self.at[share])

    def _add_character(self, mask: Tensor, mask_at: Callable[[float], Tensor], scores: dict[str, Tensor]) -> None:
        border, rest = objects.border_and_rest(mask)
        measures = {"undecided": objects.undecided(mask), "border": border, "rest": rest}
        measures |= {f"correlation with {name}": spearman(mask, scores[name]) for name in ALWAYS}
        if self.in_question.mask_net.has_dial:
            measures |= {f"nesting of {both}": objects.nesting(mask_at, *both, self.settings.seed)
                         for both in objects.NESTED}
        for name, values in measures.items():
            self.tally.add(CHARACTER, name, values)

    def _depth_through(self, view: View, kept: Tensor, fill: str | None = None) -> Tensor:
        depth_m = view.through(kept, self.settings.fill if fill is None else fill)
        _require_numbers(depth_m, self.depth_net, view)
        return depth_m


def _require_numbers(depth_m: Tensor, net: DepthNet, view: View) -> None:
    wrong = [name for name, depth in zip(view.batch.names, depth_m, strict=True) if not torch.isfinite(depth).all()]
    if wrong:
        raise DepthcueError(f"the depth net {net.description.name} gives values that are not finite for {wrong[0]}",
                            "Its weights are damaged, or it overflows; leave that picture out if it is the only one.")


def _threshold(threshold: float) -> str:
    return f"above {threshold}"


def _filled(fill: str, part: str) -> str:
    return f"{part} on {fill}"


def _document(evaluation: _Evaluation, summary: TallySummary, mask_nets: Sequence[MaskNet],
              sanity: dict[str, Any] | None) -> Evaluation:
    """The results document, schema 1.

    Beside the fields every document has: `weights` (a list), `target_net`, `data` (what was measured), `images` (how
    many), `ground_truth` (whether the data has any), `fill`, `original` (the errors of N(I) against ground truth; empty
    without), `table` (for every mask net and setting: `weights`, its index in that list; `lambda`, and `keep` of a net
    of shares; `mean` of M and `sparseness` of M' with intervals; the errors of `soft` M, `binary` M' and `hidden` 1 -
    M, see `TallySummary.full_errors`; and `soft_minus_original`, `binary_minus_soft`, differences of RMSE on the same
    images), `in_question` (the weights and setting of all that follows), `thresholds`, `fills` (RMSE with every fill,
    `nothing` being a picture all hidden), `orders` (see `order_curves`; beside the curves `left_out`, the scorers that
    cannot work, with the reason), `under_fills` (see `curves_under_fills`: equal shares of pixels), `character` (see
    `_character`), `sanity` (see `measure_sanity`) and `per_image`; None or empty where not asked for. Errors in metres.
    """
    settings, nets_at_settings = evaluation.settings, evaluation.nets_at_settings
    one = evaluation.in_question
    parts = (fills.MASK, *evaluation.rivals.scores)
    orders = order_curves(summary, parts, settings.shares) | {"left_out": evaluation.rivals.left_out} \
        if settings.shares else None
    return Evaluation.made(
        weights=[described(net) for net in mask_nets],
        target_net=described(evaluation.depth_net) | {"architecture": evaluation.depth_net.card.get("architecture")},
        data=data_entry(evaluation.data, summary.without_depth()),
        seed=settings.seed, images=len(summary.names), ground_truth=summary.ground_truth, fill=settings.fill,
        threshold=THRESHOLD, original=summary.full_errors(WHOLE).get("truth", {}),
        table=[_row(summary, each) for each in nets_at_settings],
        in_question={"weights": one.number, **one.setting.entry()},
        thresholds=[{"threshold": threshold, "sparseness": summary.mean(_threshold(threshold), "mean"),
                     **summary.of(_threshold(threshold))} for threshold in settings.thresholds],
        fills={fill: {part: summary.of(_filled(fill, part)) for part in ("soft", "binary", "hidden", "nothing")}
               for fill in settings.fills},
        orders=orders, under_fills=curves_under_fills(summary, settings.fills, tuple(evaluation.scores),
                                                      evaluation.at),
        character=_character(evaluation, summary), sanity=sanity,
        per_image={"names": summary.names, "original": summary.per_image(WHOLE), "table": [
            {part: summary.per_image(each.key(part)) for part in ("soft", "binary")} for each in nets_at_settings]},
    )


def _character(evaluation: _Evaluation, summary: TallySummary) -> dict[str, Any] | None:
    """Character of the mask's selection, every `value` a mean over images with its interval.

    `undecided`, the share of its values between `bounds`; `border_ratio`, the mean of its outer `border_px` pixels over
    that of all others, None where all others are 0; `correlation`, of its ranks with those of each of ALWAYS;
    `nesting`, the share of the pixels kept at a `smaller` share that are kept at a `larger` one: None for a net
    without a dial, whose one order of pixels is nested whatever it is.
    """
    if not evaluation.settings.character:
        return None
    one = evaluation.in_question
    return {
        "bounds": list(objects.UNDECIDED), "undecided": summary.entry(CHARACTER, "undecided"),
        "border_px": objects.BORDER_PX, "border_ratio": summary.ratio(CHARACTER, "border", "rest"),
        "correlation": {name: summary.entry(CHARACTER, f"correlation with {name}") for name in ALWAYS},
        "nesting": [{"smaller": both[0], "larger": both[1],
                     "settings": [evaluation.at[share].entry() for share in both],
                     **summary.entry(CHARACTER, f"nesting of {both}")} for both in objects.NESTED]
        if one.mask_net.has_dial else None}


def _row(summary: TallySummary, one: NetAtSetting) -> dict[str, Any]:
    soft, binary = one.key("soft"), one.key("binary")
    return {"weights": one.number, **one.setting.entry(),
            "mean": summary.mean(soft, "mean"), "mean_ci95": summary.mean_interval(soft, "mean"),
            "sparseness": summary.mean(binary, "mean"), "sparseness_ci95": summary.mean_interval(binary, "mean"),
            **{part: summary.full_errors(one.key(part)) for part in ("soft", "binary", "hidden")},
            "soft_minus_original": summary.difference(soft, WHOLE),
            "binary_minus_soft": summary.difference(binary, soft)}
