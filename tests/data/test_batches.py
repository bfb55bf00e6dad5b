"""Depth follows the picture through every change of view; a batch depends on seed, step and rank alone."""

import dataclasses
import threading
import time
from collections.abc import Sequence

import pytest
import torch

from depthcue.data.batches import (
    IMAGENET_MEAN,
    NONE,
    PUBLISHED,
    STRONG,
    Augmentation,
    BatchLoader,
    blur,
    grey,
    hue_rotation,
    pca_light,
    recolour,
    training_batch,
)
from depthcue.data.stored import Frames, RgbdBatch
from depthcue.errors import DepthcueError

VIEWS = [
    Augmentation(flip=True), Augmentation(rotation_deg=15.0), Augmentation(zoom=1.5),
    Augmentation(crop=0.8, crop_anywhere=True),
    Augmentation(flip=True, rotation_deg=5.0, crop=0.95, crop_anywhere=True, zoom=1.5),
]


def marked_frames(count: int, height: int = 120, width: int = 160) -> Frames:
    """A bright square on black, off the centre, and the same square at 4 m before a wall at 2 m."""
    rgb = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    depth_m = torch.full((count, 1, height, width), 2.0)
    rgb[:, :, 40:56, 90:106] = 255
    depth_m[:, :, 40:56, 90:106] = 4.0
    return Frames(rgb, depth_m, torch.ones_like(depth_m, dtype=torch.bool), [str(index) for index in range(count)])


def centroid(weights: torch.Tensor) -> torch.Tensor:
    """Mean row and column, as shares of the sides: (B, 2) of (B, 1, H, W)."""
    shares = weights / weights.sum((2, 3), keepdim=True)
    rows = (torch.arange(weights.shape[2]) + 0.5) / weights.shape[2]
    columns = (torch.arange(weights.shape[3]) + 0.5) / weights.shape[3]
    return torch.stack([(shares.sum(3)[:, 0] * rows).sum(1), (shares.sum(2)[:, 0] * columns).sum(1)], dim=1)


@pytest.mark.parametrize("policy", VIEWS)
@pytest.mark.parametrize("size", [(120, 160), (72, 96), (33, 44)])
def test_depth_follows_the_picture(policy: Augmentation, size: tuple[int, int], generator: torch.Generator) -> None:
    frames = marked_frames(16)
    batch = training_batch(frames, size, (60, 80), policy, generator)
    assert batch.depth_m is not None and batch.valid is not None and frames.depth_m is not None
    nearest = batch.depth_m.where(batch.valid, torch.inf).amin((1, 2, 3), keepdim=True)
    marker = (batch.depth_m > nearest * 1.5) & batch.valid
    moved = centroid(marker.float())
    # half a pixel of the depth map is the most that nearest sampling can be off; the centroid averages over many
    torch.testing.assert_close(centroid(batch.rgb[:, :1]), moved, atol=0.5 / 60, rtol=0)
    assert (moved - centroid(frames.depth_m - 2)).abs().amax() > 0.02  # it did move


def test_without_a_policy_the_frame_stays_as_it_is(generator: torch.Generator) -> None:
    rgb = torch.randint(0, 256, (2, 3, 24, 32), dtype=torch.uint8, generator=generator)
    depth_m = torch.rand(2, 1, 24, 32, generator=generator) + 1
    frames = Frames(rgb, depth_m, depth_m > 1.5, ["a", "b"])
    batch = training_batch(frames, (24, 32), (24, 32), NONE, generator)
    torch.testing.assert_close(batch.rgb, rgb / 255, atol=1e-5, rtol=0)
    assert batch.depth_m is not None and batch.valid is not None
    assert torch.equal(batch.valid, depth_m > 1.5)
    assert torch.equal(batch.depth_m, torch.where(depth_m > 1.5, depth_m, 0))


def test_halving_takes_the_depths_that_pillow_takes(generator: torch.Generator) -> None:
    depth_m = torch.rand(1, 1, 24, 32, generator=generator) + 1
    frames = Frames(torch.zeros(1, 3, 24, 32, dtype=torch.uint8), depth_m, depth_m > 0, ["a"])
    batch = training_batch(frames, (12, 16), (12, 16), NONE, generator)
    assert batch.depth_m is not None and torch.equal(batch.depth_m, depth_m[:, :, 1::2, 1::2])


