"""Layouts of RGB-D data in folders: no depth map is taken for a photograph, and none goes to another's picture."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from depthcue.data import open_data
from depthcue.errors import DepthcueError

SIZE = (24, 32)


def depth_m(number: int) -> np.ndarray:
    """As many half metres as the picture's number, and a pixel without."""
    values = np.full(SIZE, 1 + number / 2, np.float32)
    values[0, 0] = 0
    return values


def write_exr(path: Path, values: np.ndarray, pix_fmt: str = "grayf32le", **options: str) -> None:
    encoder = av.CodecContext.create("exr", "w")
    encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = *values.shape[:2], pix_fmt, Fraction(1, 25)
    encoder.options = options
    frame = av.VideoFrame(encoder.width, encoder.height, pix_fmt)
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(plane), np.float32).reshape(plane.height, -1)
        rows[:, :plane.width] = values if values.ndim == 2 else values[..., number]
    path.write_bytes(b"".join(bytes(packet) for part in (frame, None) for packet in encoder.encode(part)))


def write(root: Path, name: str, number: int, unit: float = 0.001) -> None:
    """A picture as light as its number; or a depth map, where the name says so or is an array's."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, depth_m(number))
    elif path.suffix == ".npz":
        np.savez(path, depth=depth_m(number))
    elif path.suffix == ".exr":
        write_exr(path, depth_m(number))
    elif "depth" in name.lower():
        Image.fromarray(np.rint(depth_m(number) / unit).astype(np.uint16)).save(path)
    else:
        Image.fromarray(np.full((*SIZE, 3), 40 + 12 * number, np.uint8)).save(path)


def check(root: Path, count: int, names: list[str] | None = None) -> None:
    """That each picture has the depth of its own number, in metres, and that there are no other pictures."""
    data = open_data(f"folder:{root}", frame_size=SIZE)
    batch = data.evaluation_batch(list(range(len(data))))
    assert len(data) == count and data.has_depth
    for rgb, depth, valid in zip(batch.rgb, batch.depth_m, batch.valid, strict=True):
        number = round((float(rgb.mean()) * 255 - 40) / 12)
        assert float(depth[0, 5, 5]) == pytest.approx(1 + number / 2, rel=1e-3)
        assert not valid[0, 0, 0] and bool(valid[0, 1:, 1:].all())
    if names is not None:
        assert data.frames(list(range(count))).names == names


@pytest.mark.parametrize(("picture", "depth"), [
    ("rgb/{:04d}.jpg", "depth/{:04d}.png"), ("color/{}.jpg", "depth/{}.png"), ("Color/{}.PNG", "Depth/{}.PNG"),
    ("image/{}.png", "depth/{}.npy"), ("images/{}.jpg", "DEPTH/{}.npz"), ("RGB/{}.jpg", "depth/{}.exr"),
    ("scene1/rgb/{}.jpg", "scene1/depth/{}.png"), ("rgb/scene1/{}.jpg", "depth/scene1/{}.png"),
    ("seq-01/frame-{:06d}.color.png", "seq-01/frame-{:06d}.depth.png"), ("rgb_{:05d}.jpg", "sync_depth_{:05d}.png"),
    ("{}_colors.png", "{}_depth.png"), ("a/{}.jpg", "a/{}_DEPTH.png"), ("{}.jpg", "{}.npz"), ("{}.jpg", "{}.exr"),
    ("{}.jpg", "depth/{}.npz"), ("{}.jpg", "Depth/{}.png"), ("images/img_{}.jpg", "depth_maps/depth_{}.png"),
    ("RGBImage{}.png", "DepthImage{}.png"), ("left/rgb/{}.png", "left/depth_raw/{}.png"),
    ("frames/{}.jpg", "groundtruth_depth/{}.png"), ("{}.jpg", "{}_depth.npy"), ("pic[{}].jpg", "depth/pic[{}].png"),
])
def test_layouts_are_paired(tmp_path, picture, depth):
    for number in range(3):
        write(tmp_path, picture.format(number), number)
        write(tmp_path, depth.format(number), number)
    check(tmp_path, 3, sorted(picture.format(number) for number in range(3)))


def test_scenes_do_not_borrow_from_each_other(tmp_path):
    for number, scene in enumerate(("a", "b", "left_{}", "right_{}")):
        for kind in ("rgb", "depth"):
            write(tmp_path, f"{scene.format(kind) if '{}' in scene else f'{scene}/{kind}'}/0001.png", number)
    check(tmp_path, 4)


def test_labels_and_normals_beside_are_neither(tmp_path, caplog):
    for number in range(2):
        for name in ("color/{}.jpg", "depth/{}.png", "label-filt/{}.png", "instance/{}.png", "normals/{}.png"):
            write(tmp_path, name.format(number), number)
    with caplog.at_level(logging.WARNING):
        check(tmp_path, 2, ["color/0.jpg", "color/1.jpg"])
    assert "6 files" in caplog.text and "label-filt" in caplog.text


@pytest.mark.parametrize("name", ["disparity/{}.png", "masks/{}.png", "{}_normal.png", "disp_other/0{}.png"])
def test_what_lies_beside_pictures_without_depth_is_no_photograph(tmp_path, caplog, name):
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 9, 9)).save(tmp_path / f"{number}.png")
        path = tmp_path / name.format(number)
        path.parent.mkdir(exist_ok=True)
        Image.new("I;16" if "disp" in name else "RGB", (8, 8), number).save(path)
    with caplog.at_level(logging.WARNING):
        data = open_data(f"folder:{tmp_path}", frame_size=SIZE)
    assert len(data) == 2 and not data.has_depth and "2 files" in caplog.text


def test_photographs_alone_may_be_called_anything_else(tmp_path):
    for number, name in enumerate(("masks/a.png", "image/b.png", "normal day.jpg", "deep sea.jpg", "rgb/c.png")):
        write(tmp_path, name, number)
    np.save(tmp_path / "embeddings.npy", np.zeros(7))
    data = open_data(f"folder:{tmp_path}", frame_size=SIZE)
    assert len(data) == 5 and not data.has_depth


@pytest.mark.parametrize("names", [
    ("depth/0.png", "depth/1.png"), ("a.jpg", "depth/b.png"), ("rgb/a.jpg", "depth/b.npy"),
    ("holiday/a.jpg", "depth/a.png"), ("a_depth.png",), ("rgb/a.jpg", "depth/a.jpg"), ("a.jpg", "b_Depth.tif"),
])
def test_a_doubt_is_refused_with_names(tmp_path, names):
    for number, name in enumerate(names):
        if name.endswith("a.jpg") and "depth" in name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (32, 24)).save(tmp_path / name)
        else:
            write(tmp_path, name, number)
    with pytest.raises(DepthcueError, match="named as depth maps") as caught:
        open_data(f"folder:{tmp_path}", frame_size=SIZE)
    assert Path(names[-1]).name in caught.value.message


def test_the_folder_of_depth_maps_itself_is_refused(tmp_path):
    for number in range(2):
        write(tmp_path, f"depth/{number}.png", number)
    with pytest.raises(DepthcueError, match="named as depth maps"):
        open_data(f"folder:{tmp_path / 'depth'}", frame_size=SIZE)
    (tmp_path / "in_depth").mkdir()
    write(tmp_path / "in_depth", "a.jpg", 1)  # a photograph of three colours is one, whatever its folder
    assert len(open_data(f"folder:{tmp_path / 'in_depth'}", frame_size=SIZE)) == 1


def test_two_depth_maps_of_one_picture_are_a_doubt(tmp_path):
    for name in ("rgb/a.jpg", "depth_raw/a.png", "depth_filled/a.png"):
        write(tmp_path, name, 1)
    with pytest.raises(DepthcueError, match="several depth maps(?s:.*)depth_filled"):
        open_data(f"folder:{tmp_path}", frame_size=SIZE)


def write_recording(root: Path, count: int = 5, unit: float = 1 / 5000, delay: float = 0.0149) -> None:
    for number in range(count):
        write(root, f"rgb/{1305031100 + number + 0.175304:.6f}.png", number)
        write(root, f"depth/{1305031100 + number + 0.175304 - delay:.6f}.png", number, unit)


def test_recordings_are_associated_by_the_nearest_time(tmp_path):
    write_recording(tmp_path)
    write(tmp_path, "depth/1305031101.172000.png", 1, 1 / 5000)  # nearer than the one 15 ms away
    (tmp_path / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n")
    check(tmp_path, 5)


def test_pictures_of_a_recording_without_a_partner_are_left_out_and_counted(tmp_path, caplog):
    write_recording(tmp_path / "desk")
    write(tmp_path / "desk", "rgb/1305031200.000000.png", 9)
    with caplog.at_level(logging.WARNING):
        check(tmp_path, 5)
    assert "1 of 6 pictures" in caplog.text and "1305031200" in caplog.text


@pytest.mark.parametrize("row", [
    "{time} rgb/{n}.png {time} depth/{m}.png", "{time} depth/{m}.png {time} rgb/{n}.png"])
@pytest.mark.parametrize("name", ["associations.txt", "associate.txt", "assoc.txt"])
def test_recordings_are_associated_by_their_list(tmp_path, name, row):
    for number in range(4):
        write(tmp_path, f"rgb/{number}.png", number)
        write(tmp_path, f"depth/{number + 1}.png", number, 1 / 5000)
    rows = [row.format(time=number / 30, n=number, m=number + 1) for number in range(4)]
    (tmp_path / name).write_text("# comment\n" + "\n".join(rows))
    check(tmp_path, 4)


def test_recordings_are_associated_by_the_times_of_two_lists(tmp_path):
    for number in range(4):
        write(tmp_path, f"rgb/r{number}.png", number)
        write(tmp_path, f"depth/d{number}.png", number, 1 / 5000)
    for kind, letter, delay in (("rgb", "r", 0.0), ("depth", "d", 0.012)):
        rows = [f"{10 + number + delay:.6f} {kind}/{letter}{number}.png" for number in range(4)]
        (tmp_path / f"{kind}.txt").write_text("# timestamp filename\n" + "\n".join(rows))
    check(tmp_path, 4)


def test_times_that_never_meet_are_refused(tmp_path):
    write_recording(tmp_path, delay=0.3)
    with pytest.raises(DepthcueError, match="named as depth maps"):
        open_data(f"folder:{tmp_path}", frame_size=SIZE)


def test_a_saturated_reading_is_none(tmp_path):
    write(tmp_path, "frame-0.color.png", 2)
    stored = np.rint(depth_m(2) * 1000).astype(np.uint16)
    stored[0, 0] = 65535  # how 7-Scenes writes what it does not know
    Image.fromarray(stored).save(tmp_path / "frame-0.depth.png")
    check(tmp_path, 1)


@pytest.mark.parametrize(("pix_fmt", "options"), [
    ("grayf32le", {"format": "half", "compression": "zip16"}), ("grayf32le", {"compression": "rle"}),
    ("gbrpf32le", {})])
def test_kinds_of_exr(tmp_path, pix_fmt, options):
    write(tmp_path, "a.jpg", 3)
    write_exr(tmp_path / "a.exr", depth_m(3), pix_fmt, **options)
    check(tmp_path, 1)


@pytest.mark.parametrize("channel", [b"Z", b"V", b"R", b"D"])
def test_exr_of_one_channel_of_any_letter(tmp_path, channel):
    write(tmp_path, "a.jpg", 3)
    write(tmp_path, "a.exr", 3)
    content = (tmp_path / "a.exr").read_bytes()
    assert content.count(b"chlist\0\x13\0\0\0Y\0") == 1
    (tmp_path / "a.exr").write_bytes(content.replace(b"chlist\0\x13\0\0\0Y\0", b"chlist\0\x13\0\0\0" + channel + b"\0"))
    check(tmp_path, 1)


def test_arrays_and_exr_that_hold_more_than_depth_are_named(tmp_path, caplog):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write(tmp_path, name, 1)
    np.savez(tmp_path / "a.npz", left=depth_m(1), right=depth_m(2))
    write_exr(tmp_path / "b.exr", np.dstack([depth_m(1), depth_m(2), depth_m(3)]), "gbrpf32le")
    np.save(tmp_path / "c.npy", np.array([{"depth": 1}]), allow_pickle=True)
    with caplog.at_level(logging.WARNING), pytest.raises(DepthcueError, match="none of the 3 pictures"):
        open_data(f"folder:{tmp_path}", frame_size=SIZE)
    assert "left, right" in caplog.text and "channels that differ" in caplog.text


def test_real_frames_of_a_walk(shared_data):
    data = open_data(f"folder:{shared_data / 'sequence'}", limit=5)
    assert len(data) == 5 and data.has_depth
    batch = data.evaluation_batch(range(5))
    assert 0.3 < float(batch.depth_m[batch.valid].median()) < 8
