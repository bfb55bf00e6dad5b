"""One page for a browser, from results files and the pictures beside them: no server, no network, no torch.

A `Section` holds one results file in pieces that a terminal, a folder and a page each show in their own form.
`SECTIONS` names the function that makes it for each command; the demo's, stills with a dial and a short drive, is here.

The page thresholds and colours the masks of a gallery itself, so that its sliders react at once; it therefore gets
masks and edges as 8 bit greys and the colours as tables. Depth comes in colours: computing it anew would need the net.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from depthcue import __version__
from depthcue.colours import USUAL, blend_of
from depthcue.errors import DepthcueError
from depthcue.files import write_text
from depthcue.imaging import colourise_depth, colourise_mask
from depthcue.report import (
    bench,
    compare_edges,
    compare_losses,
    compare_nets,
    evaluate,
    findings,
    optimize,
    probe,
    steadiness,
)
from depthcue.report.provenance import (
    comparability,
    data_specs,
    different_data,
    in_short,
    provenance,
)
from depthcue.report.section import Picture, Section, drawn_uri, film_uri, picture_uri, plot_uris, with_note
from depthcue.report.tables import INTERVALS, SHARE, setting_name
from depthcue.results import CompareEdges, Demo, Evaluation, Result, read_result

TITLE = "What a network looks at when it sees depth"
_MANY_ROWS = 12
"""Tables with more are folded away."""
START_MEAN = 0.2
"""The mean of M near which a gallery opens: sparse, as the paper shows its masks."""
_SHORT = 14
"""Characters that fit under a thumbnail."""
_NO_PICTURES: dict[str, Any] = {"gallery": None, "films": [], "pictures": [], "examples": []}


def section(results: Demo, folder: Path) -> Section:
    """The section of a demo's document; what it compared lies in results files of their own."""
    video = results.video
    where = video.get("where")  # results of earlier versions have none
    lies = "" if where is None else (
        f" Of what is kept, {where[0]:.0%} lies in the upper third of the picture, {where[1]:.0%} in the middle and "
        f"{where[2]:.0%} in the lower third.")
    film = Picture(video["overlay"], (
        f"A short drive, masked frame by frame; the mean of the mask is {video['mean']:.0%}. What is hidden is dark "
        f"and grey.{lies} With the mask itself, and the depth seen with and without it: {video['panel']}, "
        "beside this page."), poster=video.get("poster"))
    return Section(
        "Turn the dial", (),
        lead="What does the mask net keep, and what can be seen from that alone? Every room and road is made up and "
        "rendered by depthcue, so the true distance of each pixel is known. The sky has none: it is grey in the true "
        "depth, and no net learned what to say there, so the distance that the depth net shows for it means nothing.",
        gallery=tuple(results.gallery), films=(film,))


SECTIONS: dict[str, Callable[[Any, Path], Section]] = {
    "demo": section,
    "compare-edges": compare_edges.section,
    "evaluate": evaluate.section,
    "compare-nets": compare_nets.section,
    "steadiness": steadiness.section,
    "compare-losses": compare_losses.section,
    "optimize": optimize.section,
    "findings": findings.section,
    "probe": probe.section,
    "bench": bench.section,
}
"""Functions by command that make a section of the command's own kind of `Result` and the folder it lies in."""


def section_of(results: Result, folder: Path) -> Section:
    """The section of a result whose pictures lie in `folder`.

    Raises:
        DepthcueError: its command has no section.
    """
    if results.command not in SECTIONS:
        raise DepthcueError(f"depthcue {results.command} has no section in a report",
                            f"There are sections for: {', '.join(SECTIONS)}.")
    return with_note(SECTIONS[results.command](results, folder), results)


@dataclass(frozen=True)
class _Part:
    """A results document, the folder it lies in, and what it comes to."""

    results: Result
    folder: Path
    section: Section


