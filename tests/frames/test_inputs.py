"""What sources become: kinds, order, names, and errors that say what was found."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import kinds, load_picture
from depthcue.frames.inputs import RESULT_KINDS, find_inputs, natural_key, sequence_files, stream_inputs, unique_names
from depthcue.runtime.saving import SAVE_KINDS


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


@pytest.mark.skipif(os.name != "posix", reason="pipes are files on POSIX alone")
def test_a_link_to_itself_and_a_pipe_are_inputs_that_cannot_be_read(tree):
    (tree / "loop.png").symlink_to("loop.png")
    pipes = ("pipe_depth.png", "pipe.ts", "pipe_disp.tif")
    for name in pipes:  # whoever opened one would wait
        os.mkfifo(tree / name)
    for found in (find_inputs([str(tree)]), list(stream_inputs([str(tree)]))):
        assert {*pipes, "loop.png", "f9.png"} - {each.path.name for each in found} <= {"loop.png"}
    path = tree / "loop.png"
    assert path in [each.path for each in stream_inputs([str(tree)])]
    with pytest.raises(DepthcueError, match="loop.png"):
        load_picture(path)


@pytest.mark.parametrize("name", ["disparity/a.png", "b_disp.tif", "c-Disparity.png"])
def test_disparity_maps_are_no_photographs(tmp_path, name):
    for path in (tmp_path / name, tmp_path / "road.png", tmp_path / "disp.jpg"):
        path.parent.mkdir(exist_ok=True)
        Image.new("I;16" if path == tmp_path / name else "L", (4, 4)).save(path)
    assert {each.path.name for each in stream_inputs([str(tmp_path)])} == {"road.png", "disp.jpg"}


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
    ("camera.CR2", "raw files"),
    ("index.ts", "is text"),
    ("nothing.ts", "is empty"),
    ("raws", r"no picture and no video: it holds 2 files \(2 .nef\)"),
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
    monkeypatch.setattr(kinds, "_has_heif", lambda: False)
    for name in ("notes.txt", "plain", "phone.heic", "texts/a.txt", "texts/b.txt", "camera.CR2", "nothing.ts",
                 "raws/a.nef", "raws/b.NEF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "index.ts").write_text("export const a = 1;\n")
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


@pytest.mark.parametrize(("key", "name"), [("../../a/b", "_/_/a/b"), ("/a//./b", "a/b"), ("..", "_"), (".", "unnamed")])
def test_a_name_leads_nowhere_else(key, name):
    assert unique_names([(Path("b.png"), "image", key)]) == [name]


def test_a_path_too_long_for_any_file_is_told():
    with pytest.raises(DepthcueError, match="cannot be looked for"):
        find_inputs(["a" * 5000])


UNREAD = ("a.HEIC", "b.cr2", "c.NEF", "d.dng", "e.jxl", "f.psd", "g.exr", "h.braw", "deep/i.arw")


@pytest.mark.parametrize("pattern", ["", "**/*", "*"])
def test_what_is_known_and_not_read_is_named(tmp_path, monkeypatch, caplog, pattern):
    monkeypatch.setattr(kinds, "_has_heif", lambda: False)
    for name in (*UNREAD, "j.jpg", "k.txt", "Makefile", ".hidden.cr2", "._a.HEIC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    skipped: list[tuple[str, str]] = []
    found = find_inputs([str(tmp_path / pattern)], on_skip=lambda path, why: skipped.append((path, why)))
    assert [item.name for item in found] == ["j"]
    assert sorted(Path(path).relative_to(tmp_path).as_posix() for path, _ in skipped) == sorted(UNREAD)
    for name in UNREAD:
        assert Path(name).name in caplog.text
    assert "depthcue[heif]" in caplog.text and "4 files" in caplog.text


def test_pictures_that_pillow_was_built_without_are_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(kinds, "_pillow_reads", lambda feature: False)
    for name in ("a.avif", "b.jp2", "c.jpg"):
        (tmp_path / name).touch()
    assert names([str(tmp_path)]) == ["c"]
    assert "a.avif" in caplog.text and "b.jp2" in caplog.text and "built without AVIF" in caplog.text


def test_many_of_a_kind_are_counted_in_one_line(tmp_path, caplog):
    for number in range(40):
        (tmp_path / f"{number}.nef").touch()
    (tmp_path / "a.jpg").touch()
    assert names([str(tmp_path)]) == ["a"]
    assert len(caplog.records) == 1 and "40 files" in caplog.text and "and 35 more" in caplog.text


def test_every_suffix_has_one_meaning():
    sets = [kinds.IMAGE_SUFFIXES, kinds.VIDEO_SUFFIXES, kinds.HEIF_SUFFIXES, frozenset(kinds._UNREAD)]
    assert sum(map(len, sets)) == len(frozenset.union(*sets))


@pytest.mark.parametrize("content", [
    b"export const speed = 9;\n", "// größe\nlet a\r\n".encode("latin-1"), "let a = 1\n".encode("utf-16"),
    b'<?xml version="1.0"?>\n<!DOCTYPE TS>\n<TS></TS>\n', b"", b"\xef\xbb\xbfimport x\n" * 1000])
@pytest.mark.parametrize("name", ["index.ts", "module.mts", "TYPES.D.TS"])
def test_source_text_is_no_video(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "hero.png").touch()
    for source in (tmp_path, tmp_path / "*"):
        assert names([str(source)]) == ["hero"]
    with pytest.raises(DepthcueError, match="is text|is empty"):
        find_inputs([str(tmp_path / name)])


@pytest.mark.parametrize("name", ["a.ts", "a.mts", "a.m2ts"])
def test_transport_streams_are_videos_whole_or_damaged(make_video, tmp_path, name):
    path = make_video("whole.ts", codec="libx264")
    content = path.read_bytes()
    path.unlink()
    for part in (content, content[100:], content[:300]):
        (tmp_path / name).write_bytes(part)
        assert [item.kind for item in find_inputs([str(tmp_path)])] == ["video"]


@pytest.mark.parametrize("folder", ["shoot[1]", "a*b", "what?", "[x]/[y]", "deep/[2024] trip"])
def test_globs_in_folders_whose_names_hold_signs_of_globs(tmp_path, monkeypatch, folder):
    for name in ("a.jpg", "b.png", "sub[0]/c.jpg"):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    assert names([f"{folder}/*.jpg"]) == ["a"]
    assert names([str(tmp_path / folder / "*")]) == ["a", "b", "sub[0]/c"]
    assert names([f"{folder}/**/*.jpg"]) == ["a", "sub[0]/c"]
    assert names([f"{folder}/sub[0]/?.jpg"]) == ["c"]
    assert [Path(name).name for name in names(["*/*.jpg" if "/" not in folder else "*/*/*.jpg"])] == ["a"]


def test_brackets_behind_a_glob_may_be_a_name(tmp_path, monkeypatch):
    for name in ("day1/cam[0]/a.jpg", "day2/cam[0]/a.jpg", "day1/cam1/b.jpg", "day1/cam[0]/b[1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert names(["day?/cam[0]/a.jpg"]) == ["day1/cam[0]/a", "day2/cam[0]/a"]
    assert names(["day?/cam[1]/*.jpg"]) == ["day1/cam1/b"]
    assert names(["day1/cam[0]/b[1].*"]) == ["b[1]"]


@pytest.mark.parametrize("source", ["", "*", "**/*.png"])
def test_results_may_go_into_the_source_itself(tmp_path, source):
    made = ["a.png", "b.png", "c_mask.png", "deep/a.png", "a_b.png"]
    for name in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    wanted = names([str(tmp_path / source)], without=tmp_path)
    assert sorted(wanted) == sorted(name.removesuffix(".png") for name in made)
    for kind in RESULT_KINDS:
        for name in wanted:
            (tmp_path / f"{name}_{kind}.png").touch()
    (tmp_path / "b_frames").mkdir()
    (tmp_path / "b_frames" / "000000_raw.png").touch()
    assert names([str(tmp_path / source)], without=tmp_path) == wanted


@pytest.mark.parametrize("source", ["pics", "pics/*", "pics/*.png"])
def test_results_may_go_into_a_folder_above_the_source(tmp_path, monkeypatch, source):
    (tmp_path / "pics").mkdir()
    for name in ("pics/a.png", "pics/a_mask.png", "a_mask.png"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert names([source], without=Path(".")) == ["a", "a_mask"]


def test_names_of_results_are_those_that_are_written():
    assert set(RESULT_KINDS) == set(SAVE_KINDS)


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


@pytest.mark.parametrize("out", ["", "deep", "nowhere"])
def test_a_stream_leaves_out_the_same_as_a_list(tmp_path, caplog, out):
    for name in ("a.png", "a.jpg", "a_jpg_mask.png", "b.mp4", "b_frames/000000_raw.png", "b_overlay.mp4", "c_mask.png",
                 "d.nef", "deep/a.png", "deep/a_raw.png", "deep/e.psd", "deep/g_frames/1.png", "f.ts"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("let a = 1" if name == "f.ts" else "")

    def found(find):
        skipped = []
        inputs = list(find([str(tmp_path)], tmp_path / out, on_skip=lambda path, why: skipped.append((path, why))))
        reports = caplog.text.count("left out 1 file")
        caplog.clear()
        return inputs, sorted(skipped), reports

    assert found(stream_inputs) == found(find_inputs)
    assert len(found(stream_inputs)[0]) == {"": 6, "deep": 7, "nowhere": 10}[out]


def test_a_stream_gives_its_first_before_it_has_seen_the_rest(tree, monkeypatch):
    listed = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scan(folder))
    stream = stream_inputs([str(tree)])
    assert next(stream).name == "F2" and listed == [tree]
    assert [each.name for each in stream] == ["f9", "f10", "walk/clip", "walk/deep/f1"] and len(listed) == 3


def test_a_stream_tells_what_gives_nothing(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DepthcueError, match="holds no picture"):
        list(stream_inputs([str(tmp_path)]))
    reports = []
    assert list(stream_inputs([str(tmp_path)], on_error=lambda source, error: reports.append(source))) == []
    assert reports == [str(tmp_path)]


def test_folders_that_differ_by_case_alone_in_a_stream(tmp_path):
    for name in ("A/x.jpg", "a/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [each.name.casefold() for each in stream_inputs([str(tmp_path)])]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("beside", "mode", "left_out"), [("RGB", "L", True), ("RGB", "I;16", True), ("L", "L", False),
                                                           ("L", "I;16", True), ("RGB", "RGB", False)])
def test_grey_beside_a_jpeg_of_the_same_name_is_depth(tmp_path: Path, beside: str, mode: str, left_out: bool) -> None:
    Image.new(beside, (4, 4)).save(tmp_path / "1.jpg")
    Image.new(mode, (4, 4)).save(tmp_path / "1.png")
    reports: list[str] = []
    found = find_inputs([str(tmp_path)], on_skip=lambda name, why: reports.append(Path(name).name))
    assert len(found) == 2 - left_out and reports == ["1.png"] * left_out


def test_a_broken_png_beside_a_jpeg_is_not_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "1.jpg")
    (tmp_path / "1.png").write_bytes(b"no picture")
    assert len(find_inputs([str(tmp_path)])) == 2


def test_depth_maps_beside_photographs_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "set"
    for name, mode in (("color/0001.png", "RGB"), ("depth/0001.png", "I;16"), ("a_depth.tif", "I;16"),
                       ("depth_of_field.png", "RGB"), ("x_ray.png", "I;16")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (4, 4)).save(root / name)
    reports: list[tuple[str, str]] = []
    for find in (find_inputs, lambda sources, **more: list(stream_inputs(sources, **more))):
        reports.clear()
        found = find([str(root)], on_skip=lambda name, why: reports.append((Path(name).name, why)))
        assert {each.path.relative_to(root).as_posix() for each in found} == {
            "color/0001.png", "depth_of_field.png", "x_ray.png"}
        assert sorted(name for name, _ in reports) == ["0001.png", "a_depth.tif"]
    assert "depth maps are no photographs" in caplog.text
    # one that the user names is what the user wants
    assert len(find_inputs([str(root / "a_depth.tif")])) == 1
    with pytest.raises(DepthcueError, match="holds no picture(.|\n)*depth maps are no photographs"):
        find_inputs([str(root / "depth")])
