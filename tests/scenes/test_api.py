"""Rooms and roads as others use them: the same for a seed, complete, plausible."""

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.scenes import KINDS, render
from depthcue.scenes.api import build_world

SIZE = {"indoor": (48, 64), "road": (40, 128)}
PER_PIXEL = ("rgb", "depth_m", "valid", "normal", "object_id", "material_id", "albedo")
PER_FRAME = ("horizon_row", "vanishing_point", "focal_px", "exposure")


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_the_same_frame_in_any_batch(kind: str) -> None:
    many = render(kind, [11, 12, 13, 14, 15], *SIZE[kind])
    build_world.cache_clear()
    other = render(kind, [15, 13], *SIZE[kind])
    for name in (*PER_PIXEL, *PER_FRAME):
        assert torch.equal(getattr(many, name)[2], getattr(other, name)[1]), name
    for name, mark in many.edges.items():
        assert torch.equal(mark[4], other.edges[name][0]), name
    assert not torch.equal(many.rgb[0], many.rgb[1])


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_is_complete(kind: str) -> None:
    height, width = SIZE[kind]
    rendering = render(kind, range(6), height, width)
    assert rendering.rgb.shape == (6, 3, height, width) and rendering.rgb.dtype == torch.float32
    assert rendering.rgb.min() >= 0 and rendering.rgb.max() <= 1 and not rendering.rgb.isnan().any()
    assert rendering.depth_m.shape == rendering.valid.shape == rendering.object_id.shape == (6, 1, height, width)
    assert torch.equal(rendering.valid, rendering.depth_m.isfinite()) and (rendering.depth_m > 0).all()
    assert torch.equal(rendering.valid, rendering.object_id >= 0) and torch.equal(rendering.valid,
                                                                                  rendering.material_id > 0)
    length = rendering.normal.norm(dim=1, keepdim=True)
    torch.testing.assert_close(length, rendering.valid.float(), rtol=0, atol=1e-5)
    assert set(rendering.edges) == {"occlusion", "crease", "texture", "shadow"}
    for mark in rendering.edges.values():
        assert mark.shape == (6, 1, height, width) and mark.dtype == torch.bool and mark.any()
    for frame, objects in enumerate(rendering.objects):
        assert rendering.object_id[frame].max() < len(objects)


def test_rooms_have_the_depths_of_rooms() -> None:
    depth = render("indoor", range(24), 36, 48).depth_m
    medians = depth.flatten(1).median(1).values
    assert depth.isfinite().all() and depth.max() < 20 and depth.min() > 0.2
    assert 2.0 < medians.median() < 3.3 and medians.min() > 0.8 and medians.max() < 6


def test_roads_have_ground_below_and_mostly_sky_or_far_things_above() -> None:
    rendering = render("road", range(16), 40, 128)
    bottom = rendering.depth_m[:, 0, -1]
    assert 3 < bottom.median() < 9
    assert 0.02 < (~rendering.valid).float().mean() < 0.5
    assert (rendering.horizon_row - 19.5).abs().max() < 8


@pytest.mark.parametrize(("arguments", "words"), [
    (("garden", [1], 20, 20), "indoor, road"), (("indoor", [], 20, 20), "no seeds"), (("road", [1], 0, 20), "20x0")])
def test_mistakes_are_named(arguments: tuple[str, list[int], int, int], words: str) -> None:
    with pytest.raises(DepthcueError) as caught:
        render(*arguments)
    assert words in str(caught.value)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_draws_the_same_frame(kind: str) -> None:
    height, width = SIZE[kind]
    here, there = (render(kind, range(8), height, width, device) for device in ("cpu", "cuda"))
    same = here.object_id == there.object_id.cpu()
    # fused multiply-adds move borders by a rounding error
    assert same.float().mean() > 0.995
    close = (here.rgb - there.rgb.cpu()).abs().amax(1, keepdim=True) < 0.02
    assert close[same].float().mean() > 0.98
