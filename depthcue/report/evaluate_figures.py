"""The figures of an evaluation: error against sparseness, insertion and deletion, thresholds, sanity checks."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from depthcue.report.figures import (
    FEW,
    LIGHT,
    Theme,
    legend_outside,
    method_style,
    new_figure,
    save_figure,
    style_axes,
)
from depthcue.report.provenance import (
    ORIGINAL_RMSE,
    TABLE_1,
    TRUTH,
    Results,
    fields_for,
    is_the_papers,
    measured_against,
)
from depthcue.report.tables import label_of, setting_name, setting_title

_DASHED = (0, (4, 3))
_APART = 0.02
"""Of the width of a figure: labels nearer to each other cannot be read."""
_SHARE_SEEN = "share of pixels the depth net sees"


def draw_trade_off(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """RMSE through M against its mean, and through M' against its share of pixels, lambda at every point.

    One plot against ground truth, where there is any, with the error of N and, where they belong, the paper's numbers;
    one against N(I).
    """
    references = measured_against(results)
    figure = new_figure(4.8 * len(references) + 0.4, 3.9, theme)
    for axes, reference in zip(figure.subplots(1, len(references), squeeze=False)[0], references, strict=True):
        against = "truth" if reference == TRUTH else "target"
        for position, entries in enumerate(_lines(results)):
            for way, colour in zip(("soft", "binary"), theme.methods, strict=False):
                _draw_line(axes, entries, (way, against), colour, theme, position == 0)
        if reference == TRUTH:
            axes.axhline(results["original"]["rmse"], color=theme.ink, linewidth=1.1, linestyle=_DASHED,
                         label="whole picture", zorder=1)
            if is_the_papers(results):
                shares, errors = [row.sparseness for row in TABLE_1], [row.rmse_binary for row in TABLE_1]
                axes.plot([1, *shares], [ORIGINAL_RMSE, *errors], color=theme.methods[2], marker="^", markersize=4,
                          linewidth=1, linestyle=":", label="M′, the paper's")
        _name(axes, theme, f"against {reference}", "mean of M, or share of pixels in M′", "RMSE (m)")
        axes.set_xlim(0, 1.04)
    _legend(figure.axes[0], theme)
    return save_figure(figure, paths)


def _lines(results: Results) -> list[list[Results]]:
    """The entries of each line, those that keep most first: of one net with a dial, or all nets of one lambda each."""
    entries = sorted(results["table"], key=lambda entry: -entry["keep"] if "keep" in entry else float(entry["lambda"]))
    nets = [entry["weights"] for entry in entries]
    if len(set(nets)) == len(nets):
        return [entries]
    return [[entry for entry in entries if entry["weights"] == net] for net in dict.fromkeys(sorted(nets))]


def _draw_line(axes: Axes, entries: Sequence[Results], measured: tuple[str, str], colour: str, theme: Theme,
               named: bool) -> None:
    """One line of the trade-off, of M (`soft`) or M' (`binary`), with intervals, and its setting beside each point."""
    way, against = measured
    # neighbours may lie together: their labels take turns above and below
    share, name, marker, besides = {"soft": ("mean", "M, at its mean", "o", ((-9, 3), (-9, -9))),
                                    "binary": ("sparseness", "M′", "s", ((4, 5), (4, -10)))}[way]
    shares, errors = [entry[share] for entry in entries], [entry[way][against] for entry in entries]
    values = [error["rmse"] for error in errors]
    spread = [[error["rmse"] - error["rmse_ci95"][0] for error in errors],
              [error["rmse_ci95"][1] - error["rmse"] for error in errors]]
    axes.errorbar(shares, values, yerr=spread, color=colour, marker=marker, markersize=4.5, linewidth=1.6,
                  elinewidth=0.8, capsize=2, alpha=1 if named else 0.5, label=name if named else None)
    for entry, at, value, beside in zip(entries, shares, values, cycle(besides)):
        # over other lines
        axes.annotate(f"{entry['keep']:.0%}" if "keep" in entry else f"λ {setting_name(entry)}", (at, value),
                      textcoords="offset points", xytext=beside, fontsize=7.5, color=colour, zorder=5,
                      path_effects=[withStroke(linewidth=2.5, foreground=theme.background)])


