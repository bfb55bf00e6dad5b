"""The page from results files alone: whole, self-contained, safe with any name, and none where something is wrong."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison_results import comparison_results, stated, typed
from gallery_results import results_folder

from depthcue import imaging
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.report.page import colour_tables, headline, short_names, start_step, write_page


class _Links(HTMLParser):
    """Collects what a page refers to, the tags left open, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attributes if name in ("src", "srcset", "href") and value]
        self.ids += [value for name, value in attributes if name == "id" and value]
        if tag not in ("meta", "img", "input", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(folders: list[Path], out: Path, **options: Any) -> str:
    write_page(folders, out, **options)
    return out.read_text()


def test_the_page_says_what_was_found_and_holds_all_it_shows(tmp_path: Path) -> None:
    page = _page([results_folder(tmp_path / "rooms")], tmp_path / "page.html")
    links = _Links(page)
    assert links.open == []
    assert len(links.ids) == len(set(links.ids))
    targets = [target for target in links.targets if not target.startswith("data:")]
    assert targets and all(target.startswith("#") and target[1:] in links.ids for target in targets)
    assert "1.07 m when the mask chooses them" in links.text
    assert "+0.375" in links.text  # the table
    assert "depthcue compare-edges --data scenes:indoor" in links.text and "abc123" in links.text
    assert sum(target.startswith("data:image/svg+xml") for target in links.targets) == 4  # light, dark, phones
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


def test_the_headline_has_the_errors_against_truth_and_against_the_net_itself(tmp_path: Path) -> None:
    results = comparison_results()
    entry = next(entry for entry in results["curves"]["mask"] if entry["sparseness"] == 0.2)
    truth, target = f"{entry['rmse']:.2f} m", f"{entry['rmse_to_target']:.2f} m"
    assert truth != target
    assert [number for number, _ in headline(typed(results))] == [f"{results['target']['rmse']:.2f} m", truth, target]
    sentences = [what for _, what in headline(typed(results))]
    assert "against the true depth" in sentences[0] and "against the true depth" in sentences[1]
    assert "against what the depth net sees in the whole picture" in sentences[2]
    assert headline(stated({"command": "bench"})) == []
    text = _Links(_page([results_folder(tmp_path / "rooms")], tmp_path / "page.html")).text
    assert all(number in text for number in (truth, target))


def test_a_gallery_has_every_lambda_and_starts_sparse_by_the_mean(tmp_path: Path) -> None:
    page = _page([results_folder(tmp_path / "rooms", stills=2)], tmp_path / "page.html")
    data = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    gallery = json.loads(data[1])
    assert [step["setting"] for step in gallery["stills"][1]["steps"]] == ["λ = 0.5", "λ = 2", "λ = 6"]
    assert all(step["mask"].startswith("data:image/png;base64,") for step in gallery["stills"][0]["steps"])
    # nearly all of the first masks is above a small threshold, and so is half of the second: means decide
    assert [still["start"] for still in gallery["stills"]] == [1, 1] and 'value="1"' in page


def test_where_a_gallery_starts() -> None:
    def still(*means: float) -> dict[str, Any]:
        return {"steps": [{"mean": mean} for mean in means]}

    assert start_step([still(0.9, 0.5, 0.25, 0.05)]) == 2
    assert start_step([still(0.9, 0.5, 0.25, 0.05), still(0.9, 0.1, 0.05, 0.0)]) == 2
    assert start_step([still(0.7)]) == 0


def test_long_names_are_shortened_to_what_they_differ_in() -> None:
    assert short_names(["room 1", "road 1"]) == ["room 1", "road 1"]
    assert short_names(["nyu2/test/0001_colors.png", "nyu2/test/0002_colors.png"]) == ["0001", "0002"]
    assert short_names(["drive_0000_sync_image_07_image_02", "drive_0004_sync_image_09_image_02"]) == [
        "0000 sync image 07", "0004 sync image 09"]
    assert short_names(["a_picture_of_a_room.png"]) == ["a_picture_of_a_room.png"]
    assert short_names(["the_same_long_name.png"] * 2) == ["the_same_long_name.png"] * 2


def test_the_colours_of_an_overlay_are_those_of_the_mask_command() -> None:
    tables = colour_tables()
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    drawn = imaging.overlay(rgb, np.zeros((4, 5), np.uint8))
    hidden = np.array(tables["hidden"])[imaging.grey_of(rgb)]
    np.testing.assert_allclose(tables["own"] * rgb + hidden, drawn, atol=1.5)
    assert len(tables["mask"]) == len(tables["hidden"]) == 256


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    folder = results_folder(tmp_path / "rooms")
    assert _page([folder], tmp_path / "a.html") == _page([folder / "results.json"], tmp_path / "b.html")


def test_a_name_is_text_and_never_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    page = _page([results_folder(tmp_path / "rooms", name=evil, data=evil)], tmp_path / "page.html", title=evil)
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 3


def test_without_pictures_kept_results_still_make_a_page(tmp_path: Path) -> None:
    folder = results_folder(tmp_path / "rooms")
    for picture in [*folder.glob("*.png"), *folder.glob("*.jpg")]:
        picture.unlink()
    page = _page([folder], tmp_path / "page.html", pictures=False)
    assert "1.07 m" in page and 'class="gallery' not in page and "image/svg+xml" in page


def test_titles_of_several_comparisons_name_their_data(tmp_path: Path) -> None:
    folders = [results_folder(tmp_path / kind, data=f"scenes:{kind}") for kind in ("indoor", "road")]
    text = _Links(_page(folders, tmp_path / "page.html", mixed=True)).text
    for kind in ("indoor", "road"):
        assert text.count(f"Mask against edges and chance: scenes:{kind}") == 2  # contents and heading
    assert "Sections 1 and 2 (depthcue compare-edges) differ in data" in text


def _changed(folder: Path, **fields: Any) -> Path:
    file = folder / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return folder


def _without(folder: Path, field: str) -> Path:
    file = folder / "results.json"
    content = json.loads(file.read_text())
    del content[field]
    file.write_text(json.dumps(content))
    return folder


def _missing_picture(folder: Path) -> Path:
    (folder / "still-0-mask-1.png").unlink()
    return folder


def _no_picture(folder: Path) -> Path:
    (folder / "still-0-mask-1.png").write_text("a mask")
    return folder


def _picture_elsewhere(folder: Path) -> Path:
    results = json.loads((folder / "results.json").read_text())
    results["gallery"][0]["picture"] = "../secret.png"
    return _changed(folder, gallery=results["gallery"])


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda folder: _changed(folder, schema=99), "schema 99"),
    (lambda folder: _changed(folder, command="bake"), "bake, which has no section"),
    (lambda folder: _without(folder, "curves"), "not a whole document of depthcue compare-edges: curves"),
    (lambda folder: folder / "nowhere.json", "there is no"),
    (_missing_picture, "still-0-mask-1.png cannot be read"),
    (_no_picture, "still-0-mask-1.png is not a whole"),
    (_picture_elsewhere, "outside of it"),
])
def test_one_bad_file_and_there_is_no_page(tmp_path: Path, spoil: Any, message: str,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = results_folder(tmp_path / "good"), spoil(results_folder(tmp_path / "bad", data="scenes:road"))
    out = tmp_path / "page.html"
    assert main(["report", str(bad), str(good), "--out", str(out), "--mixed"]) == 1
    printed = capsys.readouterr()
    assert message in printed.err and printed.out == "" and "Traceback" not in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "good"]


