"""Steadiness of masks: pixels followed by geometry, overlaps that can be computed by hand, the shipped nets."""

from pathlib import Path

import numpy as np
import pytest

from depthcue.data import open_motion
from depthcue.errors import DepthcueError
from depthcue.evaluation.steadiness import (
    SteadinessSettings,
    matching_pixels,
    overlap,
    steadiness,
)
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.report.figures import LIGHT
from depthcue.report.page import section_of
from depthcue.results import MASK, STEADY, Steadiness, read_result

pytest.importorskip("cv2")
INTRINSICS = np.array([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]])


def test_pixels_of_a_wall_move_by_focal_length_times_shift_over_depth() -> None:
    wall = np.full((24, 32), 2.0, np.float32)
    pose = np.eye(4)
    pose[0, 3] = 0.2  # 40 * 0.2 / 2 = 4 pixels
    rows, columns, both = matching_pixels(wall, wall, INTRINSICS, np.eye(4), pose)
    assert both[:, :28].all() and not both[:, 28:].any()
    assert (columns[:, :28] == np.arange(4, 32)).all() and (rows[:, 0] == np.arange(24)).all()


def test_what_was_hidden_or_is_unknown_is_not_followed() -> None:
    wall = np.full((24, 32), 2.0, np.float32)
    nearer, unknown = wall.copy(), wall.copy()
    nearer[:12] = 1.0  # something stood before the upper half
    unknown[:, :3] = np.nan
    _, _, both = matching_pixels(nearer, unknown, INTRINSICS, np.eye(4), np.eye(4))
    assert not both[:12].any() and both[12:, 3:].all() and not both[:, :3].any()


def test_overlap_is_dices_coefficient() -> None:
    first, second = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    first[0], second[0, :3] = True, True
    assert overlap(first, second) == pytest.approx(2 * 3 / 8)
    assert overlap(first, first) == 1
    assert np.isnan(overlap(~first & first, ~first & first))


def test_the_shipped_mask_on_a_flight(tmp_path: Path) -> None:
    result = steadiness(load_mask_net("compact-indoor"), load_depth_net("compact-indoor"),
                        open_motion("scenes:indoor:12"), tmp_path, SteadinessSettings(("sobel", "random")))
    methods = result.ways
    assert result.pairs == 10  # nine of the first flight, one of the second
    assert methods["random"].overlap == pytest.approx(0.2, abs=0.02)
    assert methods["random"].overlap + 0.3 < methods[MASK].overlap < methods[STEADY].overlap < 1
    assert methods[MASK].overlap > methods[MASK].overlap_unaligned
    assert 0.8 < methods[STEADY]["rmse_times_mask"] < 1.2
    assert 0 < result.depth_change < 0.2

    again = read_result(tmp_path)
    assert isinstance(again, Steadiness) and again.to_dict() == result.to_dict()
    page = section_of(again, tmp_path)
    assert f"{methods[MASK].overlap:.1%}" in page.sentences[0]
    page.plots[0].draw([tmp_path / "plot.png"], LIGHT)
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_attributions_get_the_depth_net(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    result = steadiness(load_mask_net("compact-indoor"), load_depth_net("compact-indoor"),
                        open_motion("scenes:indoor:2"), tmp_path, SteadinessSettings(("gradient",)))
    assert 0 < result.ways["gradient"].overlap <= 1


def test_frames_that_do_not_follow_each_other_are_refused() -> None:
    mask_net, depth_net = load_mask_net("compact-indoor"), load_depth_net("compact-indoor")
    with pytest.raises(DepthcueError, match="no two frames in a row"):
        steadiness(mask_net, depth_net, open_motion("scenes:indoor:1"))
    with pytest.raises(DepthcueError, match="--keep"):
        steadiness(mask_net, depth_net, open_motion("scenes:indoor:3"), settings=SteadinessSettings(keep=1.0))
