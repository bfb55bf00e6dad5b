"""The demo's page from results files alone: whole, self-contained, and safe with any name."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from comparison_results import comparison_results

from depthcue.errors import DepthcueError
from depthcue.report.page import write_demo_page


class _Links(HTMLParser):
    """Collects what a page refers to, the tags left open, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attributes if name in ("src", "srcset", "href") and value]
        if tag not in ("meta", "img", "input", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _demo_folder(folder: Path, name: str = "room 1") -> Path:
    settings = [{"lambda": lam, "kept": kept, "difference_m": 0.1 * lam, "overlay": f"{lam}-kept.jpg",
                 "depth": f"{lam}-depth.jpg"} for lam, kept in ((0.5, 0.9), (2.0, 0.24), (6.0, 0.1))]
    still = {"kind": "indoor", "name": name, "picture": "room.png", "depth": "whole.jpg", "settings": settings}
    demo: dict[str, Any] = {
        "schema": 1, "command": "demo", "revision": "abc", "machine": {"processor": "a chip"}, "seconds": 61.2,
        "stills": [still], "start": 1, "video": {"overlay": "o.mp4", "panel": "p.mp4", "kept": 0.21},
        "comparisons": [{"title": "Rooms", "folder": "compare/rooms"}]}
    (folder / "compare" / "rooms").mkdir(parents=True)
    (folder / "compare" / "rooms" / "results.json").write_text(json.dumps(comparison_results()))
    (folder / "results.json").write_text(json.dumps(demo))
    return folder


def test_the_page_says_what_was_found_and_links_only_its_own_files(tmp_path: Path) -> None:
    page = write_demo_page(_demo_folder(tmp_path)).read_text()
    links = _Links(page)
    assert links.open == []
    assert not [target for target in links.targets if re.match(r"\w+:|//|/", target)]
    assert {"2.0-kept.jpg", "2.0-depth.jpg", "room.png", "o.mp4", "compare/rooms/comparison.svg",
            "compare/rooms/comparison-dark.svg"} <= set(links.targets)
    assert "24% of the pixels kept" in links.text
    assert "1.07 m when the mask chooses them" in links.text
    assert "+0.375" in links.text  # the table
    for name in ("comparison.svg", "comparison.png", "comparison-dark.svg"):
        assert (tmp_path / "compare" / "rooms" / name).is_file()


def test_the_dial_gets_every_setting(tmp_path: Path) -> None:
    page = write_demo_page(_demo_folder(tmp_path)).read_text()
    data = re.search(r'<script type="application/json" id="stills">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert [setting["lambda"] for setting in json.loads(data[1])[0]["settings"]] == [0.5, 2.0, 6.0]
    assert 'max="3"' in page and 'value="2"' in page


def test_a_name_is_text_and_never_markup(tmp_path: Path) -> None:
    page = write_demo_page(_demo_folder(tmp_path, "</script><script>alert(1)</script>")).read_text()
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 2


def test_results_of_another_command_are_refused(tmp_path: Path) -> None:
    _demo_folder(tmp_path)
    (tmp_path / "results.json").write_text((tmp_path / "compare" / "rooms" / "results.json").read_text())
    with pytest.raises(DepthcueError, match="compare-edges, not demo"):
        write_demo_page(tmp_path)
