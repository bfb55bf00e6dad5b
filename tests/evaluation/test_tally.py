"""Numbers over images from those of each image."""

import numpy as np
import pytest
import torch

from depthcue.evaluation import statistics
from depthcue.evaluation.tally import Tally, TallySummary


def _summary(above: list[float], below: list[float]) -> TallySummary:
    tally = Tally()
    tally.names = [f"image-{number}" for number in range(len(above))]
    tally.add("border", "ring", torch.tensor(above))
    tally.add("border", "rest", torch.tensor(below))
    return TallySummary(tally, draws=500, seed=3)


def test_a_ratio_is_of_means_and_so_is_every_resample_of_it() -> None:
    above, below = [1.0, 2.0, 6.0], [1.0, 4.0, 4.0]
    ratio = _summary(above, below).ratio("border", "ring", "rest")
    assert ratio is not None and ratio["value"] == 1.0
    drawn = [sum(w * a for w, a in zip(row, above, strict=True)) / sum(w * b for w, b in zip(row, below, strict=True))
             for row in statistics.resampling_weights(3, 500, 3)]
    assert ratio["value_ci95"] == pytest.approx(list(np.quantile(drawn, [0.025, 0.975])), rel=1e-5)


def test_there_is_no_ratio_to_nothing() -> None:
    assert _summary([1.0, 2.0], [0.0, 0.0]).ratio("border", "ring", "rest") is None
