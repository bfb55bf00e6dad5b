"""What compare-edges found: RMSE against sparseness for every way to choose pixels, and a panel of examples."""

from functools import partial
from pathlib import Path

from depthcue.report.figures import draw_comparison
from depthcue.report.panels import draw_examples
from depthcue.report.results import Results
from depthcue.report.section import Picture, Plot, Section
from depthcue.report.tables import comparison_tables, in_words


def section(results: Results, folder: Path) -> Section:
    """The section of a compare-edges document; draws examples.png into its folder where there are examples."""
    drawn = draw_examples(results, folder, folder / "examples.png")
    return Section(
        "Mask against edges and chance", (in_words(results),), tuple(comparison_tables(results)),
        (Plot("comparison", "RMSE against the share of pixels seen, with 95% intervals over images",
              partial(draw_comparison, results)),),
        (Picture("examples.png", "What the depth net was shown and what it saw"),) if drawn else ())
