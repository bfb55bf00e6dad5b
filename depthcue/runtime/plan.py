"""How a machine's cores are shared out between decoding, inference and encoding."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Plan:
    """How the cores are shared out."""

    batch_size: int
    streams: int
    """Batches inferred at the same time."""
    threads: int | None
    """Of one operation; None leaves it to the backend."""
    readers: int
    video_readers: int
    writers: int
    renderers: int
    fill: bool = False
    """Whether batches of pictures are filled up, so that a picture's mask is the same to the bit among whatever others,
    those that a resumed run has left too. On a CPU that costs a frame now and then; a GPU's batches are large."""

    @classmethod
    def for_device(cls, device: str, batch_size: int | None, live: int = 0, cores: int | None = None) -> Self:
        """For files, or for `live` live sources, which a device masks together.

        Args:
            cores: those to share out; None: all of the machine.
        """
        cores = cores or os.cpu_count() or 2
        if live:
            # all cores for the frame that is there: the soonest answer, not the most answers
            return cls(batch_size or live, 1, cores if device == "cpu" else None, 1, 1, live, 0)
        if device != "cpu":
            # the cores are free for decoding and encoding; the second stream copies while the first computes
            half = min(max(cores // 2, 1), 16)
            return cls(batch_size or 32, 2, None, half, min(max(cores // 4, 1), 4), half, half)
        # threads that share one operation wait for each other at its end, and longer when decoding and encoding
        # interrupt one of them; batches side by side do not. More than a few would take much memory.
        streams = min(cores, 4)
        return cls(batch_size or 2, streams, cores // streams, max(cores // 4, 1), 1, max(cores // 4, 1), cores // 8,
                   fill=True)
