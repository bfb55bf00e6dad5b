"""A batch depends on seed, step and rank alone; what goes wrong ahead is seen where batches are taken."""

import threading
import time
from collections.abc import Sequence

import pytest
import torch

from depthcue.data import NONE, STRONG, BatchLoader, Frames, RgbdBatch
from depthcue.errors import DepthcueError


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
