"""Depth as points: where they lie, what a .ply holds, what a recording holds, and depth colours that follow a video."""

import logging
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import ENCODINGS
from depthcue.nets.base import MaskDescription
from depthcue.nets.catalog import warn_of_other_target
from depthcue.runtime.point_clouds import POINT, Recording, check_field_of_view, cloud_of
from depthcue.runtime.saving import _SteadyScale


def read_ply(content):
    """The points of a binary .ply, read by its own header."""
    header, _, body = content.partition(b"end_header\n")
    lines = header.decode().splitlines()
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    points = np.frombuffer(body, np.dtype(fields))
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"] and len(points) == count
    return points


def test_points_lie_where_a_camera_of_that_width_has_them():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:20, :, 0], rgb[:, 30:, 2] = 200, 100
    depth = np.full((40, 60), 2.0, np.float32)
    kept = np.zeros((40, 60), bool)
    kept[:, :6] = True
    points = read_ply(ENCODINGS["ply"].encode(cloud_of(depth, rgb, kept, 90.0)))
    assert len(points) == 2400 and points.dtype == POINT and points["kept"].sum() == 240
    # 90 degrees: at 2 m the edges of the picture are 2 m to the sides, but for half a pixel
    assert points["x"].max() == pytest.approx(2 * 59 / 60, abs=1e-5) and points["x"].min() == -points["x"].max()
    assert points["y"].max() == pytest.approx(2 * 39 / 60, abs=1e-5)
    assert (points["z"] == -2).all()
    upper, right = points["y"] > 0, points["x"] > 0
    assert (points["red"][upper] == 200).all() and (points["red"][~upper] == 0).all()
    assert (points["blue"][right] == 100).all()


def test_a_squeezed_depth_map_gives_the_same_room_and_unknown_depth_no_points():
    rgb = np.zeros((40, 80, 3), np.uint8)
    square = cloud_of(np.full((40, 40), 3.0, np.float32), rgb, np.ones((40, 40), bool), 60.0)
    whole = cloud_of(np.full((40, 80), 3.0, np.float32), rgb, np.ones((40, 80), bool), 60.0)
    assert square["y"].max() == pytest.approx(whole["y"].max(), abs=1e-5)
    depth = np.full((40, 40), 3.0, np.float32)
    depth[0, 0], depth[0, 1], depth[0, 2] = np.nan, np.inf, 0
    assert len(cloud_of(depth, rgb, np.ones((40, 40), bool), 60.0)) == 1597


@pytest.mark.parametrize("degrees", [0.0, 180.0, float("nan")])
def test_an_angle_that_no_picture_has_is_refused(degrees):
    with pytest.raises(DepthcueError, match="--fov"):
        check_field_of_view(degrees)


def test_a_recording_appears_whole_and_holds_every_frame(tmp_path):
    rerun = pytest.importorskip("rerun")
    rgb = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    depth, kept = np.full((24, 32), 2.0, np.float32), np.eye(24, 32, dtype=bool)
    path = tmp_path / "a.rrd"
    with Recording(path, 60.0) as recording:
        for number in range(3):
            recording.add("clip", Fraction(number, 25), rgb, kept.astype(np.uint8) * 255, (depth, depth), kept, True)
        assert not path.exists()
    content = path.read_bytes()
    assert content[:3] == b"RRF" and len(content) > 1000
    for entity in (b"/scene/kept", b"/scene/all", b"/picture", b"/mask", b"/depth/all"):
        assert entity in content or hasattr(rerun, "dataframe")  # chunks may be compressed
    with pytest.raises(ZeroDivisionError), Recording(tmp_path / "b.rrd", 60.0):
        _ = 1 / 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.rrd"]
    with pytest.raises(DepthcueError, match=r"\.rrd"):
        Recording(tmp_path / "a.bin", 60.0)


def test_depth_colours_widen_at_once_and_narrow_slowly():
    scale = _SteadyScale()

    def seen(far, at):
        return scale.ends(np.geomspace(1.0, far, 1000, dtype=np.float32).reshape(20, 50), Fraction(at))

    first = seen(4, 0)
    assert first[1] == pytest.approx(3.94, abs=0.05)  # the 99th percentile
    steps = [seen(16, Fraction(number, 10)) for number in range(1, 11)]
    ratios = np.diff(np.log([first[1], *(far for _, far in steps)]))
    assert (ratios >= 0).all() and ratios.max() < 0.5 and steps[-1][1] > 13  # in a second, without a jump
    back = [seen(4, 1 + Fraction(number, 10)) for number in range(1, 11)]
    assert back[-1][1] > 9  # after a second still most of it
    assert seen(4, 40)[1] < 4.5
    assert scale.ends(np.full((4, 4), np.nan, np.float32), Fraction(41))[0] > 0


def test_a_mask_net_of_another_depth_net_is_warned_of(caplog, tmp_path):
    def warned(weights, target, expected="compact-indoor"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            warn_of_other_target(MaskDescription("m", expected, 32, 32, 16, default_lambda=2.0), weights, target)
        return caplog.text

    assert "was trained for the depth net compact-indoor, not for hf:some/net" in warned("w.safetensors", "hf:some/net")
    assert not warned("w.safetensors", "compact-indoor") and not warned("general", "hf:some/net")
    net = tmp_path / "net.safetensors"
    net.write_bytes(b"")
    assert not warned("w", str(tmp_path / "." / "net.safetensors"), str(net))


def test_points_csv_and_style_through_the_whole_job(weights, tmp_path):
    import csv

    from depthcue import imaging
    from depthcue.colours import Look
    from depthcue.progress import Silent
    from depthcue.runtime import MaskOptions, mask_sources
    from depthcue.runtime.saving import Drawing

    generator = np.random.default_rng(1)
    rgb = imaging.resize_rgb(generator.integers(0, 256, (5, 7, 3), dtype=np.uint8), 46, 61)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    options = MaskOptions(weights=str(weights), backend="torch", device="cpu", keep=0.25,
                          save=("points", "overlay", "binary"), drawing=Drawing(Look("contour"), 90.0))
    summary = mask_sources([str(tmp_path / "a.png"), str(tmp_path / "absent.png")], tmp_path / "out", options, Silent())
    points = read_ply((tmp_path / "out" / "a_points.ply").read_bytes())
    assert len(points) == points["kept"].sum() * 4 and (points["z"] < 0).all()
    binary = np.asarray(Image.open(tmp_path / "out" / "a_binary.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a_overlay.png")),
                                  imaging.overlay(rgb, imaging.grey8(binary), Look("contour")))
    assert summary["options"]["drawing"]["look"]["style"] == "contour"
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    good, bad = rows[str(tmp_path / "a.png")], rows[str(tmp_path / "absent.png")]
    assert float(good["share_kept"]) == pytest.approx(0.25, abs=0.01) and float(good["depth_change"]) >= 0
    assert good["error"] == "" and "does not exist" in bad["error"]
