"""Geometry, scaling, colours and panels."""

import numpy as np
import pytest
from PIL import Image

from depthcue import imaging
from depthcue.errors import DepthcueError


@pytest.mark.parametrize(("height", "width", "working", "expected"), [
    (480, 640, (144, 192), (144, 192)),  # the working aspect ratio, larger
    (3, 4, (144, 192), (144, 192)),  # the same, tiny
    (375, 1242, (96, 320), (96, 320)),  # nearly the same: rounding gives the working size
    (640, 480, (144, 192), (192, 144)),  # upright pictures keep upright
    (1, 1, (144, 192), (160, 160)),
])
def test_fit_size_keeps_aspect_ratio_and_area(height, width, working, expected):
    assert imaging.fit_size(height, width, working, 16) == expected


@pytest.mark.parametrize(("height", "width"), [(1, 100_000), (100_000, 1), (1080, 1920), (37, 1001)])
def test_fit_size_gives_multiples_and_bounds_the_area(height, width):
    h, w = imaging.fit_size(height, width, (144, 192), 16)
    assert h % 16 == 0 and w % 16 == 0 and min(h, w) >= 16
    assert h * w <= 1.5 * 144 * 192


def test_fit_size_refuses_what_cannot_be():
    with pytest.raises(DepthcueError, match="0x10"):
        imaging.fit_size(10, 0, (144, 192), 16)
    with pytest.raises(DepthcueError, match="multiples of 16"):
        imaging.fit_size(10, 10, (100, 192), 16)


def test_resize_map_is_bilinear_and_resize_rgb_keeps_colour_order():
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    grown = imaging.resize_map(ramp, 8, 16)
    assert grown.dtype == np.float32 and grown.shape == (8, 16)
    # centres of the fine pixels lie at (i + 0.5) / 2 - 0.5 of the coarse grid
    np.testing.assert_allclose(grown[3, 2:14], np.arange(2, 14) * 0.5 - 0.25, atol=1e-5)
    red = np.zeros((64, 48, 3), np.uint8)
    red[..., 0] = 200
    small = imaging.resize_rgb(red, 7, 5)
    assert small.shape == (7, 5, 3) and (small == [200, 0, 0]).all()
    assert imaging.resize_rgb(red[:, ::-1], 64, 48).shape == (64, 48, 3)


def test_resize_rgb_averages_where_it_shrinks():
    chequered = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = imaging.resize_rgb(np.repeat(chequered[..., None], 3, axis=2), 8, 8)
    assert abs(small.astype(int) - 128).max() <= 12  # nearest would give 0 and 255


def test_grey_scaling_uses_the_whole_range():
    values = np.array([[-1, 0, 0.5, 1, 2]], np.float32)
    assert imaging.grey8(values).tolist() == [[0, 0, 128, 255, 255]]
    assert imaging.grey16(values).tolist() == [[0, 0, 32768, 65535, 65535]]
    assert imaging.grey8(np.array([[False, True]])).tolist() == [[0, 255]]
    assert imaging.grey8(np.array([[3]], np.uint8)).tolist() == [[3]]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_overlay_darkens_what_is_hidden_and_warms_what_is_kept(level):
    rgb = np.full((4, 6, 3), level, np.uint8)
    mask = np.zeros((4, 6), np.float32)
    mask[:, 3:] = 1
    shown = imaging.overlay(rgb, mask).astype(int)
    hidden, kept = shown[0, 0], shown[0, 5]
    assert shown.shape == (4, 6, 3)
    assert hidden.max() <= 0.4 * level
    assert kept[0] - kept[2] > 60  # red well above blue: amber, whatever the picture's own brightness
    assert kept.sum() - hidden.sum() > 150


def test_depth_colours_run_monotonically_from_near_to_far():
    depth_m = np.array([[0.1, 0.5, 1, 2, 5, 10, 50, np.inf, np.nan, 0, -1]], np.float32)
    shown = imaging.colourise_depth(depth_m, 0.5, 10.0)[0].astype(int)
    light = shown.sum(axis=1)
    assert (shown[0] == shown[1]).all() and (shown[5] == shown[6]).all() and (shown[5] == shown[7]).all()
    assert (np.diff(light[1:6]) < 0).all()
    assert (shown[8:] == imaging.UNKNOWN_GREY).all()
    with pytest.raises(DepthcueError):
        imaging.colourise_depth(depth_m, 2.0, 1.0)


def test_mask_colours_grow_lighter():
    shown = imaging.colourise_mask(np.linspace(0, 1, 256, dtype=np.float32)[None])[0].astype(int)
    assert (np.diff((shown @ [299, 587, 114])[::5]) > 0).all()  # neighbours may tie or dip by rounding
    assert shown[0].max() < 10 and shown[-1].min() > 150


def test_panel_puts_tiles_side_by_side_and_wide_ones_under_each_other():
    red, blue = np.zeros((2, 91, 121, 3), np.uint8)
    red[..., 0] = 255
    blue[..., 2] = 255
    side_by_side = imaging.panel([red, blue], ["picture", "mask"])
    assert side_by_side.shape[0] % 2 == 0 and side_by_side.shape[1] % 2 == 0
    assert side_by_side.shape[1] >= 242
    row = side_by_side[60].tolist()
    assert [255, 0, 0] in row and [0, 0, 255] in row and row.index([255, 0, 0]) < row.index([0, 0, 255])
    stacked = imaging.panel([red[:30], blue[:30]], ["picture", "mask"])
    column = stacked[:, 60].tolist()
    assert column.index([255, 0, 0]) < column.index([0, 0, 255])


def test_panel_captions_stay_inside_their_tiles():
    tile = np.zeros((40, 100, 3), np.uint8)
    long = imaging.panel([tile], ["a very long caption that could never fit over such a small picture"])
    short = imaging.panel([tile], [""])
    assert long.shape == short.shape
    assert (long != short).any()
    assert (long[:, -4:] == short[:, -4:]).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2000), (2000, 3), (2600, 2600)])
def test_panel_of_any_size_has_a_reasonable_size(height, width):
    shown = imaging.panel([np.zeros((height, width, 3), np.uint8)] * 2, ["a", "b"])
    assert max(shown.shape) < 2700 and shown.shape[2] == 3


def test_a_real_picture_survives(shared_data):
    folder = shared_data / "nyu2" / "test"
    path = next(path for path in sorted(folder.iterdir()) if path.suffix in {".png", ".jpg"})
    rgb = np.asarray(Image.open(path).convert("RGB"))
    mask = np.zeros(rgb.shape[:2], np.float32)
    assert imaging.overlay(rgb, mask).mean() < 0.45 * rgb.mean()


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.333, 0.9, 1.0])
def test_top_pixels_are_exactly_the_share_and_the_highest(dtype, share):
    scores = np.random.default_rng(0).permutation(35 * 41).reshape(35, 41).astype(dtype)
    kept = imaging.top_pixels(scores, share)
    assert kept.dtype == np.bool_ and kept.sum() == round(share * 35 * 41)
    if 0 < share < 1:
        assert scores[kept].min() > scores[~kept].max()


def test_among_equal_pixels_a_flat_region_gives_scattered_ones():
    scores = np.zeros((40, 40), np.float32)
    scores[:10] = 1.0
    kept = imaging.top_pixels(scores, 0.5)
    assert kept[:10].all() and kept.sum() == 800
    assert np.ptp(kept[10:].reshape(6, -1).mean(axis=1)) < 0.3  # not the first rows
    np.testing.assert_array_equal(kept, imaging.top_pixels(scores, 0.5))
    assert (kept != imaging.top_pixels(scores, 0.5, seed=1)).any()
