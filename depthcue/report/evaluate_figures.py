"""The figures of an evaluation: error against sparseness, insertion and deletion, thresholds, sanity checks."""

from collections.abc import Sequence
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
from depthcue.report.provenance import (
    ORIGINAL_RMSE,
    TABLE_1,
    TRUTH,
    fields_for,
    is_the_papers,
    measured_against,
)
from depthcue.report.tables import label_of, setting_name, setting_title
from depthcue.results import Evaluation, SanityStage, TableRow

_SHARE_SEEN = "share of pixels the depth net sees"


def draw_trade_off(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """RMSE through M against its mean, and through M' against its share of pixels, lambda at every point.

    One panel against ground truth, where there is any, with the error of N and, where they belong, the paper's numbers;
    one against N(I).
    """
    panels: list[Curves] = []
    for reference in measured_against(results):
        against = "truth" if reference == TRUTH else "target"
        curves = [_trade_off(entries, way, against, colour, position == 0)
                  for position, entries in enumerate(_lines(results))
                  for way, colour in zip(("soft", "binary"), theme.methods, strict=False)]
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


def _trade_off(entries: Sequence[TableRow], way: str, against: str, colour: str, named: bool) -> Curve:
    """One line of the trade-off, of M (`soft`) or M' (`binary`), with its setting beside each point."""
    share, name, marker = {"soft": ("mean", "M, at its mean", "o"), "binary": ("sparseness", "M′", "s")}[way]
    errors = [entry[way][against] for entry in entries]
    return Curve(name if named else None, colour, [entry[share] for entry in entries],
                 [error["rmse"] for error in errors], [error["rmse_ci95"] for error in errors], band=0, marker=marker,
                 width=1.6, texts=[f"{entry.keep:.0%}" if entry.keep is not None else f"λ {setting_name(entry)}"
                                    for entry in entries], alpha=1 if named else 0.5)


def draw_orders(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """The insertion and the deletion curve of every order, against N(I), with their areas where there are few."""
    orders, reference = results.orders, measured_against(results)[-1]
    error, _ = fields_for(reference)
    few = len(orders["insertion"]) <= FEW_CURVES
    panels: list[Curves] = []
    for way, verb in (("insertion", "shown"), ("deletion", "hidden")):
        curves = [Curve(label_of(method) + (f" (area {entry[f'{error}_area']:.3f})" if few else ""),
                        at=orders["shares"], values=entry[error], **method_style(position, theme))
                  for position, (method, entry) in enumerate(orders[way].items())]
        panels.append(Curves(way, f"share of pixels {verb}, the first of the order first",
                             "" if panels else f"RMSE to {reference} (m)", curves, percent=True, legend=few))
    return draw_panels(panels, paths, theme, (9.6, 3.7) if few else (11.4, 4.4), shared=True, legend=not few)


def draw_thresholds(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """RMSE of M > threshold against the share of pixels kept, the threshold at every point."""
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


def draw_sanity(results: Evaluation, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """What is lost of the answer, and how like the masks stay, as more and more layers are randomised."""
    assert results.sanity is not None
    stages, chance = results.sanity.stages, results.sanity.chance
    layers = "share of layers randomised, from the output"
    lost = [Curve(label_of(method), colour, _layers(stages), [stage.lost[method] for stage in stages],
                  [stage.lost[f"{method}_ci95"] for stage in stages], band=0.14, width=1.8 if method == "mask" else 1.4)
            for method, colour in zip(("mask", *stages[0].advantage), theme.methods, strict=False)]
    panels = [Curves(f"lost with {results.sanity.share:.0%} of the pixels", layers, "share of the net's answer lost",
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
