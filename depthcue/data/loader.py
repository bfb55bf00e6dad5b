"""Batches for training, prepared ahead in a thread.

The content of a batch depends on nothing but (seed, step, rank): a resumed run asks for the step it stopped at and gets
what the unbroken run would have got. Each data set is a stream of shuffled passes; step k takes the next stretch of
every stream, and the ranks share that stretch without overlap.
"""

from collections.abc import Generator, Sequence
from math import ceil
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread

import numpy as np
import numpy.typing as npt
import torch

from depthcue.data.augmentation import Augmentation, training_batch
from depthcue.data.stored import RgbdBatch, RgbdData, Size
from depthcue.errors import DepthcueError

AHEAD = 2
"""Batches prepared ahead of the consumer: one ready, one in the making, so that a slow one does not stall the next."""


class BatchLoader:
    """Augmented batches of `batch_size` pictures (per rank), in equal parts from each data set.

    `size` is the pictures' (height, width); `depth_size` the depths', or None for training without depth. Where
    `batch_size` does not divide evenly, the first data sets give one more. Of the last `unlabelled` data sets the
    pictures alone are taken: in a batch with depth theirs is 0 and not valid. `labelled` is the number of pictures of a
    batch that come before theirs. `epoch_length` is the number of steps in which the data set that takes longest is
    seen once.
    """

    def __init__(self, datasets: Sequence[RgbdData], batch_size: int, size: Size, depth_size: Size | None,
                 policy: Augmentation, seed: int, rank: int = 0, world_size: int = 1,
                 device: torch.device | str = "cpu", unlabelled: int = 0) -> None:
        if not datasets or batch_size < len(datasets):
            raise DepthcueError(f"--batch-size must be at least {max(len(datasets), 1)}, a picture from each of "
                                f"{len(datasets)} data sets, got {batch_size}", "Give a larger batch.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        with_depth = len(datasets) - unlabelled
        for data in datasets[:with_depth]:
            if depth_size is not None and not data.has_depth:
                raise DepthcueError(f"{data.spec} has no depth, and this training needs it",
                                    "Take a data set with depth: scenes:indoor, nyu:PATH, kitti:PATH.")
        self.datasets = list(datasets)
        self.size = size
        self.depth_size = depth_size
        self.policy = policy
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.device = torch.device(device)
        self._parts = [batch_size // len(datasets) + (position < batch_size % len(datasets))
                       for position in range(len(datasets))]
        self._with_depth = with_depth
        self.labelled = sum(self._parts[:with_depth])
        self.epoch_length = max(ceil(len(data) / (part * world_size))
                                for data, part in zip(self.datasets, self._parts, strict=True))
        self._passes: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}
        self._lock = Lock()

    def indices(self, step: int) -> list[list[int]]:
        """Indices of the frames of each data set in this rank's batch of `step`."""
        chosen = []
        for number, (data, part) in enumerate(zip(self.datasets, self._parts, strict=True)):
            start = (step * self.world_size + self.rank) * part
            chosen.append([self._at(number, len(data), position) for position in range(start, start + part)])
        return chosen

    def batch(self, step: int) -> RgbdBatch:
        """The batch of `step` (from 0): a pure function of the seed, the step and the rank."""
        parts = []
        for number, (data, indices) in enumerate(zip(self.datasets, self.indices(step), strict=True)):
            generator = torch.Generator().manual_seed(_seed(self.seed, 1, step, self.rank, number))
            frames = data.frames(indices, self.device)
            depth_size = self.depth_size if number < self._with_depth else None
            parts.append(training_batch(frames, self.size, depth_size, self.policy, generator))
        if self.depth_size is not None:
            parts = [_without_depth(part, self.depth_size) for part in parts]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def batches(self, start_step: int = 0, stop_step: int | None = None) -> Generator[RgbdBatch, None, None]:
        """The batches from `start_step` up to `stop_step` (None: for ever), prepared ahead by a background thread.

        What goes wrong there is raised here. Closing the iterator, or leaving it to the garbage collector, ends the
        thread.
        """
        queue: Queue[RgbdBatch | BaseException | None] = Queue(AHEAD - 1)
        stop = Event()
        thread = Thread(target=self._prepare, args=(start_step, stop_step, queue, stop), name="batches", daemon=True)
        thread.start()
        try:
            while (item := queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while thread.is_alive():
                try:
                    queue.get_nowait()
                except Empty:
                    thread.join(0.01)

    def _prepare(self, step: int, stop_step: int | None, queue: "Queue[RgbdBatch | BaseException | None]",
                 stop: Event) -> None:
        item: RgbdBatch | BaseException | None
        while not stop.is_set():
            try:
                item = None if stop_step is not None and step >= stop_step else self.batch(step)
            except BaseException as error:
                item = error
            while not stop.is_set():
                try:
                    queue.put(item, timeout=0.1)
                    break
                except Full:
                    continue
            if not isinstance(item, RgbdBatch):
                return
            step += 1

    def _at(self, number: int, count: int, position: int) -> int:
        """The frame at a position of a data set's endless stream: pass after pass, each in an order of its own."""
        turn, offset = divmod(position, count)
        with self._lock:
            held = self._passes.get(number)
            if held is None or held[0] != turn:
                held = turn, np.random.default_rng(_seed(self.seed, 0, turn, number)).permutation(count)
                self._passes[number] = held
            return int(held[1][offset])


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _without_depth(part: RgbdBatch, size: Size) -> RgbdBatch:
    """A batch with depth as it is; one without, with depth that is nowhere valid."""
    if part.depth_m is not None:
        return part
    unknown = torch.zeros(len(part.names), 1, *size, device=part.rgb.device)
    return RgbdBatch(part.rgb, unknown, unknown > 0, part.names)


def _joined(parts: Sequence[RgbdBatch]) -> RgbdBatch:
    depths = [part.depth_m for part in parts if part.depth_m is not None]
    valids = [part.valid for part in parts if part.valid is not None]
    return RgbdBatch(torch.cat([part.rgb for part in parts]), torch.cat(depths) if depths else None,
                     torch.cat(valids) if valids else None, [name for part in parts for name in part.names])


