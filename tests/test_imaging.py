"""Geometry, scaling, colours and panels."""

import numpy as np
import pytest
from PIL import Image

from depthcue import imaging
from depthcue.colours import Look, colour_scale
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


def patched(level=(180, 60, 40), size=(6, 8)):
    """A picture of one colour and a mask that keeps its right half."""
    rgb = np.full((*size, 3), level, np.uint8)
    mask = np.zeros(size, np.float32)
    mask[:, size[1] // 2:] = 1
    return rgb, mask


def test_overlay_keeps_colours_of_kept_pixels_and_turns_the_others_grey_and_dim():
    rgb, mask = patched()
    shown = imaging.overlay(rgb, mask).astype(int)
    assert (shown[:, 4:] == rgb[:, 4:]).all()
    hidden = shown[0, 0]
    assert np.ptp(hidden) < 0.4 * np.ptp(rgb[0, 0].astype(int)) and hidden.mean() < 0.8 * rgb[0, 0].mean()
    assert (imaging.overlay(rgb, mask, Look(opacity=0.0)) == rgb).all()
    white, mask = patched((255, 255, 255))
    assert 80 < imaging.overlay(white, mask)[0, 0].mean() < 180  # dim, and not black


def test_heat_shows_the_colours_of_the_mask_over_the_grey_picture():
    rgb, mask = patched((120, 120, 120))
    shown = imaging.overlay(rgb, mask, Look("heat", 1.0, "viridis")).astype(int)
    assert np.abs(shown[0, 0] - 120).max() <= 1  # nothing of the lowest colour
    np.testing.assert_allclose(shown[0, 7], colour_scale("viridis")[255], atol=1)
    assert (np.abs(imaging.overlay(rgb, mask, Look("heat", 0.5))[0, 7].astype(int) - shown[0, 7]).max()) > 20


def test_contour_draws_a_line_outside_of_what_is_kept_and_leaves_the_rest():
    rgb, mask = patched((90, 90, 90), (40, 40))
    shown = imaging.overlay(rgb, mask, Look("contour"))
    changed = (shown != rgb).any(axis=2)
    assert changed[:, 19].all() and changed.sum() == 40
    assert shown[0, 19, 0] > 200 > shown[0, 19, 2]  # amber
    assert (imaging.overlay(np.zeros((900, 900, 3), np.uint8), np.eye(900, dtype=np.float32), Look("contour")) > 0
            ).any(axis=2).sum() > 3 * 1700  # thicker in a larger picture


@pytest.mark.parametrize(("look", "hint"), [
    (Look("kepd"), "Did you mean kept"), (Look(mask_colours="virdis"), "Did you mean viridis"),
    (Look(depth_colours="nothing-like-it"), "viridis, cividis"), (Look(opacity=2.0), "0 shows the picture"),
    (Look(opacity=float("nan")), "0 shows the picture")])
def test_looks_that_cannot_be_are_refused_with_what_can(look, hint):
    with pytest.raises(DepthcueError) as caught:
        look.checked()
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["inferno", "dusk"])
def test_default_colours_get_steadily_lighter_or_darker(name):
    light = colour_scale(name).astype(float) @ (0.2126, 0.7152, 0.0722)
    steps = np.diff(light[::8])
    assert (steps > 0).all() or (steps < 0).all()


def test_our_inferno_is_matplotlibs():
    from matplotlib import colormaps

    theirs = colormaps["inferno"](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(colour_scale("inferno") - theirs).max() < 10


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


def text_columns(panel, rows):
    """Columns in which something light stands in these rows."""
    return np.flatnonzero((panel[rows].max(axis=2) > 120).any(axis=0))


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (72, 96), (90, 40), (600, 260)])
def test_panel_captions_are_whole_and_stay_over_their_tiles(size):
    tile = np.zeros((*size, 3), np.uint8)
    labels = ["picture", "depth from all pixels", "depth from the kept pixels"]
    shown = imaging.panel([tile] * 3, labels)
    cut = imaging.panel([tile] * 3, [labels[0], labels[1], labels[2] + " " + "x" * 200])
    assert shown.shape[1] == cut.shape[1]
    width = (shown.shape[1] - 6) // 3
    columns = text_columns(shown, slice(0, 60))
    for number in range(3):  # nothing is written into the gaps
        assert not ((columns >= number * width) & (columns < 6 + number * width)).any()
    size_, lines = imaging._caption_size(tuple(labels), width - 6, 20)
    font = imaging.ImageFont.load_default(size_)
    assert all(len(imaging._wrapped(label, width - 6, font)) <= lines for label in labels)


def test_panel_has_a_colour_bar_with_metres_whose_size_does_not_depend_on_them():
    tile = np.zeros((120, 160, 3), np.uint8)
    def drawn(bar):
        return imaging.panel([tile, tile], ["picture", "depth"], [None, bar])

    near, far = drawn(imaging.ColourBar(1, 10)), drawn(imaging.ColourBar(0.5, 80))
    assert near.shape == far.shape and (near != far).any()
    plain = imaging.panel([tile, tile], ["picture", "depth"])
    assert near.shape[0] > plain.shape[0]
    left, right = near.shape[1] // 2 + 12, near.shape[1] - 12
    strip = near[plain.shape[0] - 20:].astype(int)
    assert ((strip[:, left].sum(axis=1) > 450) & (strip[:, right].sum(axis=1) < 220)).any()  # near pale, far dark
    assert (drawn(imaging.ColourBar(1, 10, "")) != near).any()


@pytest.mark.parametrize(("near", "far"), [(1.2, 9.3), (2.4, 3.7), (0.05, 0.06), (3, 3.15), (0.5, 80), (900, 20_000)])
def test_ticks_are_round_few_and_inside(near, far):
    ticks = imaging._ticks(near, far)
    assert 3 <= len(ticks) <= 12 and near <= ticks[0] + 1e-9 and ticks[-1] <= far + 1e-9
    assert all(len(f"{tick:.6g}".strip("0.").replace(".", "")) <= 3 for tick in ticks)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2000), (2000, 3), (2600, 2600)])
def test_panel_of_any_size_has_a_reasonable_size(height, width):
    shown = imaging.panel([np.zeros((height, width, 3), np.uint8)] * 2, ["a", "b"])
    assert max(shown.shape) < 2700 and shown.shape[2] == 3


def test_a_real_picture_survives(shared_data):
    folder = shared_data / "nyu2" / "test"
    path = next(path for path in sorted(folder.iterdir()) if path.suffix in {".png", ".jpg"})
    rgb = np.asarray(Image.open(path).convert("RGB"))
    mask = np.zeros(rgb.shape[:2], np.float32)
    assert 0.3 * rgb.mean() < imaging.overlay(rgb, mask).mean() < 0.8 * rgb.mean()


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
