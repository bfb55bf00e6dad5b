"""Pages for a browser, from results files and the pictures beside them: no server, no network, no torch."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from depthcue.atomic import write_text
from depthcue.report.comparison import section
from depthcue.report.figures import DARK, draw_comparison
from depthcue.report.results import Results, measured_against, read_results
from depthcue.report.section import draw_plots
from depthcue.report.tables import curves_table, in_words, label_of


def write_demo_page(folder: Path) -> Path:
    """Write FOLDER/index.html from what `depthcue demo` left there.

    Reads FOLDER/results.json and the comparisons it names, and draws their figures. Pictures and video are linked by
    relative paths; style and script are in the page, which opens from a disk as from a server.

    Returns:
        The page.

    Raises:
        DepthcueError: a results file is missing or not what it should be.
    """
    results = read_results(folder, "demo")
    comparisons = [_comparison(folder, part) for part in results["comparisons"]]
    page = folder / "index.html"
    write_text(page, _environment().get_template("demo.html.j2").render(demo=results, comparisons=comparisons))
    return page


def _comparison(folder: Path, part: dict[str, str]) -> dict[str, Any]:
    """What the template needs of one comparison; its figures are drawn on the way."""
    place = folder / part["folder"]
    results = read_results(place, "compare-edges")
    draw_plots(section(results, place), place)
    dark = place / "comparison-dark.svg"
    draw_comparison(results, [dark], DARK)
    return {
        "title": part["title"], "folder": part["folder"], "sentence": in_words(results),
        "table": curves_table(results, measured_against(results)[0]), "images": results["images"],
        "examples": [_example(example, results) for example in results["examples"]],
    }


def _example(example: Results, results: Results) -> dict[str, Any]:
    """An example as columns of two pictures: what the depth net was shown, and the depth it saw."""
    share = f"{example['sparseness']:.0%}"
    columns = [("the whole picture", "picture", "depth_target")]
    columns += [(f"{share}, {_chosen_by(method)}", f"kept_{method}", f"depth_{method}") for method in results["curves"]]
    columns.append(("the mask itself; the true depth", "mask", "depth_truth"))
    tiles = example["tiles"]
    return {"name": example["name"], "columns": [
        {"caption": caption, "above": tiles[above], "below": tiles.get(below)} for caption, above, below in columns
    ]}


def _chosen_by(method: str) -> str:
    return {"mask": "chosen by the mask", "sobel": "the strongest edges", "random": "at random"}.get(
        method, f"chosen by {label_of(method)}")


def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("depthcue.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda share: f"{share:.0%}"
    return environment
