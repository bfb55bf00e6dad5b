"""What sources become: kinds, order, names, and errors that say what was found."""

import os
import sys
from pathlib import Path

import pytest

from depthcue.errors import DepthcueError
from depthcue.frames.inputs import find_inputs, natural_key, sequence_files, stream_inputs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files whose contents do not matter here."""
    for name in ("f10.png", "f9.png", "F2.JPG", "walk/clip.mp4", "walk/deep/f1.png", "notes.txt", ".hidden.png",
                 ".git/x.png"):
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "pics"


def names(sources: list[str], **options: object) -> list[str]:
    return [found.name for found in find_inputs(sources, **options)]  # type: ignore[arg-type]


def test_a_folder_gives_pictures_and_videos_in_natural_order(tree):
    found = find_inputs([str(tree)])
    assert [item.name for item in found] == ["F2", "f9", "f10", "walk/clip", "walk/deep/f1"]
    assert [item.kind for item in found] == ["image", "image", "image", "video", "image"]
    assert all(item.path.is_file() for item in found)


def test_single_files_are_named_by_their_stem_and_order_is_the_users(tree):
    assert names([str(tree / "walk/clip.mp4"), str(tree / "f9.png")]) == ["clip", "f9"]


def test_globs_are_relative_to_their_fixed_part(tree, monkeypatch):
    assert names([str(tree / "f*.png")]) == ["f9", "f10"]
    assert names([str(tree / "**" / "*.png")]) == ["f9", "f10", "walk/deep/f1"]
    monkeypatch.chdir(tree)
    assert names(["*/*.mp4"]) == ["walk/clip"]
    assert names(["wal?"]) == ["walk/clip", "walk/deep/f1"]


def test_what_is_named_twice_is_taken_once(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names(["f9.png", str(tree / "f9.png"), "./walk/../f9.png", "f*.png"]) == ["f9", "f10"]


def test_a_literal_name_wins_over_a_glob_and_a_pattern(tmp_path):
    for name in ("a[1].png", "b_%d.png"):
        (tmp_path / name).touch()
    found = find_inputs([str(tmp_path / "a[1].png"), str(tmp_path / "b_%d.png")])
    assert [item.kind for item in found] == ["image", "image"]


def test_names_never_collide(tmp_path):
    files = ["a.jpg", "a.png", "A.webp", "one/b.png", "two/b.png", "one/two/b.png", "a_jpg.png", "x/a.jpg", "y/x/a.jpg"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    singly = names([str(tmp_path / name) for name in files])
    assert len({name.casefold() for name in singly}) == len(files)
    assert names([str(tmp_path / "a.jpg"), str(tmp_path / "a.png")]) == ["a_jpg", "a_png"]
    assert names([str(tmp_path / "one/b.png"), str(tmp_path / "two/b.png")]) == ["one_b_png", "two_b_png"]
    whole = names([str(tmp_path)])
    assert len({name.casefold() for name in whole}) == len(files)


def test_names_never_lead_out_of_the_output_folder(tree, monkeypatch):
    monkeypatch.chdir(tree / "walk")
    for name in names(["../f9.png", "..", "../*.png", "../**/*.png", "../../pics/f10.png"]):
        assert ".." not in Path(name).parts and not Path(name).is_absolute()


def test_results_inside_the_source_are_not_read_again(tree):
    (tree / "out").mkdir()
    (tree / "out" / "f9_mask.png").touch()
    assert "out/f9_mask" in names([str(tree)])
    assert "out/f9_mask" not in names([str(tree)], without=tree / "out")
    assert names([str(tree / "**" / "*mask.png"), str(tree / "f9.png")], without=tree / "out",
                 on_error=lambda source, error: None) == ["f9"]


def test_link_loops_end(tree):
    os.symlink(tree, tree / "walk" / "again")
    assert len(names([str(tree)])) == 5


def test_a_frame_pattern_is_one_input(tmp_path):
    for number in (1, 2, 7):
        (tmp_path / f"frame_{number:05d}.png").touch()
    (tmp_path / "frame_8.png").touch()
    (tmp_path / "frame_00009.jpg").touch()
    pattern = tmp_path / "frame_%05d.png"
    found = find_inputs([str(pattern)])
    assert [(item.kind, item.name, item.path) for item in found] == [("sequence", "frame", pattern)]
    assert [number for number, _ in sequence_files(pattern)] == [1, 2, 7]
    assert [number for number, _ in sequence_files(tmp_path / "frame_%d.png")] == [8]


def test_a_pattern_of_numbers_alone_is_named_by_its_folder(tmp_path):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "0001.png").touch()
    assert names([str(tmp_path / "walk" / "%04d.png")]) == ["walk"]


def test_natural_order():
    given = ["b/1", "a10", "a9", "A2", "a/2", "a/10", "a", "1"]
    assert sorted(given, key=natural_key) == ["1", "a", "a/2", "a/10", "A2", "a9", "a10", "b/1"]


@pytest.mark.parametrize(("source", "says"), [
    ("missing/deep/a.png", "does not exist"),
    ("", "empty path"),
    ("notes.txt", "ending in .txt"),
    ("plain", "without a suffix"),
    ("phone.heic", "HEIC"),
    ("empty", "holds nothing"),
    ("texts", r"2 files \(2 .txt\)"),
    ("*.gif", "matches nothing"),
    ("*.txt", r"1 file \(1 .txt\) but no picture"),
    ("frame_%05d.png", "no file matches"),
    ("frame_%05d.mp4", "must be pictures"),
    ("missing/frame_%05d.png", "does not exist"),
])
def test_each_wrong_source_says_what_was_found(tmp_path, monkeypatch, source, says):
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "plain", "phone.heic", "texts/a.txt", "texts/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DepthcueError, match=says) as caught:
        find_inputs([source])
    assert caught.value.hint


def test_one_wrong_source_leaves_the_others(tree):
    wrong: list[str] = []
    found = find_inputs([str(tree / "f9.png"), "nowhere.png", str(tree / "walk")],
                        on_error=lambda source, error: wrong.append(f"{source}: {error.message}"))
    assert len(found) == 3
    assert wrong == ["nowhere.png: nowhere.png does not exist"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_names_that_are_not_utf8_give_outputs_whose_names_are(tmp_path):
    for name in (b"caf\xe9.jpg", b"caf\xe8.jpg", b"d\xfc/a.png", b"d\xfc/a.jp\xe9g"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    found = find_inputs([str(tmp_path)])
    assert sorted(item.name for item in found) == ["caf%E8", "caf%E9", "d%FC/a"]
    assert all(item.path.exists() for item in found)
    open(os.path.join(os.fsencode(tmp_path), b"d\xfc/a.jpg"), "w").close()
    deep = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"d\xfc"))
    assert sorted(names([deep, os.path.join(deep, "..", os.fsdecode(b"caf\xe9.jpg"))])) == ["a_jpg", "a_png", "caf%E9"]


def test_a_stream_gives_the_same_as_a_list(tree, tmp_path):
    for name in ("a.jpg", "a.png", "A.webp", "walk.jpg", "walk/a.jpg", "walk/clip.mkv", "Walk2/b.png"):
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tree / "out").mkdir()
    (tree / "out" / "a_mask.png").touch()
    os.symlink(tree / "walk", tree / "walk" / "loop", target_is_directory=True)
    os.symlink(tree / "a.jpg", tree / "z.jpg")
    os.symlink(tree / "nowhere.jpg", tree / "y.jpg")
    for sources in ([str(tree)], [str(tree), str(tree / "a.jpg")], [str(tree / "*.png")], [str(tree / "f9.png")]):
        assert list(stream_inputs(sources, tree / "out")) == find_inputs(sources, tree / "out")


def test_a_stream_gives_its_first_before_it_has_seen_the_rest(tree, monkeypatch):
    looked = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scan(folder))
    stream = stream_inputs([str(tree)])
    assert next(stream).name == "F2" and looked == [tree]
    assert [each.name for each in stream] == ["f9", "f10", "walk/clip", "walk/deep/f1"] and len(looked) == 3


def test_a_stream_tells_what_gives_nothing(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DepthcueError, match="holds no picture"):
        list(stream_inputs([str(tmp_path)]))
    told = []
    assert list(stream_inputs([str(tmp_path)], on_error=lambda source, error: told.append(source))) == []
    assert told == [str(tmp_path)]


def test_folders_that_differ_by_case_alone_in_a_stream(tmp_path):
    for name in ("A/x.jpg", "a/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [each.name.casefold() for each in stream_inputs([str(tmp_path)])]
    assert len(set(names)) == len(names)
