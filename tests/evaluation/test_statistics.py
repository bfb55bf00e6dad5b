"""Bootstrap intervals on distributions whose answer is known, numbers over images, and the clock."""

import time

import numpy as np
import pytest
import torch

from depthcue.evaluation import statistics
from depthcue.evaluation.statistics import Stopwatch, Tally, TallySummary
from depthcue.scorers import Pictures


def test_weights_are_shares_and_the_same_for_a_seed() -> None:
    weights = statistics.resampling_weights(7, draws=50, seed=3)
    assert weights.shape == (50, 7)
    assert weights.sum(axis=1) == pytest.approx(np.ones(50))
    assert np.array_equal(weights, statistics.resampling_weights(7, draws=50, seed=3))
    assert not np.array_equal(weights, statistics.resampling_weights(7, draws=50, seed=4))


def test_intervals_cover_the_truth_as_often_as_they_claim() -> None:
    draws = np.random.default_rng(0)
    weights = statistics.resampling_weights(80, draws=400, seed=1)
    covered = 0
    trials = 400
    for _ in range(trials):
        # squared errors whose mean is 4: the true RMSE is 2
        low, high = statistics.rmse_interval(draws.gamma(2.0, 2.0, 80), weights)
        covered += low <= 2 <= high
    # 95 % nominal; a percentile bootstrap of 80 skewed values covers about 93 %, and 400 trials add 1.3 % of chance
    assert 0.89 <= covered / trials <= 0.98


def test_the_interval_of_a_mean_has_the_width_of_the_normal_theory() -> None:
    values = np.random.default_rng(5).normal(3.0, 2.0, 400)
    low, high = statistics.mean_interval(values, statistics.resampling_weights(400, draws=4000))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(400), rel=0.06)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.02)


def test_a_paired_difference_knows_that_a_hard_image_is_hard_for_both() -> None:
    draws = np.random.default_rng(2)
    hardness = draws.gamma(1.0, 4.0, 60)
    weights = statistics.resampling_weights(60)
    low, high = statistics.rmse_difference_interval(hardness * 1.2, hardness, weights)
    assert 0 < low < high
    assert low <= np.sqrt(hardness.mean() * 1.2) - np.sqrt(hardness.mean()) <= high
    # unpaired, the two intervals overlap widely: the pairing is what tells them apart
    assert statistics.rmse_interval(hardness * 1.2, weights)[0] < statistics.rmse_interval(hardness, weights)[1]


def test_methods_that_do_not_differ_have_an_interval_around_zero() -> None:
    draws = np.random.default_rng(4)
    first, second = draws.gamma(2.0, 2.0, 100), draws.gamma(2.0, 2.0, 100)
    low, high = statistics.rmse_difference_interval(first, second, statistics.resampling_weights(100))
    assert low < 0 < high
    assert statistics.rmse_difference_interval(first, first, statistics.resampling_weights(100)) == (0, 0)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        statistics.resampling_weights(0)


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


def test_the_clock_counts_milliseconds_a_picture_and_leaves_the_first_batch_out() -> None:
    watch, pauses = Stopwatch(torch.device("cpu")), iter((0.3, 0.06, 0.06))

    def slow(pictures: Pictures) -> torch.Tensor:
        time.sleep(next(pauses))
        return pictures.rgb[:, :1]

    pictures = Pictures(torch.zeros(2, 3, 4, 4), [0, 1])
    assert watch.score("slow", slow, pictures).shape == (2, 1, 4, 4)
    assert watch.cost_ms()["slow"]["median"] >= 150
    for _ in range(2):
        watch.score("slow", slow, pictures)
    assert 30 <= watch.cost_ms()["slow"]["median"] < 100
