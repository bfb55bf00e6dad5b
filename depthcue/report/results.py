"""Reading results files: what a table, a figure or a page is made from."""

from pathlib import Path
from typing import Any

from depthcue import documents
from depthcue.errors import DepthcueError
from depthcue.record import SCHEMA

Results = dict[str, Any]
"""A results document as `json.load` gives it."""

FEW = 10
"""Below so many images a bootstrap interval is too narrow: it knows no image but those it has seen."""

TRUTH, TARGET = "ground truth", "the depth net on whole pictures"
"""What errors can be measured against."""


def read_results(path: Path, command: str | None = None) -> Results:
    """The results document at `path`, or at `path`/results.json where it is a folder.

    Args:
        command: whose results are expected, where it matters.

    Raises:
        DepthcueError: no such file, no results document, one of another schema or of another command.
    """
    if path.is_dir():
        path = path / "results.json"
    try:
        content = documents.read_document(path, "a results document", documents.Results,
                                          "Give a results.json that a depthcue command wrote.",
                                          documents.RESULTS_BYTES)
    except FileNotFoundError:
        raise DepthcueError(f"there is no {path}", "Give a results.json, or the folder it is in.") from None
    if content.get("schema") != SCHEMA:
        raise DepthcueError(f"{path} has schema {content.get('schema')}, this depthcue reads {SCHEMA}",
                            "Measure again, or use the version that wrote it.")
    if command is not None and content["command"] != command:
        raise DepthcueError(f"{path} comes from depthcue {content['command']}, not {command}",
                            f"Give what depthcue {command} wrote.")
    return content


def measured_against(results: Results) -> tuple[str, ...]:
    """What a compare-edges document measures errors against: ground truth first, where there is any."""
    return (TRUTH, TARGET) if results["ground_truth"] else (TARGET,)


def fields_for(reference: str) -> tuple[str, str]:
    """The names of the error and of its difference to the mask's in an entry, for what it is measured against."""
    return ("rmse", "minus_mask") if reference == TRUTH else ("rmse_to_target", "to_target_minus_mask")


def too_few(results: Results) -> list[str]:
    """A sentence of warning where there are so few images that intervals over them say little; none otherwise."""
    images = results["images"]
    return [] if images >= FEW else [f"With only {images} images, the intervals say little."]
