"""Report of optimize: masks by Eqs. (3), (4) and (5) side by side as in the paper's Fig. 3, with their numbers."""

from functools import partial
from pathlib import Path

import numpy as np

from depthcue.imaging import Rgb, panel
from depthcue.report.section import Column, Example, Picture, Section, read_tile, save_panels
from depthcue.report.tables import Table, Verdict, clearly_longer, counted, duration, medians_of, span, too_few, verdict
from depthcue.results import Optimization, Row

DIRECT, LEARNED = "eq3", "eq4"
LABELS = {DIRECT: "Eq. (3)", LEARNED: "Eq. (4)", "eq5": "Eq. (5)"}
_FLAT = 0.005
"""Roughness that is printed as 0.00, of which nothing is a multiple worth printing."""
CAPTIONS = {DIRECT: "Eq. (3), searched", LEARNED: "Eq. (4), mask net", "eq5": "Eq. (5), mask net"}


def section(results: Optimization, folder: Path) -> Section:
    """The section of an optimize document that lies in `folder`."""
    panels = Picture("figure.png", "Masks of the same pictures, and the depth seen through each",
                     partial(_draw, results, folder), on_page=False)
    return Section(
        "The mask searched for each picture", sentences(results), (methods_table(results),), (),
        (panels,) if results.examples else (),
        "A mask net learns from many pictures which pixels matter. The same objective can be minimised for one picture "
        "alone, every pixel of the mask being free.",
        examples=tuple(_example(example, results) for example in results.examples))


def methods_table(results: Optimization) -> Table:
    """A row for every way to a mask: objective, what it keeps, how rough it is, what is seen through it, its cost."""
    errors = {"rmse": "RMSE", "rmse_to_target": "to whole"}
    against = ["to ground truth", "to what is seen in the whole picture"]
    if not results.ground_truth:
        del errors["rmse"], against[0]
    before = results.before
    whole = {"rmse": f"{results.target['rmse']:.3f}" if "rmse" in results.target else "", "rmse_to_target": "0.000"}
    rows = [("nothing hidden", f"{before['objective']:.3f}", f"{before['difference']:.3f}", "1.000", "", "",
             *(whole[error] for error in errors), "")]
    for method, entry in results.ways.items():
        rows.append((LABELS[method], f"{entry['objective']:.3f}", f"{entry['difference']:.3f}", f"{entry['mean']:.3f}",
                     f"{entry['total_variation']:.3f}", f"{entry['roughness']:.2f}",
                     *(f"{entry[error]:.3f}" for error in errors), duration(results.cost_ms[method].median)))
    return Table(f"Lambda {results.lam:g}, {counted(results.images)} of {results.data.spec}; RMSE in "
                 f"metres {' and '.join(against)}; roughness 1 is noise",
                 ("mask by", "objective", "l_dif", "mean of M", "variation", "roughness", *errors.values(), "time"),
                 tuple(rows))


def sentences(results: Optimization) -> tuple[str, ...]:
    """Sentences on the differences of the searched masks from the mask net's that the intervals support."""
    methods, sentences = results.ways, []
    if LEARNED not in methods:
        return ()
    direct, learned = methods[DIRECT], methods[LEARNED]
    interval = direct[f"objective_minus_{LEARNED}_ci95"]
    found = verdict(interval, results.images)
    if found.clear:
        sentences.append(f"Searched for each picture, masks reach {'a lower' if found is Verdict.LESS else 'a higher'} "
                         f"objective than the mask net's: {direct['objective']:.2f} against {learned['objective']:.2f} "
                         f"(difference {span(interval, '+.2f')}).")
    if verdict(direct[f"roughness_minus_{LEARNED}_ci95"], results.images).clear:
        smoothed = smoothing(results)
        they = f"With {smoothed} they" if smoothed else "They"
        sentences.append(f"{they} are {_rougher(direct['roughness'], learned['roughness'])} the mask net's: "
                         f"{direct['roughness']:.2f} against {learned['roughness']:.2f}, where 1 is noise.")
    costs = results.cost_ms
    if clearly_longer(costs[DIRECT], costs[LEARNED]):
        sentences.append(f"A search takes {duration(costs[DIRECT].median)} a picture, the mask net "
                         f"{duration(costs[LEARNED].median)} ({medians_of(costs[DIRECT], costs[LEARNED])}).")
    return (*sentences, *too_few(results.images))


def _rougher(roughness: float, other: float) -> str:
    """Words that compare one roughness with another, whose owner follows; a flat mask's roughness is 0."""
    if min(roughness, other) < _FLAT:
        return "rougher than" if roughness > other else "smoother than"
    factor = roughness / other
    return f"{factor:.1f} times as rough as" if factor > 1 else f"{1 / factor:.1f} times smoother than"


def smoothing(results: Optimization) -> str:
    """Words on the smoothing of the searched masks; empty where there was none."""
    direct = results.direct
    smoothings = [(direct.variation, f"total variation weighed by {direct.variation:g}"),
                  (direct.blur_px, f"a blur of {direct.blur_px:g} px")]
    return " and ".join(words for amount, words in smoothings if amount)


def _example(example: Row, results: Optimization) -> Example:
    columns = [Column("the whole picture", example.picture, example.whole[0])]
    captions = CAPTIONS | ({DIRECT: "Eq. (3), smoothed"} if smoothing(results) else {})
    columns += [Column(captions[method], mask, seen)
                for method, mask, seen in zip(results.ways, example.masks, example.seen, strict=True)]
    return Example(example.name, tuple(columns))


def _draw(results: Optimization, folder: Path, path: Path) -> None:
    """Two rows a picture: the picture and its masks, and under each the depth that is seen.

    Raises:
        DepthcueError: a tile is missing or cannot be read.
    """
    save_panels([_stacked(_example(example, results), folder) for example in results.examples], path)


def _stacked(example: Example, folder: Path) -> Rgb:
    captions = [column.caption for column in example.columns]
    captions[0] = "picture"
    shown = panel([read_tile(folder, column.shown) for column in example.columns], captions)
    seen = panel([read_tile(folder, column.seen) for column in example.columns if column.seen is not None],
                 ["depth from all", *("depth from it" for _ in example.columns[1:])])
    # wide pictures stand one above the other in each panel, so that depth goes to their right
    return np.concatenate([shown, seen], axis=1 if shown.shape[0] > shown.shape[1] else 0)
