"""Colours by name, and overlays as tables."""

import numpy as np
import pytest

from depthcue.colours import STYLES, Look, blend_of, colour_scale, outline, planes_of
from depthcue.errors import DepthcueError


@pytest.mark.parametrize(("name", "first", "last"), [
    ("inferno", (0, 0, 4), (252, 255, 164)), ("dusk", (253, 243, 196), (17, 13, 51)), ("gray", (0,) * 3, (255,) * 3)])
def test_a_scale_runs_between_its_anchors_and_is_read_only(name: str, first: tuple[int, ...],
                                                           last: tuple[int, ...]) -> None:
    scale = colour_scale(name)
    assert scale.shape == (256, 3) and tuple(scale[0]) == first and tuple(scale[255]) == last
    with pytest.raises(ValueError, match="read-only"):
        scale[0] = 0


def test_unknown_names_and_opacities_are_refused() -> None:
    with pytest.raises(DepthcueError, match="--colormap must be one of .*got 'infernno'") as refused:
        colour_scale("infernno")
    assert "inferno" in str(refused.value.hint)
    for look, says in ((Look(style="keep"), "--style must be"), (Look(opacity=1.5), "must be from 0 to 1"),
                       (Look(depth_colours="x"), "--depth-colormap must be")):
        with pytest.raises(DepthcueError, match=says):
            look.checked()
    assert Look(opacity=0.0).checked() == Look(opacity=0.0)


@pytest.mark.parametrize("style", STYLES)
def test_an_overlay_is_convex_and_without_opacity_the_picture(style: str) -> None:
    blend = blend_of(Look(style))
    white = 255 * (blend.kept + blend.grey)[:, None] + blend.ground
    assert blend.ground.min() >= 0 and white.max() <= 255 + 1e-9
    clear = blend_of(Look(style, opacity=0.0))
    assert (clear.kept == 1).all() and not clear.grey.any() and not clear.ground.any()


def test_kept_pixels_stay_as_they_are() -> None:
    blend = blend_of(Look("kept"))
    assert blend.kept[255] == 1 and blend.kept[0] == pytest.approx(1 - STYLES["kept"])
    luma, *chroma = (table.reshape(256, 256) for table in planes_of(Look("kept")))
    assert (luma[255] == np.arange(256)).all() and all((plane[255] == np.arange(256)).all() for plane in chroma)
    assert luma[0, 235] < 150


def test_an_outline_lies_around_what_is_kept() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[3:6, 3:6] = 128
    line = outline(mask)
    assert not line[3:6, 3:6].any() and set(np.unique(line)) == {0, 255}
    assert line[2, 3:6].all() and line[6, 3:6].all() and line[3:6, 2].all() and line[3:6, 6].all()
    assert not line[1].any() and not line[:, 7].any()
    assert not outline(np.full((9, 9), 127, np.uint8)).any()