def test_zoom_divides_depth_and_enlarges(generator: torch.Generator) -> None:
    frames = marked_frames(24)
    batch = training_batch(frames, (120, 160), (120, 160), Augmentation(zoom=1.5), generator)
    assert batch.depth_m is not None and batch.valid is not None and batch.valid.all()
    wall_m = batch.depth_m.amin((1, 2, 3))
    zoom = 2.0 / wall_m
    assert zoom.min() >= 1 and zoom.max() <= 1.5 and zoom.max() - zoom.min() > 0.2
    area = (batch.depth_m > 1.5 * wall_m[:, None, None, None]).sum((1, 2, 3))
    torch.testing.assert_close(area / 256, zoom**2, rtol=0.12, atol=0)  # a 16 px square, one pixel either way


def test_flip_is_exact_and_takes_half(generator: torch.Generator) -> None:
    frames = marked_frames(64)
    batch = training_batch(frames, (120, 160), (120, 160), Augmentation(flip=True), generator)
    flipped = torch.tensor([torch.equal(picture, original.flip(-1)) for picture, original in
                            zip((batch.rgb * 255).round().to(torch.uint8), frames.rgb, strict=True)])
    assert 16 < flipped.sum() < 48
    assert batch.depth_m is not None and frames.depth_m is not None
    assert torch.equal(batch.depth_m[flipped], frames.depth_m[flipped].flip(-1))
    assert torch.equal(batch.depth_m[~flipped], frames.depth_m[~flipped])


def test_corners_turned_in_are_not_valid_but_hold_picture(generator: torch.Generator) -> None:
    frames = marked_frames(8)
    frames.rgb[:] = 200
    batch = training_batch(frames, (60, 80), (60, 80), Augmentation(rotation_deg=15.0), generator)
    assert batch.depth_m is not None and batch.valid is not None
    assert 0.005 < (~batch.valid).float().mean() < 0.2
    assert (batch.depth_m[~batch.valid] == 0).all() and batch.valid[:, :, 20:40, 30:50].all()
    torch.testing.assert_close(batch.rgb, torch.full_like(batch.rgb, 200 / 255), atol=1e-5, rtol=0)


def test_shrinking_does_not_alias(generator: torch.Generator) -> None:
    stripes = torch.zeros(1, 3, 240, 320, dtype=torch.uint8)
    stripes[..., ::2] = 255
    for size in ((120, 160), (60, 80), (24, 32), (150, 200)):
        batch = training_batch(Frames(stripes, None, None, ["a"]), size, None, NONE, generator)
        assert batch.rgb.std() < 0.16, size  # the stripes alone have 0.5


def test_the_same_generator_state_gives_the_same_batch() -> None:
    frames = marked_frames(4)
    first, second, other = (training_batch(frames, (60, 80), (30, 40), STRONG, torch.Generator().manual_seed(seed))
                            for seed in (1, 1, 2))
    assert torch.equal(first.rgb, second.rgb) and not torch.equal(first.rgb, other.rgb)
    assert first.depth_m is not None and second.depth_m is not None
    assert torch.equal(first.depth_m, second.depth_m)


def test_no_chance_comes_from_the_global_generator(generator: torch.Generator) -> None:
    before = torch.get_rng_state()
    training_batch(marked_frames(2), (60, 80), (30, 40), STRONG, generator)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("policy", [PUBLISHED, STRONG])
def test_results_stay_in_range(policy: Augmentation, generator: torch.Generator) -> None:
    rgb = torch.randint(0, 256, (16, 3, 48, 64), dtype=torch.uint8, generator=generator)
    batch = training_batch(Frames(rgb, None, None, [""] * 16), (36, 48), None, policy, generator)
    assert batch.rgb.dtype == torch.float32 and batch.rgb.min() >= 0 and batch.rgb.max() <= 1
    assert batch.rgb.isfinite().all() and batch.depth_m is None


def test_lighting_is_the_published_shift() -> None:
    # along the first axis alone: 0.1 standard deviations of 0.2175, direction as published
    expected = 0.1 * 0.2175 * torch.tensor([-0.5675, -0.5808, -0.5836])
    torch.testing.assert_close(pca_light(torch.tensor([[0.1, 0.0, 0.0]]))[0], expected)