def draw_orders(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """The insertion and the deletion curve of every order, against N(I), with their areas where there are few."""
    orders, reference = results["orders"], measured_against(results)[-1]
    error, _ = fields_for(reference)
    few = len(orders["insertion"]) <= FEW
    figure = new_figure(9.6 if few else 11.4, 3.7 if few else 4.4, theme)
    columns = figure.subplots(1, 2, sharey=True)
    for axes, way, verb in zip(columns, ("insertion", "deletion"), ("shown", "hidden"), strict=True):
        for position, (method, entry) in enumerate(orders[way].items()):
            area = f" (area {entry[f'{error}_area']:.3f})" if few else ""
            axes.plot(orders["shares"], entry[error], **method_style(position, theme), markersize=3.5,
                      linewidth=1.8 if method == "mask" else 1.4, label=f"{label_of(method)}{area}",
                      zorder=3 if method == "mask" else 2)
        _name(axes, theme, way, f"share of pixels {verb}, the first of the order first",
              f"RMSE to {reference} (m)" if way == "insertion" else "")
        if few:
            _legend(axes, theme)
    if not few:
        legend_outside(figure, theme)
    return save_figure(figure, paths)


def draw_thresholds(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """RMSE of M > threshold against the share of pixels kept, the threshold at every point."""
    figure = new_figure(5.4, 3.7, theme)
    axes = figure.subplots()
    shares = [entry["sparseness"] for entry in results["thresholds"]]
    for colour, reference in zip(theme.methods, measured_against(results), strict=False):
        error, _ = fields_for(reference)
        axes.fill_between(shares, [entry[f"{error}_ci95"][0] for entry in results["thresholds"]],
                          [entry[f"{error}_ci95"][1] for entry in results["thresholds"]], color=colour, alpha=0.16,
                          linewidth=0)
        axes.plot(shares, [entry[error] for entry in results["thresholds"]], color=colour, marker="o", markersize=4,
                  linewidth=1.6, label=f"against {reference}")
    error, _ = fields_for(measured_against(results)[0])
    labelled = float("inf")
    for entry in results["thresholds"]:
        # the largest thresholds keep next to nothing, all of them in one place
        if labelled - entry["sparseness"] < _APART:
            continue
        labelled = entry["sparseness"]
        axes.annotate(f"{entry['threshold']:g}", (entry["sparseness"], entry[error]), textcoords="offset points",
                      xytext=(4, 5), fontsize=7.5, color=theme.ink)
    _name(axes, theme, f"M > threshold, at {setting_title(results['in_question'])}", _SHARE_SEEN, "RMSE (m)")
    _legend(axes, theme)
    return save_figure(figure, paths)


def draw_sanity(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """What is lost of the answer, and how like the masks stay, as more and more layers are randomised."""
    stages, chance = results["sanity"]["stages"], results["sanity"]["chance"]
    kinds = [kind for kind in ("direct", "retrained") if chance[kind]]
    figure = new_figure(9.6 if kinds else 5.2, 3.7, theme)
    columns = figure.subplots(1, 2 if kinds else 1, squeeze=False)[0]
    shares = [stage["layers"] / stage["of"] for stage in stages]
    for position, method in enumerate(("mask", *stages[0]["advantage"])):
        columns[0].plot(shares, [stage["lost"][method] for stage in stages], color=theme.methods[position], marker="o",
                        markersize=4, linewidth=1.8 if method == "mask" else 1.4, label=label_of(method))
        columns[0].fill_between(shares, [stage["lost"][f"{method}_ci95"][0] for stage in stages],
                                [stage["lost"][f"{method}_ci95"][1] for stage in stages], alpha=0.14, linewidth=0,
                                color=theme.methods[position])
    layers = "share of layers randomised, from the output"
    _name(columns[0], theme, f"lost with {results['sanity']['share']:.0%} of the pixels", layers,
          "share of the net's answer lost")
    _legend(columns[0], theme)
    for kind, colour, name in zip(kinds, theme.methods[3:], ("Eq. (3)", "mask net trained on"), strict=False):
        shown = [(share, stage[kind]) for share, stage in zip(shares, stages, strict=True) if stage[kind]]
        columns[1].plot([share for share, _ in shown], [entry["pearson"] for _, entry in shown], color=colour,
                        marker="o", markersize=4, linewidth=1.6, label=name)
        columns[1].fill_between([share for share, _ in shown], [entry["pearson_ci95"][0] for _, entry in shown],
                                [entry["pearson_ci95"][1] for _, entry in shown], color=colour, alpha=0.14, linewidth=0)
        columns[1].axhline(chance[kind]["pearson"], color=colour, linewidth=1, linestyle=_DASHED,
                           label="between pictures" if kind == kinds[0] else None)
    if kinds:
        _name(columns[1], theme, "masks, with those for the intact net", layers, "correlation")
        _legend(columns[1], theme)
    return save_figure(figure, paths)


def _name(axes: Axes, theme: Theme, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=10, color=theme.ink, loc="left")
    axes.set_xlabel(across, color=theme.ink, fontsize=9)
    axes.set_ylabel(up, color=theme.ink, fontsize=9)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]) if up == "correlation" else 0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    style_axes(axes, theme)


def _legend(axes: Axes, theme: Theme) -> None:
    axes.legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=8.5)
