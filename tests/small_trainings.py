"""Trainings of a few steps, and one that is stopped as Ctrl-C stops it."""

import signal

from depthcue.progress import Silent
from depthcue.training.depth import DepthTraining

TINY = {"widths": [8, 8, 8, 8, 8]}


def depth_training(pictures: str, **changes: object) -> DepthTraining:
    return DepthTraining(**{"data": (pictures,), "size": (48, 64), "batch_size": 4, "average": 0.9,  # type: ignore[arg-type]
                            "augmentation": "published", **changes})


class StopAt(Silent):
    """Asks the run to stop, as Ctrl-C does, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.left -= steps
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
