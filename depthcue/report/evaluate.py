"""What an evaluation found: Table 1 for every setting, and what its numbers hang on."""

from functools import partial
from pathlib import Path

from depthcue.report.evaluate_figures import draw_orders, draw_sanity, draw_thresholds, draw_trade_off
from depthcue.report.evaluate_tables import COMPARED, evaluation_tables
from depthcue.report.results import Results, too_few
from depthcue.report.section import Plot, Section
from depthcue.report.tables import label_of, setting_column, setting_name, setting_title

_COLOURS = {"mean": "the mean colour", "black": "black", "own-mean": "the picture's own mean colour",
            "colour": "a colour drawn for each picture", "blur": "the picture blurred", "noise": "noise"}

_FEW = 4
"""Images below which a bootstrap has next to nothing to draw from: of one image it gives an interval without width."""


def section(results: Results, folder: Path) -> Section:
    """The section of an evaluate document that lies in `folder`."""
    return Section(
        "What a mask costs", in_words(results), tuple(evaluation_tables(results)), tuple(_plots(results)),
        lead="A mask net hides pixels, more of them the larger its lambda. How much worse does the depth net see for "
             "it? M is the soft mask, M′ the pixels where it is above a small threshold. The rest asks what the answer "
             "hangs on: the threshold, what is shown in place of hidden pixels, and the order of the pixels.")


def in_words(results: Results) -> tuple[str, ...]:
    """What the numbers come to; differences are told as such only where their intervals leave zero out."""
    sentences = [] if results["ground_truth"] else [
        "This data has no depth: all errors are against what the depth net sees in the whole picture."]
    if results["images"] < _FEW:
        few = "1 image is" if results["images"] == 1 else f"{results['images']} images are"
        return (*sentences, f"{few} too few to conclude anything from: intervals over so few say nothing about others.")
    sentences += [_trade_off(results), *_binary(results)]
    if results["orders"]:
        sentences += [_order(results, way) for way in ("insertion", "deletion") if len(results["orders"][way]) > 1]
        # results of earlier versions left nothing out
        sentences += [f"Left out: {label_of(name)} ({reason})."
                      for name, reason in results["orders"].get("left_out", {}).items()]
    sentences += _fills(results)
    if results.get("under_fills"):
        sentences += [_under_fills(results, method) for method in COMPARED]
    if results["sanity"]:
        sentences += _sanity(results)
    return (*sentences, *too_few(results))


def _plots(results: Results) -> list[Plot]:
    plots = [Plot("trade-off", "RMSE against the share of pixels seen; the numbers are lambda, or the share asked for; "
                  "95% intervals",
                  partial(draw_trade_off, results))]
    if results["orders"]:
        plots.append(Plot("orders", "Pixels shown, or hidden, one after the other: in the order of the mask, in others",
                          partial(draw_orders, results)))
    if results["thresholds"]:
        plots.append(Plot("thresholds", "M cut at other thresholds, which are the numbers; 95% intervals",
                          partial(draw_thresholds, results)))
    if results["sanity"]:
        plots.append(Plot("sanity", "The depth net randomised layer by layer: what the mask's pixels are worth to it, "
                          "and whether masks made for it change; 95% intervals", partial(draw_sanity, results)))
    return plots


def _trade_off(results: Results) -> str:
    """The error at the setting in question and at the one that keeps fewest, against that of whole pictures."""
    asked = results["in_question"]
    entries = [entry for entry in results["table"] if entry["weights"] == asked["weights"]]
    chosen = [entry for entry in entries if setting_name(entry) == setting_name(asked)]
    sparsest = min(entries, key=lambda entry: float(entry["mean"]))
    parts = []
    for entry in chosen + [sparsest] * (sparsest not in chosen):
        cost = entry["soft_minus_original"]
        if results["ground_truth"]:
            error = (f"off by {entry['soft']['truth']['rmse']:.2f} m ({_verdict(cost['truth'], cost['truth_ci95'])} "
                     f"than from whole pictures)" if _clear(cost["truth_ci95"]) else
                     f"off by {entry['soft']['truth']['rmse']:.2f} m (no clear difference to whole pictures)")
        else:
            error = f"{entry['soft']['target']['rmse']:.2f} m away from that of whole pictures"
        parts.append(f"at {setting_title(entry)}, through masks with a mean of {entry['mean']:.2f}, it is {error}")
    whole = f"From whole pictures the depth is off by {results['original']['rmse']:.2f} m; " \
        if results["ground_truth"] else "Depth seen through masks: "
    return f"{whole}{'; '.join(parts)}."


