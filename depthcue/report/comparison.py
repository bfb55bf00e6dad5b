"""What compare-edges found: RMSE against sparseness for every way to choose pixels, and examples."""

from functools import partial
from pathlib import Path

from depthcue.report.choices import choices_table, cost_in_words, draw_choices, left_out_in_words
from depthcue.report.figures import draw_comparison
from depthcue.report.panels import draw_examples
from depthcue.report.results import Results, too_few
from depthcue.report.section import Column, Example, Picture, Plot, Section
from depthcue.report.tables import comparison_tables, in_words, label_of

SHOWN_RIVALS = 2
"""Of more ways to choose, examples show the first: what fits in one row of a page."""
_CHOSEN_BY = {"mask": "chosen by the mask", "sobel": "the strongest edges", "random": "at random"}


def section(results: Results, folder: Path) -> Section:
    """The section of a compare-edges document that lies in `folder`."""
    panel = Picture("examples.png", "What the depth net was shown and what it saw",
                    partial(draw_examples, results, folder), on_page=False)
    sentences, tables = [in_words(results)], comparison_tables(results)
    plots = [Plot("comparison", "RMSE against the share of pixels seen, with 95% intervals over images",
                  partial(draw_comparison, results))]
    if "cost_ms" in results:  # results of earlier versions have none
        sentences += [*cost_in_words(results), *left_out_in_words(results)]
        tables.insert(0, choices_table(results))
        plots.append(Plot("choices", "RMSE with a fifth of the pixels against what choosing them costs",
                          partial(draw_choices, results)))
    return Section(
        "Mask against edges and chance", (*sentences, *too_few(results)), tuple(tables), tuple(plots),
        (panel,) if results["examples"] else (),
        "A mask looks a bit like a line drawing. Are the kept pixels just the strong edges? The depth net is shown "
        "equally many pixels, chosen in one way after the other. The lower the curve, the better the choice.",
        gallery=tuple(results.get("gallery", ())),
        examples=tuple(_example(example, results) for example in results["examples"]))


def _example(example: Results, results: Results) -> Example:
    share, tiles = f"{example['sparseness']:.0%}", example["tiles"]
    columns = [Column("the whole picture", tiles["picture"], tiles["depth_target"])]
    for method in list(results["curves"])[:1 + SHOWN_RIVALS]:
        caption = f"{share}, {_CHOSEN_BY.get(method, f'chosen by {label_of(method)}')}"
        columns.append(Column(caption, tiles[f"kept_{method}"], tiles[f"depth_{method}"]))
    known = "; the true depth" if "depth_truth" in tiles else ""
    columns.append(Column(f"the mask itself{known}", tiles["mask"], tiles.get("depth_truth")))
    return Example(example["name"], tuple(columns))
