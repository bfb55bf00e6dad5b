"""Report of compare-losses: the change of the masks by each loss of a depth net."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from depthcue.report.figures import LIGHT, Bars, Theme, draw_panels
from depthcue.report.section import Picture, Plot, Section, draw_rows, example_of
from depthcue.report.tables import PHRASES, Table, Verdict, counted, number, too_few, verdict
from depthcue.results import Change, CompareLosses

MEASURES = {"on_surfaces": "share of kept pixels on surfaces",
            "on_small_objects": "share of kept pixels on small objects",
            "straightness": "straightness of the mask's edges", "mean": "mean of M"}
"""Names of the measures, in the sequence of the report."""
_RAISED, _LOWERED, _OPEN = 0, 1, 2
_PHRASES = {
    "on_surfaces": ("more of the mask lies on surfaces", "less of the mask lies on surfaces", "its share on surfaces"),
    "on_small_objects": ("more of the mask lies on small objects", "less of the mask lies on small objects",
                         "its share on small objects"),
    "straightness": ("the mask's edges are straighter", "the mask's edges are less straight",
                     "the straightness of its edges"),
    "mean": ("the mask keeps more in all", "the mask keeps less in all", "how much it keeps in all"),
}
"""Phrases for a measure that is clearly raised, clearly lowered, and neither."""
PAPER = {"depth+grad": ("on_surfaces",), "depth+grad+normal": ("on_small_objects", "straightness")}
"""Measures that each added loss raises by Fig. 8 of Hu et al. (ICCV 2019)."""


def section(results: CompareLosses, folder: Path) -> Section:
    """The section of a compare-losses document that lies in `folder`."""
    losses, rows = [entry.loss for entry in results.losses], results.examples
    figure = Picture("masks.png", "The masks of the depth nets trained with each loss, on the same pictures",
                     partial(draw_rows, rows, [f"trained with {loss}" for loss in losses], folder), on_page=False)
    return Section(
        "What do the losses of a depth net change in what it looks at?",
        (*changes_in_words(results), *_unknown_in_words(results),
         "Each loss was trained with once: the intervals are over pictures, and say nothing of another training.",
         *too_few(results.images)),
        (_losses_table(results), _changes_table(results)),
        (Plot("losses", "What is measured of the masks for each loss, with 95% intervals over images; the broken line "
              "is what a mask without preference would have", partial(_draw_measures, results)),),
        (figure,) if rows else (),
        "One depth net was trained three times from the same start: to get depth right, then its slopes too, then the "
        "directions of surfaces too. A mask net was trained for each. What changes between the masks is what the added "
        f"loss makes the depth net look at. Shares are of the {results.share:.0%} of pixels with the highest values "
        "in each mask.",
        examples=tuple(example_of(row, [f"{loss}: its mask, and its depth by {results.share:.0%} of the pixels"
                                        for loss in losses]) for row in rows))


def changes_in_words(results: CompareLosses) -> list[str]:
    """Sentences on the measures that each added loss raised, lowered and left open, beside the paper's."""
    sentences = []
    for change in results.changes:
        clear: list[str] = []
        other: dict[Verdict, list[str]] = {Verdict.NOT_CLEAR: [], Verdict.TOO_FEW: []}
        for measure in _measured(results):
            found = verdict(change[f"{measure}_ci95"], results.images)
            if not found.clear:
                other[found].append(_PHRASES[measure][_OPEN])
                continue
            text = _PHRASES[measure][_RAISED if found is Verdict.MORE else _LOWERED]
            if _adds_one(change) and measure in PAPER.get(change.loss, ()):
                text += ", as in the paper" if found is Verdict.MORE else ", unlike in the paper"
            clear.append(f"{text} ({_difference(change, measure)})")
        parts = [f"Trained with {change.loss} instead of {change.minus}: {'; '.join(clear)}."] if clear else []
        between = "" if clear else f" between training with {change.loss} and with {change.minus}"
        parts += [f"{PHRASES[found].capitalize()}{' a difference' if found is Verdict.TOO_FEW else ''}{between} in "
                  f"{', '.join(open_)}." for found, open_ in other.items() if open_]
        sentences.append(" ".join(parts))
    return sentences


def _unknown_in_words(results: CompareLosses) -> list[str]:
    if results.small_objects_known:
        return []
    return ["Small objects are left out: this data does not say which pixels show one object. Rendered scenes do."]


def _adds_one(change: Change) -> bool:
    """Whether the losses compared differ in one term, as the paper's claims do."""
    added = change.loss.removeprefix(change.minus)
    return added.startswith("+") and added.count("+") == 1


def _measured(results: CompareLosses) -> list[str]:
    return [measure for measure in MEASURES if measure in results.losses[0].masks]


def _difference(change: Change, measure: str) -> str:
    """A difference and its interval as they are read: shares in points of a hundred."""
    values = (change[measure], *change[f"{measure}_ci95"])
    if measure == "straightness":
        return "{:+.3f}; {:+.3f} to {:+.3f}".format(*values)
    return "{:+.2f} points; {:+.2f} to {:+.2f}".format(*(100 * value for value in values))


def _losses_table(results: CompareLosses) -> Table:
    losses, truth = results.losses, results.ground_truth
    rows = [("RMSE, whole picture", *(f"{entry.whole['rmse']:.3f}" for entry in losses))] if truth else []
    error = "rmse" if truth else "rmse_to_target"
    rows.append((f"RMSE by {results.share:.0%} of the pixels",
                 *(number(entry.by_mask, error) for entry in losses)))
    rows += [(MEASURES[measure], *(number(entry.masks, measure) for entry in losses))
             for measure in _measured(results)]
    against = "ground truth" if truth else "the depth net on whole pictures"
    return Table(f"Losses of the depth net; {counted(results.images)} of {results.data.spec}; RMSE in metres "
                 f"against {against} (95 %)", ("", *(entry.loss for entry in losses)), tuple(rows))


def _changes_table(results: CompareLosses) -> Table:
    changes = results.changes
    rows = tuple((MEASURES[measure], *(number(change, measure, "+.3f") for change in changes))
                 for measure in _measured(results))
    return Table("What changes on the same images (95 %)",
                 ("", *(f"{change.loss} − {change.minus}" for change in changes)), rows)


def _draw_measures(results: CompareLosses, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    names = [entry.loss.replace("+", "\n+") for entry in results.losses]
    panels = [Bars(names, [(None, [(name, entry.masks[measure], entry.masks[f"{measure}_ci95"])
                                   for name, entry in zip(names, results.losses, strict=True)])], "",
                   MEASURES[measure].replace(" on ", "\non "), columns=True, points=True, own_colours=True,
                   levels=[results.regions[measure]] if measure in results.regions else [])
              for measure in _measured(results)]
    return draw_panels(panels, paths, theme, (2.9 * len(panels) + 0.4, 3.2))