def test_a_page_that_was_there_stays_when_the_next_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    before = _page([results_folder(tmp_path / "good")], out)
    with pytest.raises(DepthcueError, match="schema 2"):
        write_page([_changed(results_folder(tmp_path / "bad"), schema=2)], out)
    assert out.read_text() == before


def test_what_makes_no_report(tmp_path: Path) -> None:
    folder = results_folder(tmp_path / "rooms")
    for paths, out, message in (([], "page.html", "no results"), ([folder], "results.json", "ending .html"),
                                ([folder, folder / "results.json"], "page.html", "in the report already")):
        with pytest.raises(DepthcueError, match=message):
            write_page(paths, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["rooms"]


def test_different_data_in_one_page_need_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(results_folder(tmp_path / kind, data=f"scenes:{kind}")) for kind in ("indoor", "road")]
    words = ["report", *folders, "--out", str(tmp_path / "page.html"), "--title", "Rooms and roads"]
    assert main(words) == 1
    printed = capsys.readouterr()
    assert "indoor (scenes:indoor" in printed.err and "on different data" in printed.err and "--mixed" in printed.err
    assert printed.out == "" and not (tmp_path / "page.html").exists()
    assert main([*words, "--mixed"]) == 0
    printed = capsys.readouterr()
    assert "page.html (" in printed.out and "differ in data" in printed.err
    assert "<title>Rooms and roads</title>" in (tmp_path / "page.html").read_text()


def test_a_section_need_not_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from depthcue.report import page
    from depthcue.report.section import Section

    monkeypatch.setitem(page.SECTIONS, "bake", lambda results, folder: Section("Baking", ("Bread rises.",)))
    folder = tmp_path / "bake"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"schema": 1, "command": "bake"}))
    page = _Links(_page([folder], tmp_path / "page.html"))
    assert "Bread rises." in page.text and page.open == []


def test_results_of_before_galleries_make_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(comparison_results()))
    assert 'class="gallery' not in _page([folder], tmp_path / "page.html")