def _binary(results: Results) -> list[str]:
    """At which settings cutting M to M' makes a clear difference."""
    against = "truth" if results["ground_truth"] else "target"
    worse, better = [], []
    for entry in results["table"]:
        low, high = entry["binary_minus_soft"][f"{against}_ci95"]
        name = setting_name(entry)
        if low > 0:
            worse.append(name)
        elif high < 0:
            better.append(name)
    dial = setting_column(results["table"])
    parts = [f"{word} than M at {dial} {', '.join(names)}" for word, names in (("worse", worse), ("better", better))
             if names]
    return [f"M′ does clearly {' and '.join(parts)}."] if parts else []


def _order(results: Results, way: str) -> str:
    good = "less" if way == "insertion" else "more"
    curves = results["orders"][way]
    area = curves["mask"]["rmse_to_target_area"]
    doing = "Showing" if way == "insertion" else "Hiding"
    parts = []
    for method, entry in curves.items():
        if method == "mask":
            continue
        low, high = entry["rmse_to_target_area_minus_mask_ci95"]
        verdict = ("no clear difference" if not _clear((low, high)) else
                   f"the mask has {'less' if low > 0 else 'more'}")
        parts.append(f"{entry['rmse_to_target_area']:.2f} m with {_pixels(method)} first ({verdict})")
    others = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return (f"{doing} the mask's best pixels first, the depth is on average {area:.2f} m away from that of the whole "
            f"picture, where {good} is better; it is {others}.")


def _fills(results: Results) -> list[str]:
    """Whether showing something else than the mean colour where M hides makes it worse or better."""
    fills, shown = results["fills"], results["fill"]
    if shown not in fills or len(fills) < 2:
        return []
    low, high = fills[shown]["soft"]["rmse_to_target_ci95"]
    # intervals that do not even touch: stricter than their difference, which was not measured
    parts = [f"{_COLOURS[fill]} ({entry['soft']['rmse_to_target']:.2f} m)" for fill, entry in fills.items()
             if entry["soft"]["rmse_to_target_ci95"][0] > high or entry["soft"]["rmse_to_target_ci95"][1] < low]
    if not parts:
        return []
    away = fills[shown]["soft"]["rmse_to_target"]
    return [f"What hidden pixels show matters: through M the depth is {away:.2f} m away from that of the whole picture "
            f"with {_COLOURS[shown]} in their place, and clearly different with {', '.join(parts)}."]


def _under_fills(results: Results, method: str) -> str:
    """With which fills and shares the mask's pixels are clearly better than another way's, and with which worse."""
    better, worse, pairs = [], [], 0
    for fill, methods in results["under_fills"].items():
        for entry in methods[method]:
            pairs += 1
            low, high = entry["to_target_minus_mask_ci95"]
            name = f"{_COLOURS[fill]} at {entry['sparseness']:.0%}"
            if low > 0:
                better.append(name)
            elif high < 0:
                worse.append(name)
    if len(better) == pairs:
        return (f"Whatever hidden pixels show, the depth is clearly less far away with the mask's pixels than with "
                f"equally many {_pixels(method)}.")
    others = f", clearly farther away in {len(worse)} ({', '.join(worse)})" if worse else ", clearly farther in none"
    return (f"With the mask's pixels the depth is clearly less far away than with equally many {_pixels(method)} in "
            f"{len(better)} of {pairs} pairs of a fill and a share{others}.")


def _sanity(results: Results) -> list[str]:
    stages, chance = results["sanity"]["stages"], results["sanity"]["chance"]
    last = stages[-1]
    sentences = []
    for name, whole in stages[0]["advantage"].items():
        if whole["value_ci95"][0] <= 0:
            continue
        left = last["advantage"][name]
        verdict = (f"; with all layers randomised it is {100 * left['value']:.0f}, so the advantage comes from what "
                   "the net has learned" if left["gone_ci95"][0] > 0 else
                   ", but randomising all layers does not clearly take that away: it may hang on the pictures alone")
        sentences.append(f"The mask's pixels keep {100 * whole['value']:.0f} percentage points more of the net's "
                         f"answer than equally many {_pixels(name)}{verdict}.")
    for kind, made in (("direct", "Masks by Eq. (3)"), ("retrained", "Masks of the mask net trained on")):
        if last[kind] is None or not chance[kind]:
            continue
        low, high = last[kind]["pearson_ci95"]
        sentences.append(f"{made} for the net with all layers randomised correlate with those for the net itself by "
                         f"{last[kind]['pearson']:.2f} ({low:.2f} to {high:.2f}), masks of different pictures by "
                         f"{chance[kind]['pearson']:.2f}.")
    return sentences


def _pixels(method: str) -> str:
    """What a way to choose pixels chooses."""
    return {"sobel": "edges", "random": "random pixels"}.get(method, f"pixels by {label_of(method)}")


def _clear(interval: tuple[float, float] | list[float]) -> bool:
    return interval[0] > 0 or interval[1] < 0


def _verdict(difference: float, interval: list[float]) -> str:
    return f"{abs(difference):.2f} m {'more' if difference > 0 else 'less'}"
