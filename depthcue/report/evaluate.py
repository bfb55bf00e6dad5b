"""Report of an evaluation: Table 1 for every setting and its conditions, in figures, tables and sentences.

The numbers of the paper's Table 1 stand beside ours where the network is the paper's and the pictures are NYU-v2's.
They were measured on its 654 test pictures with a ResNet-50 of Hu et al. (WACV 2019) that was trained on about 50 000
pairs, one mask net for every lambda; another training, or fewer pictures, give other numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from depthcue.report.figures import (
    DASHED,
    FEW_CURVES,
    LIGHT,
    Curve,
    Curves,
    Theme,
    draw_panels,
    method_style,
)
from depthcue.report.section import Plot, Section
from depthcue.report.tables import (
    ENOUGH,
    MANY,
    TARGET,
    TRUTH,
    Table,
    Verdict,
    apart,
    compared_with,
    counted,
    fields_for,
    label_of,
    measured_against,
    number,
    setting_column,
    setting_name,
    setting_title,
    sorted_out,
    too_few,
    verdict,
    verdict_words,
)
from depthcue.results import Evaluation, Fields, SanityCheck, SanityStage, TableRow

_SHARE_SEEN = "share of pixels the depth net sees"
_MEANS = {"abs_rel": "abs rel", "log10": "log10", "delta1": "δ1", "delta2": "δ2", "delta3": "δ3"}
_HIDDEN = "RMSE(1 − M)"
COMPARED = ("contrast", "sobel")
"""Scorers that the sentences on fills name where the tables have too many columns."""
_AGAINST = {TRUTH: "truth", TARGET: "target"}
_COLOURS = {"mean": "the mean colour", "black": "black", "own-mean": "the picture's own mean colour",
            "colour": "a colour drawn for each picture", "blur": "the picture blurred", "noise": "noise"}
SOURCE = "Hu, Zhang, Okatani, ICCV 2019, Table 1"


@dataclass(frozen=True)
class PublishedRow:
    """One row: RMSE in metres through M and M', and the sparseness of M'."""

    lam: float
    rmse: float
    rmse_binary: float
    sparseness: float


ORIGINAL_RMSE = 0.555
"""RMSE of the depth net on whole pictures."""

TABLE_1 = (
    PublishedRow(1, 0.605, 0.568, 0.920), PublishedRow(2, 0.668, 0.617, 0.746), PublishedRow(3, 0.699, 0.668, 0.589),
    PublishedRow(4, 0.731, 0.733, 0.425), PublishedRow(5, 0.740, 0.758, 0.361), PublishedRow(6, 0.772, 0.882, 0.215),
)


def draw_trade_off(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw RMSE through M against its mean, and through M' against its share of pixels, with lambda at every point.

    One panel against ground truth, where there is any, with the error of N and, where they belong, the paper's numbers;
    one against N(I).
    """
    panels: list[Curves] = []
    for reference in measured_against(results):
        curves = [_trade_off(entries, kind, _AGAINST[reference], colour, position == 0)
                  for position, entries in enumerate(_lines(results))
                  for kind, colour in zip(("soft", "binary"), theme.methods, strict=False)]
        if reference == TRUTH and is_the_papers(results):
            curves.append(Curve("M′, the paper's", theme.methods[2], [1, *(row.sparseness for row in TABLE_1)],
                                [ORIGINAL_RMSE, *(row.rmse_binary for row in TABLE_1)], marker="^", line=":", width=1))
        level = (results.original["rmse"], "whole picture") if reference == TRUTH else None
        panels.append(Curves(f"against {reference}", "mean of M, or share of pixels in M′", "RMSE (m)", curves, level,
                             percent=True, right=1.04, legend=not panels))
    return draw_panels(panels, paths, theme, (4.8 * len(panels) + 0.4, 3.9))


def _lines(results: Evaluation) -> list[list[TableRow]]:
    """The entries of each line, those that keep most first: of one net with a dial, or all nets of one lambda each."""
    entries = sorted(results.table, key=lambda entry: -entry["keep"] if "keep" in entry else float(entry["lambda"]))
    nets = [entry.weights for entry in entries]
    if len(set(nets)) == len(nets):
        return [entries]
    return [[entry for entry in entries if entry.weights == net] for net in dict.fromkeys(sorted(nets))]