def write_page(paths: Sequence[Path], out: Path, title: str = TITLE, pictures: bool = True, *,
               mixed: bool = False) -> tuple[str, ...]:
    """Write one self-contained page that shows every results file in a section of its own, in the order given.

    Args:
        paths: results files, or the folders of results.json files.
        out: the .html file; it is written when everything else has gone well, or not at all.
        pictures: whether to show pictures and films; results that were kept without theirs have to go without.
        mixed: whether results of one command may have been measured on different data; the page then says so.

    Returns:
        What a reader of the page is warned of: which sections are of the same command and yet not one comparison.

    Raises:
        DepthcueError: no results, a file that holds none or is of another schema, results of a command that has no
            section, the same results twice, a picture that is missing, a page that is not .html, different data where
            that was not asked for.
    """
    if out.suffix not in (".html", ".htm"):
        raise DepthcueError(f"the page {out} has no name of a page", "Choose --out with the ending .html.")
    parts = _read_parts(paths)
    documents = [part.results for part in parts]
    if not mixed and (apart := different_data(documents)) is not None:
        first, other = (f"{paths[index]} ({in_short(documents[index])})" for index in apart)
        raise DepthcueError(f"{first} and {other} were measured by depthcue {documents[apart[0]].command} on "
                            "different data: side by side they would be taken for one comparison",
                            "Make a page of each, or give --mixed for one that says that they are none.")
    warnings = comparability(documents)
    with TemporaryDirectory() as workplace:
        sections = [_shown(part, Path(workplace), pictures) for part in parts]
    repeated = [section["title"] for section in sections]
    for section, part in zip(sections, parts, strict=True):
        if repeated.count(section["title"]) > 1 and data_specs(part.results):
            section["title"] += f": {', '.join(data_specs(part.results))}"
    write_text(out, _environment().get_template("page.html.j2").render(
        title=title, sections=sections, warnings=warnings, version=__version__, colours=colour_tables(),
        depth_gradient=depth_gradient(), intervals=INTERVALS,
        newcomer=any(part.results.command == "demo" for part in parts)))
    return warnings


def _read_parts(paths: Sequence[Path]) -> list[_Part]:
    if not paths:
        raise DepthcueError("there are no results to show", "Give one or more results.json files.")
    parts: list[_Part] = []
    for path in paths:
        results = read_result(path)
        if results.command not in SECTIONS:
            raise DepthcueError(f"{path} comes from depthcue {results.command}, which has no section in a report",
                                f"There are sections for: {', '.join(SECTIONS)}.")
        if any(results.to_dict() == part.results.to_dict() for part in parts):
            raise DepthcueError(f"{path} holds results that are in the report already", "Give every file once.")
        folder = path if path.is_dir() else path.parent
        with _whole(results, path):
            section = section_of(results, folder)
        parts.append(_Part(results, folder, section))
    return parts


def _shown(part: _Part, workplace: Path, pictures: bool) -> dict[str, Any]:
    """Values of one part for the template, its pictures and plots inlined."""
    section, folder = part.section, part.folder
    with _whole(part.results, folder):
        return {
            "title": section.title, "lead": section.lead, "sentences": section.sentences,
            "in_short": in_short(part.results), "provenance": provenance(part.results),
            "headline": headline(part.results),
            "tables": [(table, len(table.rows) > _MANY_ROWS) for table in section.tables],
            # before the plots, which take longer: a missing picture is an error at once
            **(_pictures(section, folder, workplace) if pictures else _NO_PICTURES),
            "plots": [(plot.caption, plot_uris(plot.draw, workplace)) for plot in section.plots],
        }


def headline(results: Result) -> list[tuple[str, str]]:
    """The numbers of a comparison or an evaluation to read first, each with what it is: errors against both measures.

    None of other commands.
    """
    if isinstance(results, CompareEdges):
        point = min(results.curves["mask"], key=lambda point: abs(point.sparseness - SHARE))
        what, whole = f"from the {point.sparseness:.0%} of the pixels that the mask keeps", results.target
        truth, target = point.get("rmse"), point["rmse_to_target"]
    elif isinstance(results, Evaluation):
        wanted = results.in_question
        row = next(row for row in results.table
                   if row.weights == wanted.weights and setting_name(row) == setting_name(wanted))
        what, whole = f"through soft masks with a mean of {row.mean:.0%}", results.original
        truth, target = row.soft["truth"]["rmse"] if results.ground_truth else None, row.soft["target"]["rmse"]
    else:
        return []
    numbers = [] if truth is None else [(f"{whole['rmse']:.2f} m", "RMSE of whole pictures, against the true depth"),
                                        (f"{truth:.2f} m", f"RMSE {what}, against the true depth")]
    return [*numbers, (f"{target:.2f} m", f"RMSE {what}, against what the depth net sees in the whole picture")]