def test_lighting_shifts_all_pixels_alike_by_a_tenth(generator: torch.Generator) -> None:
    rgb = torch.full((2000, 3, 2, 2), 0.5)
    shift = recolour(rgb, Augmentation(lighting=0.1), generator) - rgb
    assert torch.equal(shift[:, :, 0, 0], shift[:, :, 1, 1])
    assert shift[:, 0, 0, 0].std().item() == pytest.approx(0.1 * 0.2175 * 0.5675, rel=0.1)  # first axis rules


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_spans_its_range(name: str, generator: torch.Generator) -> None:
    rgb = torch.tensor([0.3, 0.4, 0.5])[None, :, None, None].repeat(500, 1, 2, 2)
    rgb[:, :, 0] += 0.1
    policy = dataclasses.replace(NONE, **{name: 0.4})
    after = recolour(rgb, policy, generator)
    measured = {"brightness": lambda x: x.mean((1, 2, 3)), "contrast": lambda x: grey(x).std((1, 2, 3)),
                "saturation": lambda x: (x - grey(x)).std((1, 2, 3))}[name]
    factor = measured(after) / measured(rgb)
    assert factor.min() == pytest.approx(0.6, abs=0.02) and factor.max() == pytest.approx(1.4, abs=0.02)
    if name == "saturation":
        torch.testing.assert_close(grey(after), grey(rgb))


def test_hue_keeps_greys_and_luma(generator: torch.Generator) -> None:
    turn = hue_rotation(torch.tensor([0.7]))[0]
    torch.testing.assert_close(turn @ torch.full((3,), 0.4), torch.full((3,), 0.4), atol=2e-3, rtol=0)
    colour = torch.rand(3, generator=generator)
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(luma @ (turn @ colour), luma @ colour)
    torch.testing.assert_close(hue_rotation(torch.zeros(1))[0], torch.eye(3), atol=1e-5, rtol=0)


def test_blur_keeps_the_mean_and_has_the_asked_width() -> None:
    picture = torch.zeros(2, 3, 41, 41)
    picture[:, :, 20, 20] = 1
    blurred = blur(picture, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(2, 3))
    offsets = (torch.arange(41) - 20.0) ** 2
    width = (blurred[:, 0].sum(1) * offsets).sum(1).sqrt()
    torch.testing.assert_close(width, torch.tensor([1.0, 2.0]), rtol=0.06, atol=0)  # cut at 2.5 of the largest sigma


def test_erasing_fills_one_rectangle_with_the_mean_colour(generator: torch.Generator) -> None:
    rgb = torch.zeros(200, 3, 40, 40)
    after = recolour(rgb, Augmentation(erased_share=0.5), generator)
    erased = after[:, 0] > 0
    assert 70 < erased.flatten(1).any(1).sum() < 130
    torch.testing.assert_close(after.amax((0, 2, 3)), torch.tensor(IMAGENET_MEAN))
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.sum((1, 2)), rows * columns)  # a full rectangle
    assert rows.max() <= 17 and columns.max() <= 17


def test_depth_asked_of_frames_without_is_an_error(generator: torch.Generator) -> None:
    frames = Frames(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), None, None, ["a"])
    with pytest.raises(DepthcueError, match="depth"):
        training_batch(frames, (8, 8), (4, 4), NONE, generator)


@pytest.mark.gpu
def test_the_view_is_the_same_on_a_gpu() -> None:
    frames = marked_frames(4)
    policy = dataclasses.replace(STRONG, noise=0.0)
    there = Frames(frames.rgb.cuda(), frames.depth_m.cuda() if frames.depth_m is not None else None,
                   frames.valid.cuda() if frames.valid is not None else None, frames.names)
    here_batch, there_batch = (training_batch(some, (60, 80), (30, 40), policy, torch.Generator().manual_seed(1))
                               for some in (frames, there))
    # interpolation weights differ in the last bits
    torch.testing.assert_close(here_batch.rgb, there_batch.rgb.cpu(), atol=2e-3, rtol=0)


