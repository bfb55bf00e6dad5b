"""Wrong specs say what is allowed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.data import open_data
from depthcue.errors import DepthcueError


@pytest.mark.parametrize("spec", ["", "nyu", "nyu:", "imagenet:x", "/some/path", "scenes", ":x"])
def test_an_unknown_spec_shows_what_is_allowed(spec: str) -> None:
    with pytest.raises(DepthcueError) as caught:
        open_data(spec)
    assert repr(spec) in caught.value.message
    assert all(kind in str(caught.value.hint) for kind in ("scenes:indoor", "nyu:PATH", "kitti:PATH", "folder:PATH"))


@pytest.mark.parametrize("kind", ["nyu", "kitti", "folder"])
def test_a_missing_path_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="gone"):
        open_data(f"{kind}:{tmp_path / 'gone'}")


def test_a_folder_without_the_lists_names_the_list_it_wants(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=r"nyu2_train\.csv"):
        open_data(f"nyu:{tmp_path}", "train")


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="at least 1, got 0"):
        open_data(f"folder:{tmp_path}", limit=0)


@pytest.mark.parametrize("name", ["lr=0.1,bs=32", "10:30", "scenes:indoor", "a,b=c:d", "[x]*?"])
def test_a_folder_of_any_name_is_opened(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    Image.new("RGB", (32, 24)).save(Path(name) / "a=1,b:2.png")
    for path in (name, tmp_path / name):
        assert open_data(f"folder:{path}", frame_size=(24, 32)).frames([0]).names == ["a=1,b:2.png"]


def test_a_list_is_guessed_and_mistakes_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((48, 64), 2000, np.uint16)).save(tmp_path / "a_depth.png")
    (tmp_path / "list.csv").write_text("a.png,a_depth.png\n")
    assert open_data(str(tmp_path / "list.csv")).spec == f"nyu:{tmp_path / 'list.csv'}"
    for spec, near in ((str(tmp_path), f"Did you mean folder:{tmp_path}?"), ("scene:indoor", "scenes:indoor?"),
                       ("foldr:x", "folder:x?")):
        with pytest.raises(DepthcueError) as caught:
            open_data(spec)
        assert near in (caught.value.hint or "")