def _trade_off(entries: Sequence[TableRow], kind: str, against: str, colour: str, named: bool) -> Curve:
    """One line of the trade-off, of M (`soft`) or M' (`binary`), with its setting beside each point."""
    share, name, marker = {"soft": ("mean", "M, at its mean", "o"), "binary": ("sparseness", "M′", "s")}[kind]
    errors = [entry[kind][against] for entry in entries]
    return Curve(name if named else None, colour, [entry[share] for entry in entries],
                 [error["rmse"] for error in errors], [error["rmse_ci95"] for error in errors], band=0, marker=marker,
                 width=1.6, texts=[f"{entry.keep:.0%}" if entry.keep is not None else f"λ {setting_name(entry)}"
                                    for entry in entries], alpha=1 if named else 0.5)


def draw_orders(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw the insertion and the deletion curve of every scorer, against N(I), with their areas where there are few."""
    orders, reference = results.orders, measured_against(results)[-1]
    error, _ = fields_for(reference)
    few = len(orders["insertion"]) <= FEW_CURVES
    panels: list[Curves] = []
    for kind, verb in (("insertion", "shown"), ("deletion", "hidden")):
        curves = [Curve(label_of(method) + (f" (area {entry[f'{error}_area']:.3f})" if few else ""),
                        at=orders["shares"], values=entry[error], **method_style(position, theme))
                  for position, (method, entry) in enumerate(orders[kind].items())]
        panels.append(Curves(kind, f"share of pixels {verb}, the first of the order first",
                             "" if panels else f"RMSE to {reference} (m)", curves, percent=True, legend=few))
    return draw_panels(panels, paths, theme, (9.6, 3.7) if few else (11.4, 4.4), shared=True, legend=not few)


def draw_thresholds(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw RMSE of M > threshold against the share of pixels kept, with the threshold at every point."""
    curves: list[Curve] = []
    for colour, reference in zip(theme.methods, measured_against(results), strict=False):
        error, _ = fields_for(reference)
        curves.append(Curve(f"against {reference}", colour, [entry.sparseness for entry in results.thresholds],
                            [entry[error] for entry in results.thresholds],
                            [entry[f"{error}_ci95"] for entry in results.thresholds], width=1.6,
                            texts=[] if curves else [f"{entry.threshold:g}" for entry in results.thresholds]))
    panel = Curves(f"M > threshold, at {setting_title(results.in_question)}", _SHARE_SEEN, "RMSE (m)", curves,
                   percent=True)
    return draw_panels([panel], paths, theme, (5.4, 3.7))


def draw_sanity(sanity: SanityCheck, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw the loss of the answer and the similarity of the masks as more and more layers are randomised."""
    stages, chance = sanity.stages, sanity.chance
    layers = "share of layers randomised, from the output"
    lost = [Curve(label_of(method), colour, _layers(stages), [stage.lost[method] for stage in stages],
                  [stage.lost[f"{method}_ci95"] for stage in stages], band=0.14, width=1.8 if method == "mask" else 1.4)
            for method, colour in zip(("mask", *stages[0].advantage), theme.methods, strict=False)]
    panels = [Curves(f"lost with {sanity.share:.0%} of the pixels", layers, "share of the net's answer lost",
                     lost, percent=True)]
    alike = []
    for kind, colour, name in (("direct", theme.methods[3], "Eq. (3)"),
                               ("retrained", theme.methods[4], "mask net trained on")):
        between = chance.get(kind)
        if between is not None:
            shown = [stage for stage in stages if stage[kind] is not None]
            alike.append(Curve(name, colour, _layers(shown), [stage[kind]["pearson"] for stage in shown],
                               [stage[kind]["pearson_ci95"] for stage in shown], band=0.14, width=1.6))
            alike.append(Curve(f"{name}, between pictures", colour, [0, 1], [between["pearson"]] * 2, marker=None,
                               line=DASHED, width=1))
    if alike:
        panels.append(Curves("masks, with those for the intact net", layers, "correlation", alike, percent=True,
                             bottom=None))
    return draw_panels(panels, paths, theme, (9.6 if alike else 5.2, 3.7))


def _layers(stages: Sequence[SanityStage]) -> list[float]:
    return [stage.layers / stage.of for stage in stages]


def evaluation_tables(results: Evaluation) -> list[Table]:
    """All tables for which the document has numbers."""
    tables = []
    for reference in measured_against(results):
        tables.append(table_1(results, reference))
        if "abs_rel" in results.table[0].soft[_AGAINST[reference]]:
            tables.append(measures_table(results, reference))
    if is_the_papers(results):
        tables.append(beside_the_papers(results))
    if results.orders:
        tables.append(orders_table(results))
    if results.fills:
        tables.append(fills_table(results))
    # results of earlier versions have neither of these
    if results.under_fills:
        tables.append(under_fills_table(results))
    if results.character:
        tables.append(character_table(results))
    if results.thresholds:
        tables.append(thresholds_table(results))
    if results.sanity:
        tables.append(kept_table(results.sanity))
        tables += [agreement_table(results.sanity, kind, chance)
                   for kind, chance in results.sanity.chance.items() if chance]
    return tables


def table_1(results: Evaluation, reference: str) -> Table:
    """RMSE through M, M' and 1 - M, and sparseness, for every setting; N itself above them."""
    against = _AGAINST[reference]
    rows: list[tuple[str, ...]] = []
    if reference == TRUTH:
        error = number(results.original, "rmse")
        rows.append(("original", "1", "1", error, error, ""))
    for entry in results.table:
        rows.append((_setting_label(results, entry), f"{entry.mean:.3f}", f"{entry.sparseness:.3f}",
                     *(number(entry[kind][against], "rmse") for kind in ("soft", "binary", "hidden"))))
    filled = "" if results.fill == "mean" else f"; hidden pixels show {results.fill}"
    return Table(f"RMSE in metres against {reference} (95 %); M' = M > {results.threshold:g}, sparseness = its "
                 f"share of pixels; {counted(results.images)} of {results.data.spec}{filled}",
                 (setting_column(results.table), "mean of M", "sparseness", "RMSE(M)", "RMSE(M')", _HIDDEN),
                 tuple(rows))


def measures_table(results: Evaluation, reference: str) -> Table:
    """The other measures through M and M', for every setting; N itself above them."""
    against = _AGAINST[reference]
    rows: list[tuple[str, ...]] = []
    if reference == TRUTH:
        rows.append(("original", *(f"{results.original[name]:.3f}" for name in _MEANS)))
    rows += [(_setting_label(results, entry), *(f"{entry.soft[against][name]:.3f} / {entry.binary[against][name]:.3f}"
                                        for name in _MEANS)) for entry in results.table]
    return Table(f"Other measures against {reference}, through M / M'; their intervals are in results.json",
                 (setting_column(results.table), *_MEANS.values()), tuple(rows))


def beside_the_papers(results: Evaluation) -> Table:
    """The paper's numbers and ours, at the lambdas that both have."""
    ours = {entry.lam: entry for entry in results.table if "keep" not in entry}
    original = f"{results.original['rmse']:.3f}"
    rows = [("original", f"{ORIGINAL_RMSE:.3f}", original, f"{ORIGINAL_RMSE:.3f}", original, "1.000", "1.000")]
    for row in TABLE_1:
        if entry := ours.get(row.lam):
            rows.append((f"{row.lam:g}", f"{row.rmse:.3f}", f"{entry.soft['truth']['rmse']:.3f}",
                         f"{row.rmse_binary:.3f}", f"{entry.binary['truth']['rmse']:.3f}",
                         f"{row.sparseness:.3f}", f"{entry.sparseness:.3f}"))
    return Table(f"The paper's Table 1 beside ours ({SOURCE}: 654 images of NYU-v2, another training of the network)",
                 ("lambda", "RMSE(M) paper", "ours", "RMSE(M') paper", "ours", "sparseness paper", "ours"), tuple(rows))


def thresholds_table(results: Evaluation) -> Table:
    """M > threshold, for every threshold of the sweep."""
    errors = [(fields_for(reference)[0], reference) for reference in measured_against(results)]
    rows = tuple((f"{entry.threshold:g}", f"{entry.sparseness:.3f}",
                  *(number(entry, error) for error, _ in errors)) for entry in results.thresholds)
    return Table(f"M > threshold at {setting_title(results.in_question)}; RMSE in metres (95 %)",
                 ("threshold", "share kept", *(f"against {reference}" for _, reference in errors)), rows)


def fills_table(results: Evaluation) -> Table:
    """Table of the loss with each fill of hidden pixels."""
    reference = measured_against(results)[-1]
    error, _ = fields_for(reference)
    columns = {"soft": "RMSE(M)", "binary": "RMSE(M')", "hidden": _HIDDEN, "nothing": "all hidden"}
    rows = tuple((fill, *(number(entry[kind], error) for kind in columns))
                 for fill, entry in results.fills.items())
    return Table(f"What hidden pixels show, at {setting_title(results.in_question)}; RMSE in metres against "
                 f"{reference} (95 %)", ("fill", *columns.values()), rows)


def under_fills_table(results: Evaluation) -> Table:
    """Equally many pixels of the mask and of others under every fill: the mask's error, the others' minus it."""
    reference = measured_against(results)[-1]
    error, minus = fields_for(reference)
    curves = results.under_fills
    others = [method for method in next(iter(curves.values())) if method != "mask"]
    if len(others) > MANY:
        others = [method for method in others if method in COMPARED]
    rows = []
    for fill, methods in curves.items():
        for index, entry in enumerate(methods["mask"]):
            differences = (number(methods[method][index], minus, "+.3f") for method in others)
            rows.append((fill, f"{entry.sparseness:.0%}", number(entry, error), *differences))
    return Table(f"Equally many pixels whatever hidden pixels show; RMSE in metres against {reference} (95 %)",
                 ("fill", "kept", "mask", *(f"{label_of(method)} − mask" for method in others)), tuple(rows))


def character_table(results: Evaluation) -> Table:
    """Table of the character of the mask's selection."""
    found = results.character
    low, high = found["bounds"]
    rows = [(f"values between {low:g} and {high:g}", number(found["undecided"], "value"))]
    if found["border_ratio"]:
        rows.append((f"mean of the outer {found['border_px']} pixels over that of the rest",
                     number(found["border_ratio"], "value")))
    rows += [(f"rank correlation with {label_of(method)}", number(entry, "value"))
             for method, entry in found["correlation"].items()]
    rows += [(f"of the {entry['smaller']:.0%} kept, also among the {entry['larger']:.0%}",
              number(entry, "value")) for entry in found["nesting"] or ()]
    return Table(f"What kind of selection the mask is, at lambda {results.in_question.lam:g} (95 %); shares "
                 "have a lambda each where the mask net has a dial", ("", "mean over images"), tuple(rows))


def orders_table(results: Evaluation) -> Table:
    """The areas under the insertion and deletion curves."""
    reference = measured_against(results)[-1]
    error, _ = fields_for(reference)
    rows = []
    for method in results.orders["insertion"]:
        row = [label_of(method)]
        for kind in ("insertion", "deletion"):
            entry = results.orders[kind][method]
            row += [f"{entry[f'{error}_area']:.3f}",
                    "" if method == "mask" else number(entry, f"{error}_area_minus_mask", "+.3f")]
        rows.append(tuple(row))
    return Table(f"Area under insertion (small is good) and deletion (large is good), at "
                 f"{setting_title(results.in_question)}: mean RMSE in metres against {reference}",
                 ("order", "insertion", "− mask (95 %)", "deletion", "− mask (95 %)"), tuple(rows))


def kept_table(sanity: SanityCheck) -> Table:
    """Table of the loss for N, and for randomised nets, with equally many pixels."""
    others = list(sanity.stages[0].advantage)
    rows = tuple((_stage(stage), *(f"{stage.lost[name]:.2f}" for name in ("mask", *others)),
                  *(number(stage.advantage[name], "value", "+.2f") for name in others))
                 for stage in sanity.stages)
    return Table(f"Sanity: share of the net's answer lost with {sanity.share:.0%} of the pixels; "
                 f"{sanity.images} images", ("layers randomised", "mask", *(label_of(name) for name in others),
                                                *(f"{label_of(name)} − mask (95 %)" for name in others)), rows)


def agreement_table(sanity: SanityCheck, kind: str, chance: Fields) -> Table:
    """Table of the similarity of masks for randomised nets to those for N, of one kind: `direct` or `retrained`.

    Args:
        chance: the similarity of masks of different pictures.
    """
    names = {"pearson": "correlation", "ssim": "SSIM", "iou": "overlap"}
    rows = [(_stage(stage), *(number(stage[kind], name) for name in names))
            for stage in sanity.stages if stage[kind]]
    rows.append(("chance: another picture", *(number(chance, name) for name in names)))
    how = {"direct": f"Eq. (3) for each net; {sanity.direct_images} images",
           "retrained": f"the mask net trained on for {sanity.steps} steps for each; {sanity.images} images"}
    return Table(f"Sanity: agreement with the masks for the intact net, {how[kind]} (95 %)",
                 ("layers randomised", *names.values()), tuple(rows))


def _setting_label(results: Evaluation, entry: TableRow) -> str:
    """The setting, with the name of the mask net where several nets have the same one."""
    rivals = sum(setting_name(other) == setting_name(entry) for other in results.table) > 1
    return setting_name(entry) + (f" ({results.weights[entry.weights].name})" if rivals else "")


def _stage(stage: SanityStage) -> str:
    return "none" if stage.layers == 0 else f"{stage.layers} of {stage.of}, from {stage.deepest}"


def section(results: Evaluation, folder: Path) -> Section:
    """The section of an evaluate document that lies in `folder`."""
    return Section(
        "What a mask costs", in_words(results), tuple(evaluation_tables(results)), tuple(_plots(results)),
        lead="A mask net hides pixels, more of them the larger its lambda. How much worse does the depth net see for "
             "it? M is the soft mask, M′ the pixels where it is above a small threshold. The rest asks what the answer "
             "hangs on: the threshold, what is shown in place of hidden pixels, and the order of the pixels.")


def in_words(results: Evaluation) -> tuple[str, ...]:
    """Sentences on the numbers; a difference is stated only where its interval leaves zero out."""
    sentences = [] if results.ground_truth else [
        "This data has no depth: all errors are against what the depth net sees in the whole picture."]
    if results.images < ENOUGH:
        return (*sentences, *too_few(results.images))
    sentences += [_trade_off_in_words(results), *_binary(results)]
    if results.orders:
        sentences += [_areas(results, kind) for kind in ("insertion", "deletion") if len(results.orders[kind]) > 1]
        # results of earlier versions left nothing out
        sentences += [f"Left out: {label_of(name)} ({reason})."
                      for name, reason in results.orders.get("left_out", {}).items()]
    sentences += _fills(results)
    if results.under_fills:
        sentences += [_under_fills(results, method) for method in COMPARED]
    if results.sanity:
        sentences += _sanity(results.sanity)
    return tuple(sentences)


def _plots(results: Evaluation) -> list[Plot]:
    plots = [Plot("trade-off", "RMSE against how much is seen: the mean of the soft mask M, the share of pixels in the "
                  "binary M′; beside each point the λ, or the share, that was asked for; 95% intervals",
                  partial(draw_trade_off, results))]
    if results.orders:
        plots.append(Plot("orders", "Pixels shown, or hidden, one after the other: in the order of the mask, in others",
                          partial(draw_orders, results)))
    if results.thresholds:
        plots.append(Plot("thresholds", "M cut at other thresholds, which are the numbers; 95% intervals",
                          partial(draw_thresholds, results)))
    if results.sanity:
        plots.append(Plot("sanity", "The depth net randomised layer by layer: what the mask's pixels are worth to it, "
                          "and whether masks made for it change; 95% intervals", partial(draw_sanity, results.sanity)))
    return plots


def _trade_off_in_words(results: Evaluation) -> str:
    """The error at the setting in question and at the one that keeps fewest, against that of whole pictures."""
    chosen_net = results.in_question
    entries = [entry for entry in results.table if entry.weights == chosen_net.weights]
    chosen = [entry for entry in entries if setting_name(entry) == setting_name(chosen_net)]
    sparsest = min(entries, key=lambda entry: float(entry.mean))
    parts = []
    for entry in chosen + [sparsest] * (sparsest not in chosen):
        cost = entry.soft_minus_original
        if results.ground_truth:
            found = verdict(cost["truth_ci95"], results.images)
            size = f"{abs(cost['truth']):.2f} m " if found.clear else ""
            beside = compared_with(found, "whole pictures", "from ")
            error = f"off by {entry.soft['truth']['rmse']:.2f} m ({size}{beside})"
        else:
            error = f"{entry.soft['target']['rmse']:.2f} m away from that of whole pictures"
        parts.append(f"at {setting_title(entry)}, through masks with a mean of {entry.mean:.2f}, it is {error}")
    whole = f"From whole pictures the depth is off by {results.original['rmse']:.2f} m; " \
        if results.ground_truth else "Depth seen through masks: "
    return f"{whole}{'; '.join(parts)}."


def _binary(results: Evaluation) -> list[str]:
    """Sentence on the settings at which cutting M to M' makes a clear difference."""
    against = "truth" if results.ground_truth else "target"
    found = sorted_out((setting_name(entry), verdict(entry.binary_minus_soft[f"{against}_ci95"], results.images))
                       for entry in results.table)
    dial = setting_column(results.table)
    parts = [f"{word} than M at {dial} {', '.join(found[each])}"
             for word, each in (("worse", Verdict.MORE), ("better", Verdict.LESS)) if found[each]]
    return [f"M′ does clearly {' and '.join(parts)}."] if parts else []


def _areas(results: Evaluation, kind: str) -> str:
    good = "less" if kind == "insertion" else "more"
    curves = results.orders[kind]
    area = curves["mask"]["rmse_to_target_area"]
    doing = "Showing" if kind == "insertion" else "Hiding"
    parts = []
    for method, entry in curves.items():
        if method == "mask":
            continue
        found = verdict(entry["rmse_to_target_area_minus_mask_ci95"], results.images)
        words = verdict_words(found, more="the mask has less", less="the mask has more")
        parts.append(f"{entry['rmse_to_target_area']:.2f} m with {_pixels(method)} first ({words})")
    others = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return (f"{doing} the mask's best pixels first, the depth is on average {area:.2f} m away from that of the whole "
            f"picture, where {good} is better; it is {others}.")


def _fills(results: Evaluation) -> list[str]:
    """Sentence on the fills with which the error through M clearly differs."""
    fills, shown = results.fills, results.fill
    if shown not in fills or len(fills) < 2:
        return []
    own = fills[shown]["soft"]["rmse_to_target_ci95"]
    parts = [f"{_COLOURS[fill]} ({entry['soft']['rmse_to_target']:.2f} m)" for fill, entry in fills.items()
             if apart(entry["soft"]["rmse_to_target_ci95"], own, results.images).clear]
    if not parts:
        return []
    away = fills[shown]["soft"]["rmse_to_target"]
    return [f"What hidden pixels show matters: through M the depth is {away:.2f} m away from that of the whole picture "
            f"with {_COLOURS[shown]} in their place, and clearly different with {', '.join(parts)}."]


def _under_fills(results: Evaluation, method: str) -> str:
    """Sentence on the fills and shares with which the mask's pixels are clearly better, and worse, than a scorer's."""
    found = [(f"{_COLOURS[fill]} at {entry.sparseness:.0%}",
              verdict(entry["to_target_minus_mask_ci95"], results.images))
             for fill, methods in results.under_fills.items() for entry in methods[method]]
    pairs = len(found)
    better, worse = (sorted_out(found)[each] for each in (Verdict.MORE, Verdict.LESS))
    if len(better) == pairs:
        return (f"Whatever hidden pixels show, the depth is clearly less far away with the mask's pixels than with "
                f"equally many {_pixels(method)}.")
    others = f", clearly farther away in {len(worse)} ({', '.join(worse)})" if worse else ", clearly farther in none"
    return (f"With the mask's pixels the depth is clearly less far away than with equally many {_pixels(method)} in "
            f"{len(better)} of {pairs} pairs of a fill and a share{others}.")


def _sanity(sanity: SanityCheck) -> list[str]:
    stages, chance, images = sanity.stages, sanity.chance, sanity.images
    last = stages[-1]
    sentences = [f"Of the sanity check, {sentence}" for sentence in too_few(images)]
    for name, whole in stages[0].advantage.items():
        if verdict(whole["value_ci95"], images) is not Verdict.MORE:
            continue
        left = last.advantage[name]
        taken = (f"; with all layers randomised it is {100 * left['value']:.0f}, so the advantage comes from what "
                 "the net has learned" if verdict(left["gone_ci95"], images) is Verdict.MORE else
                 ", but randomising all layers does not clearly take that away: it may come from the pictures alone")
        sentences.append(f"The mask's pixels keep {100 * whole['value']:.0f} percentage points more of the net's "
                         f"answer than equally many {_pixels(name)}{taken}.")
    for kind, made in (("direct", "Masks by Eq. (3)"), ("retrained", "Masks of the mask net trained on")):
        between = chance.get(kind)
        if last[kind] is None or between is None:
            continue
        sentences.append(f"{made} for the net with all layers randomised correlate with those for the net itself by "
                         f"{number(last[kind], 'pearson', '.2f')}, masks of different pictures by "
                         f"{between['pearson']:.2f}.")
    return sentences


def _pixels(method: str) -> str:
    """Name of the pixels that a scorer ranks first."""
    return {"sobel": "edges", "random": "random pixels"}.get(method, f"pixels by {label_of(method)}")


def is_the_papers(results: Evaluation) -> bool:
    """Whether an evaluation was made with the network and the data of Table 1, as far as the document says."""
    return bool(results.target_net is not None and results.target_net.architecture == "hu-resnet50"
                and results.ground_truth and results.data.spec.startswith("nyu:"))
