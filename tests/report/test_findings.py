"""Sentences, tables and figures of findings: nothing is claimed that the intervals do not support."""

import re
from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.figures import DARK
from depthcue.report.findings import in_words, judged, section, size_names
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, Verdict, compared_with


def _entry(value: float, spread: float = 0.1, images: int = 20) -> dict[str, Any]:
    return {"value": value, "ci95": [value - spread, value + spread], "images": images}


def _compared(mask: float, edges: float, spread: float = 0.1) -> dict[str, Any]:
    return {"mask": _entry(mask, spread), "edges": _entry(edges, spread),
            "mask_minus_edges": _entry(mask - edges, spread)}


def _results(spread: float = 0.1, geometry: float = 0.4, images: int = 20) -> dict[str, Any]:
    """A document of one data set, with all intervals as wide as asked for."""
    kinds = ["occlusion", "crease", "shadow", "texture", "inside"]
    fits = {part: _entry(0.2, spread, images) for part in ("strength", "kind", "both", "kind_given_strength",
                                                           "strength_given_kind")}
    edges = {
        "images": images, "kinds": kinds, "how": "by cause",
        "by_kind": [{"kind": kind, "share": _entry(0.2), "strength": _entry(0.05), "attention": _entry(1.2),
                     "kept": {"mask": _entry(0.2), "edges": _entry(0.1), "difference": _entry(0.1)}} for kind in kinds],
        "by_strength": {"bounds": [0.01, 0.02], "attention": {kind: [_entry(1.0), None, _entry(1.5)]
                                                              for kind in kinds}},
        "at_equal_strength": [
            {"of": ["occlusion", "crease"], "minus": ["shadow", "texture"],
             "difference": _entry(geometry, spread, images)},
            {"of": ["occlusion"], "minus": ["inside"], "difference": _entry(0.5, spread, images)}],
        "explained": {"all pixels": fits, "on edges": fits}}
    sizes = {"objects": 40, "share_inside": _entry(0.1), "mask": {
        "inside": _entry(1.6, spread, images), "boundary": _entry(1.5), "ratio": _entry(1.0, spread, images)},
        "edges": {"inside": _entry(0.5), "boundary": _entry(2.5), "ratio": _entry(0.2)}}
    objects = {"images": images, "band": 1, "bounds": [0.001, 0.01, 0.1], "sizes_compared": [0.01, 0.1],
               "by_size": [sizes] * 4, "small": sizes, "large": sizes, "small_minus_large": {
                   name: {"inside": _entry(0.4, spread, images), "at_equal_distance": _entry(0.4, spread, images)}
                   for name in ("mask", "edges")}}
    far = {"images": images,
           "vanishing_point": {"source": "estimated", "images": images, "outside": 0, "unclear": 0, "clear_from": 0.14,
                               "agreement": [0.3] * images},
           "by_distance": {"bounds": [0.05, 0.1], "bins": [_compared(2.0, 1.5)] * 3},
           "near": {"within": 0.1, **_compared(2.0, 1.5, spread), "share": _entry(0.1),
                    "at_equal_strength": _entry(0.3, spread, images),
                    "in_the_same_rows": {"mask": _entry(0.3, spread, images), "edges": _entry(0.3, spread, images)}},
           "by_depth": {"source": "ground truth", "bounds_m": [20.0, 40.0, 80.0],
                        "far": {"from_m": 40.0, **_compared(1.4, 1.2, spread)}, "bins": [_compared(1.0, 1.0)] * 4},
           "by_row": {"bins": [_compared(1.0, 1.0)] * 12}}
    return {"schema": 1, "command": "findings", "images": images, "share": 0.2, "seed": 0,
            "weights": {"name": "mask", "sha256": None}, "target_net": {"name": "depth", "sha256": None},
            "data": [{"spec": "scenes:road", "images": images, "lambda": 2.0, "mean": 0.2,
                      "findings": {"edges": edges, "objects": objects, "far": far}}]}


def test_clear_numbers_have_sentences() -> None:
    sentences = in_words(typed(_results()))

    def told(*parts: str) -> bool:
        """Whether one sentence has all these parts, in this order."""
        return any(re.search(".*".join(map(re.escape, parts)), sentence) for sentence in sentences)

    more = PHRASES[Verdict.MORE]
    assert told("occlusions and creases", f"0.40 {more}", "shadows and textures (0.30 to 0.50)")
    assert told("the kind of edge 20.0% (10.0% to 30.0%)")
    assert told("below 1%", "1.60 times (1.50 to 1.70)", compared_with(Verdict.MORE, "an average pixel", "in "))
    assert told("small object", f"0.40 {more}", "large one")
    assert told("within 0.1 picture widths", "estimated, 20 images", "2.00 times")
    assert told("equal edge strength", f"0.30 {more}", "elsewhere (0.20 to 0.40)")


