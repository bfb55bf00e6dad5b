"""What compare-edges leaves beside its results.json: the figure and the panel of examples."""

from pathlib import Path

from depthcue.report.figures import draw_comparison
from depthcue.report.panels import draw_examples
from depthcue.report.results import Results


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw `comparison.png`, `comparison.svg` and `examples.png` (where there are examples) into the results' folder.

    Returns:
        The files written.
    """
    figures = [folder / "comparison.png", folder / "comparison.svg"]
    draw_comparison(results, figures)
    examples = folder / "examples.png"
    return [*figures, examples] if draw_examples(results, folder, examples) else figures