def _pictures(section: Section, folder: Path, workplace: Path) -> dict[str, Any]:
    return {
        "gallery": page_gallery(section.gallery, folder) if section.gallery else None,
        "films": [(film.caption, film_uri(folder, film.path),
                   None if film.poster is None else picture_uri(folder, film.poster)) for film in section.films],
        "pictures": [(picture.caption, picture_uri(folder, picture.path) if picture.draw is None
                      else drawn_uri(picture.draw, workplace)) for picture in section.pictures if picture.on_page],
        "examples": [(example.name, [
            (column.caption, picture_uri(folder, column.shown),
             None if column.seen is None else picture_uri(folder, column.seen)) for column in example.columns
        ]) for example in section.examples],
    }


@contextmanager
def _whole(results: Result, path: Path) -> Iterator[None]:
    """Context in which a field that a document lacks, or has of another type, is a mistake of the file, and no bug."""
    again = "Give results.json as the command wrote it."
    try:
        yield
    except LookupError as error:
        raise DepthcueError(f"{path} is not a whole document of depthcue {results.command}: {error} is missing",
                            again) from error
    except (TypeError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
        raise DepthcueError(f"{path} is not a document as depthcue {results.command} writes it: "
                            f"{error or type(error).__name__}", again) from error


def page_gallery(stills: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Data of the stills for the page's script, from a results document that lies in `folder`.

    Raises:
        DepthcueError: a picture of a still is missing.
    """
    labels = short_names([still["name"] for still in stills])
    shown = []
    for label, still in zip(labels, stills, strict=True):
        alike = [other for other in stills if _settings(other) == _settings(still)]
        shown.append({"label": label, "start": start_step(alike), **_still(still, folder)})
    return {"stills": shown}


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin or end with, where one is too long for the space under a thumbnail."""
    words = [[word for word in re.split(r"[/_\s.-]+", name) if word] for name in names]
    if len(names) < 2 or max(map(len, names)) <= _SHORT or min(map(len, words)) < 2:
        return list(names)
    before = len(commonprefix(words))
    after = len(commonprefix([each[before:][::-1] for each in words]))
    return [" ".join(each[before:len(each) - after]) or name for each, name in zip(words, names, strict=True)]


def start_step(stills: Sequence[dict[str, Any]]) -> int:
    """The step at which the masks of stills with the same settings have a mean of about START_MEAN.

    Means, and not shares of pixels above a small threshold: soft masks have long tails, and nearly all of their pixels
    are above it when nearly nothing can be seen through them.
    """
    means = np.array([[step["mean"] for step in still["steps"]] for still in stills])  # (stills, steps)
    return int(np.abs(means.mean(axis=0) - START_MEAN).argmin())


def colour_tables() -> dict[str, Any]:
    """Red, green and blue of a mask by level; and what an overlay shows of a hidden pixel, as `mask` draws it.

    That is a share `own` of its colour, and `hidden` by its light; towards kept an overlay is linear in the mask.
    """
    levels = np.arange(256, dtype=np.uint8)[None]  # (1, 256)
    blend = blend_of(USUAL)
    hidden = blend.grey[0] * levels[0][:, None] + blend.ground[0]
    return {"mask": colourise_mask(levels)[0].tolist(), "own": float(blend.kept[0]),
            "hidden": hidden.round(1).tolist()}


def depth_gradient() -> str:
    """The colours of depth from near to far as CSS has them."""
    depths: Any = np.geomspace(1, 10, 12, dtype=np.float32)[None]
    return ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in colourise_depth(depths, 1, 10)[0])


def _settings(still: dict[str, Any]) -> list[str]:
    return [step_name(step) for step in still["steps"]]


def step_name(step: dict[str, Any]) -> str:
    """Name of a step of a gallery beside its slider."""
    return f"{100 * step['keep']:.3g}% kept" if "keep" in step else f"λ = {step['lambda']:.3g}"


def _still(still: dict[str, Any], folder: Path) -> dict[str, Any]:
    parts = ["picture", "edges", "depth", *(["depth_truth"] if "depth_truth" in still else [])]
    shown = {part: picture_uri(folder, still[part]) for part in parts}
    steps = [{"setting": step_name(step), "mean": step["mean"], "above_half": step["above_half"],
              "difference_m": step["difference_m"],
              **{part: picture_uri(folder, step[part]) for part in ("mask", "depth")}} for step in still["steps"]]
    return {"name": still["name"], "near_m": still["near_m"], "far_m": still["far_m"], **shown, "steps": steps}


def _environment() -> Environment:
    return Environment(loader=PackageLoader("depthcue.report"), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)