def test_the_other_sign_has_the_other_sentence() -> None:
    words = in_words(typed(_results(geometry=-0.4)))[0]
    assert f"0.40 {PHRASES[Verdict.LESS]}" in words and words.endswith("shadows and textures (0.30 to 0.50).")


@pytest.mark.parametrize("results", [_results(spread=3.0), _results(images=5)], ids=["wide", "few"])
def test_nothing_is_claimed_that_is_not_clear(results: dict[str, Any]) -> None:
    sentences = in_words(typed(results))
    claims = [sentence for sentence in sentences if " more attention" in sentence or " less attention" in sentence]
    assert claims == []
    few = results["images"] == 5
    assert ("5 images are too few to tell a" if few else "no clear") + \
        " difference of attention between occlusions and creases and shadows and textures" in sentences[0]
    assert ("are too few to tell how much" if few else "no clear share") in sentences[1]
    (beside,) = (each for each in sentences if "large enough" not in each and "inside a small object" in each)
    assert ("5 images are too few to tell" if few else PHRASES[Verdict.NOT_CLEAR]) in beside
    # too few is never called no difference
    assert not (few and any("no clear" in sentence for sentence in sentences[:5]))


def test_what_is_left_out_says_why() -> None:
    results = _results()
    results["data"][0]["findings"]["objects"] = {"left_out": "the data is blind"}
    assert "scenes:road: Nothing is said about objects by size: the data is blind." in in_words(typed(results))
    found = section(typed(results), Path())
    assert [plot.name for plot in found.plots] == ["edges", "far"]


def test_an_interval_on_few_pictures_is_open() -> None:
    assert judged(_entry(1.0)) is Verdict.MORE and judged(_entry(-1.0)) is Verdict.LESS
    assert judged(_entry(0.05)) is Verdict.NOT_CLEAR
    assert judged(_entry(1.0, images=6)) is Verdict.TOO_FEW and judged(None) is Verdict.TOO_FEW
    assert judged(_entry(1.5), 1.0) is Verdict.MORE


def test_tables_have_all_numbers() -> None:
    tables = section(typed(_results()), Path()).tables
    assert [len(table.rows) for table in tables] == [5, 2, 2, 4, 3, 4]
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert tables[0].rows[0] == ("occlusion", "20.0%", "0.050", "1.20 (1.10 to 1.30)", "20.0%", "10.0%",
                                 "+10.0% (+0.0% to +20.0%)")


def test_the_sky_has_a_sentence_of_its_own_where_it_is_known() -> None:
    results = _results()
    far = results["data"][0]["findings"]["far"]
    before = len(section(typed(results), Path()).tables)
    far["sky"] = None
    assert len(section(typed(results), Path()).tables) == before
    far["sky"] = {"share": _entry(0.3), "kept": {"mask": _entry(0.15), "edges": _entry(0.25)},
                  "mask_minus_edges": _entry(-0.1)}
    table = section(typed(results), Path()).tables[-1]
    assert table.rows == (("sky", "30.0% (20.0% to 40.0%)", "15.0% (5.0% to 25.0%)", "25.0% (15.0% to 35.0%)",
                           "-10.0% (-20.0% to +0.0%)"),)
    assert len(table.columns) == 5 and "20% with most mask" in table.title
    assert ("the sky, which has no depth, is 30.0% (20.0% to 40.0%) of all pixels, and 15.0% (5.0% to 25.0%) of those "
            "with most mask lie in it (of as many edges 25.0% (15.0% to 35.0%)).") in " ".join(in_words(typed(results)))


def test_names_of_sizes() -> None:
    assert size_names([0.001, 0.01, 0.1]) == ["below 0.1%", "0.1% to 1%", "1% to 10%", "10% and more"]


def test_figures_are_drawn_light_and_dark(tmp_path: Path) -> None:
    results = _results()
    # a second data set without vanishing points or depth
    far = results["data"][0]["findings"]["far"]
    bare = {**results["data"][0], "findings": {"far": {
        **far, "by_distance": None, "near": None, "by_depth": None,
        "vanishing_point": {**far["vanishing_point"], "images": 1}}}}
    results["data"].append(bare)
    found = section(typed(results), tmp_path)
    assert [plot.name for plot in found.plots] == ["edges-1", "objects-1", "far-1", "far-2"]
    assert len(draw_plots(found, tmp_path)) == 8
    found.plots[0].draw([tmp_path / "dark.svg"], DARK)
    assert all(path.stat().st_size > 2000 for path in tmp_path.iterdir())
    assert any("vanishing point can be told in 1 of 20 images" in sentence for sentence in found.sentences)