class Numbered:
    """A data set whose frame i is of colour i and depth i + 1 metres; frame `broken` cannot be read."""

    max_depth_m = 10.0

    def __init__(self, count: int, spec: str = "numbered", has_depth: bool = True, broken: int | None = None) -> None:
        self.spec = spec
        self.count = count
        self.has_depth = has_depth
        self.broken = broken

    def __len__(self) -> int:
        return self.count

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        if self.broken in indices:
            raise DepthcueError("cannot read frame", "put it right")
        values = torch.tensor(indices, device=device)[:, None, None, None]
        depth_m = (values + 1.0).expand(-1, 1, 16, 16)
        return Frames(values.to(torch.uint8).expand(-1, 3, 16, 16).contiguous(), depth_m, depth_m > 0,
                      [f"{self.spec}-{index}" for index in indices])

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        raise NotImplementedError


def loader(*data: Numbered, batch_size: int = 4, seed: int = 0, rank: int = 0, world_size: int = 1) -> BatchLoader:
    return BatchLoader(data or [Numbered(40)], batch_size, (8, 8), (4, 4), STRONG, seed, rank, world_size)


def same(first: RgbdBatch, second: RgbdBatch) -> bool:
    assert first.depth_m is not None and second.depth_m is not None
    return (first.names == second.names and torch.equal(first.rgb, second.rgb)
            and torch.equal(first.depth_m, second.depth_m))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    one, two = loader(), loader()
    two.batch(17)
    assert same(one.batch(3), two.batch(3))
    assert not same(one.batch(3), one.batch(4))
    assert not same(one.batch(3), loader(seed=1).batch(3))


def test_a_resumed_run_sees_what_the_unbroken_run_sees() -> None:
    unbroken = list(loader().batches(0, 14))  # crosses the end of a pass
    resumed = list(loader().batches(5, 14))
    assert len(unbroken) == 14
    assert all(same(*pair) for pair in zip(unbroken[5:], resumed, strict=True))


def test_a_pass_shows_every_frame_once_and_passes_differ() -> None:
    some = loader()
    assert some.epoch_length == 10
    passes = [[index for step in range(start, start + 10) for index in some.indices(step)[0]] for start in (0, 10)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(40))
    assert passes[0] != passes[1] and passes[0] != sorted(passes[0])


def test_ranks_share_one_batch_without_overlap() -> None:
    alone = loader(batch_size=8)
    ranks = [loader(batch_size=4, rank=rank, world_size=2) for rank in (0, 1)]
    assert ranks[0].epoch_length == alone.epoch_length == 5
    for step in range(5):
        parts = [rank.indices(step)[0] for rank in ranks]
        assert not set(parts[0]) & set(parts[1])
        assert parts[0] + parts[1] == alone.indices(step)[0]
    assert not torch.equal(ranks[0].batch(0).rgb, ranks[1].batch(0).rgb)


def test_several_data_sets_give_equal_parts() -> None:
    some = loader(Numbered(40, "a"), Numbered(6, "b"), batch_size=5)
    batch = some.batch(2)
    assert [name[0] for name in batch.names] == list("aaabb")
    assert batch.rgb.shape == (5, 3, 8, 8) and batch.depth_m is not None and batch.depth_m.shape == (5, 1, 4, 4)
    assert some.epoch_length == 14
    assert len({name for step in range(3) for name in some.batch(step).names if name[0] == "b"}) == 6


def test_an_error_ahead_is_raised_where_batches_are_taken() -> None:
    taken = []
    with pytest.raises(DepthcueError, match="cannot read frame"):
        for batch in loader(Numbered(40, broken=7)).batches(0):
            taken.append(batch)
    assert len(taken) < 10
    assert not any(thread.name == "batches" for thread in threading.enumerate())


def test_leaving_early_ends_the_thread() -> None:
    batches = loader().batches(0)
    next(batches)
    time.sleep(0.05)
    batches.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "batches" for thread in threading.enumerate())


def test_without_depth() -> None:
    plain = Numbered(8, "plain", has_depth=False)
    assert BatchLoader([plain], 4, (8, 8), None, NONE, 0).batch(0).depth_m is None
    with pytest.raises(DepthcueError, match="plain has no depth"):
        BatchLoader([plain], 4, (8, 8), (4, 4), NONE, 0)
    with pytest.raises(DepthcueError, match="at least 2, a picture from each of 2 data sets, got 1"):
        loader(plain, plain, batch_size=1)
