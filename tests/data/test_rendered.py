"""Rendered worlds as a data set."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from depthcue.data import Augmentation, KnownScenes, open_data, open_motion, rendered, training_batch
from depthcue.data.rendered import FIRST_TEST_SEED, RenderedData
from depthcue.errors import DepthcueError
from depthcue.evaluation.steadiness import matching_pixels

SMALL = {"indoor": (24, 32), "road": (24, 80)}


@pytest.mark.parametrize("kind", ["indoor", "road"])
def test_frames_are_the_same_however_they_are_asked_for(kind: str) -> None:
    first, second = (open_data(f"scenes:{kind}:20", "test", SMALL[kind]) for _ in range(2))
    together = first.frames([3, 5, 3])
    alone = second.frames([5])
    held = first.frames([5])
    assert together.rgb.dtype == torch.uint8 and together.rgb.shape == (3, 3, *SMALL[kind])
    assert torch.equal(together.rgb[1], alone.rgb[0]) and torch.equal(together.rgb[1], held.rgb[0])
    assert together.depth_m is not None and held.depth_m is not None and together.valid is not None
    assert torch.equal(together.rgb[0], together.rgb[2]) and torch.equal(together.depth_m[1], held.depth_m[0])
    assert (together.depth_m[~together.valid] == torch.inf).all()  # known to be far, not unknown
    depth_m = together.depth_m[together.valid]
    assert (depth_m > 0).all() and depth_m.max() <= first.max_depth_m
    assert together.valid.float().mean() > 0.3 and together.rgb.float().std() > 5


def test_splits_and_seeds_never_meet() -> None:
    sizes = SMALL["indoor"]
    names = [set(data.frames(range(3)).names) for data in (
        open_data("scenes:indoor", "train", sizes), open_data("scenes:indoor", "train", sizes, seed=1),
        open_data("scenes:indoor", "test", sizes))]
    assert len(set.union(*names)) == 9
    assert open_data("scenes:indoor", "test", sizes, seed=7).frames([0]).names[0] in names[2]
    latest = open_data("scenes:indoor", "train", sizes, seed=2**40)
    assert isinstance(latest, RenderedData) and latest.first_seed + 10_000_000 < FIRST_TEST_SEED


def test_counts() -> None:
    assert len(open_data("scenes:road", "train")) == 4000 and len(open_data("scenes:road", "test")) == 200
    assert len(open_data("scenes:road:50", "train", limit=7)) == 7 and len(open_data("scenes:road:5", limit=7)) == 5


def test_evaluation_shows_whole_frames() -> None:
    data = open_data("scenes:indoor:3", "test", SMALL["indoor"])
    batch, frames = data.evaluation_batch([0, 2]), data.frames([0, 2])
    assert torch.equal(batch.rgb, frames.rgb / 255) and batch.depth_m is not None and frames.depth_m is not None
    assert torch.equal(batch.depth_m, frames.depth_m)


def test_no_more_is_held_than_allowed() -> None:
    one_frame = 24 * 32 * 5
    data = RenderedData("scenes:indoor", "indoor", 0, 8, SMALL["indoor"], cache_bytes=3 * one_frame)
    first = data.frames(range(8))
    assert data._cache.held_bytes == 3 * one_frame
    assert torch.equal(data.frames(range(8)).rgb, first.rgb)


@pytest.mark.parametrize(("spec", "what"), [("scenes:moon", "'moon'"), ("scenes:indoor:many", "'many'"),
                                            ("scenes:indoor:0", "'0'")])
def test_a_wrong_kind_or_count_is_named(spec: str, what: str) -> None:
    with pytest.raises(DepthcueError, match=what) as caught:
        open_data(spec)
    assert "scenes:" in str(caught.value.hint)


def test_a_frame_beyond_the_last_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        open_data("scenes:indoor:3", "test", SMALL["indoor"]).frames([3])


def test_the_sky_stays_infinite_through_augmentation() -> None:
    data = open_data("scenes:road:2", "train", SMALL["road"])
    frames = data.frames([0, 1])
    assert frames.valid is not None and not frames.valid.all()
    policy = Augmentation(rotation_deg=5.0, zoom=1.5)
    batch = training_batch(frames, (16, 48), (16, 48), policy, torch.Generator().manual_seed(3))
    assert batch.depth_m is not None and batch.valid is not None
    assert batch.depth_m.isinf().any() and not batch.depth_m.isnan().any()
    assert batch.depth_m[batch.valid].isfinite().all() and (batch.depth_m[batch.valid] > 0).all()


def test_the_ends_of_the_range_survive_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    depth_m = torch.tensor([1e-6, 3.0, 10.0, 10.01, torch.inf])[None, None, None].expand(1, 1, 1, 5)
    rendering = SimpleNamespace(rgb=torch.zeros(1, 3, 1, 5), depth_m=depth_m, valid=depth_m.isfinite())
    monkeypatch.setattr(rendered, "render", lambda *_, **__: rendering)
    frames = RenderedData("scenes:indoor", "indoor", 0, 1, (1, 5)).frames([0])
    assert frames.depth_m is not None and frames.valid is not None
    assert frames.valid.flatten().tolist() == [True, True, True, False, False]
    assert frames.depth_m.flatten().tolist() == pytest.approx([0, 3, 10, torch.inf, torch.inf], abs=2e-4)


@pytest.mark.gpu
def test_a_gpu_renders_the_same_worlds() -> None:
    data = open_data("scenes:indoor:3", "test", (48, 64))
    here, there = data.frames([0, 1]), data.frames([0, 1], "cuda")
    assert here.depth_m is not None and there.depth_m is not None
    close = torch.isclose(here.depth_m, there.depth_m.cpu(), rtol=0, atol=0.01)
    assert close.float().mean() > 0.99  # rounding may move a silhouette by a pixel


@pytest.mark.parametrize("kind", ["indoor", "road"])
def test_the_truth_is_of_the_frames_that_are_shown(kind: str) -> None:
    data = open_data(f"scenes:{kind}:4", "test", SMALL[kind])
    assert isinstance(data, KnownScenes)
    truth, batch = data.truth([2, 0]), data.evaluation_batch([2, 0])
    assert batch.depth_m is not None and batch.valid is not None
    height, width = SMALL[kind]
    assert set(truth.edges) == {"occlusion", "crease", "texture", "shadow"}
    assert all(marks.shape == (2, 1, height, width) and marks.dtype == torch.bool for marks in truth.edges.values())
    # sky is what has no object, and the frames have no depth there
    assert not batch.valid[truth.object_id < 0].any()
    # the depth jumps more at occlusions than elsewhere
    steps = (batch.depth_m[..., 1:].clamp(max=100).log() - batch.depth_m[..., :-1].clamp(max=100).log()).abs()
    beside = (truth.edges["occlusion"][..., 1:] & truth.edges["occlusion"][..., :-1])
    assert steps[beside].mean() > 2 * steps[~beside].mean()
    for names, ids in zip(truth.objects, truth.object_id, strict=True):
        assert int(ids.max()) < len(names)
        assert ("floor" if kind == "indoor" else "road") in names
    assert truth.vanishing_point.shape == (2, 2) and truth.horizon_row.shape == (2,)
    assert truth.normal.shape == (2, 3, height, width) and truth.material_id.shape == truth.object_id.shape


def test_data_of_files_knows_no_scenes(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
    assert not isinstance(open_data(f"folder:{tmp_path}"), KnownScenes)


def test_the_truth_at_half_the_size() -> None:
    data = open_data("scenes:indoor:2", "test", (48, 64))
    assert isinstance(data, KnownScenes)
    truth = data.truth([0, 1])
    half = truth.at_size(24, 32)
    assert truth.at_size(48, 64) is truth
    marks = truth.edges["crease"]
    whole = marks[..., ::2, ::2] | marks[..., 1::2, ::2] | marks[..., ::2, 1::2] | marks[..., 1::2, 1::2]
    assert torch.equal(half.edges["crease"], whole)
    assert torch.equal(half.object_id, truth.object_id[..., 1::2, 1::2])
    # half a pixel of the large picture lies between its corner and the centre of its first pixel, a quarter of the
    # small one's
    assert torch.allclose(half.vanishing_point, truth.vanishing_point / 2 - 0.25, atol=1e-4)
    assert torch.allclose(half.horizon_row, truth.horizon_row / 2 - 0.25, atol=1e-4)


@pytest.mark.parametrize("kind", ["indoor", "road"])
def test_a_flight_knows_where_each_point_was(kind: str) -> None:
    data = open_motion(f"scenes:{kind}:3")
    batch = data.evaluation_batch(range(3))
    assert batch.depth_m is not None and data.follows(2) and not data.follows(0)
    depth_m = batch.depth_m[:, 0].numpy()
    rows, columns, both = matching_pixels(depth_m[0], depth_m[2], data.intrinsics, data.pose(0), data.pose(2))
    assert both.mean() > (0.7 if kind == "indoor" else 0.3)
    rgb = batch.rgb.numpy()
    moved, still = rgb[0][:, rows[both], columns[both]], rgb[0][:, both]
    here = rgb[2][:, both]
    assert np.abs(moved - here).mean() < 0.6 * np.abs(still - here).mean()
