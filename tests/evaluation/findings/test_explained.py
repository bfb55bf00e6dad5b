"""Shares of variance: against a slow regression that leaves each picture out, and on masks whose answer is known."""

import numpy as np
import pytest

from depthcue.evaluation.findings.cells import BOTH, KIND, STRENGTH, Floats, explained, left_out_errors
from depthcue.evaluation.statistics import resampling_weights

PICTURES, STRENGTHS, KINDS, PIXELS = 5, 4, 3, 120


def _pixels(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Strength and kind of every pixel, (pictures, pixels), independent of each other."""
    draws = np.random.default_rng(seed)
    return draws.integers(STRENGTHS, size=(PICTURES, PIXELS)), draws.integers(KINDS, size=(PICTURES, PIXELS))


def _summed(strength: np.ndarray, kind: np.ndarray, values: np.ndarray) -> tuple[Floats, Floats, Floats]:
    tables = np.zeros((3, PICTURES, STRENGTHS, KINDS))
    for picture in range(PICTURES):
        for pixel in range(PIXELS):
            value = values[picture, pixel]
            tables[:, picture, strength[picture, pixel], kind[picture, pixel]] += (1, value, value**2)
    return tables[0], tables[1], tables[2]


def _found(values: np.ndarray, seed: int = 0) -> dict[str, dict[str, float]]:
    strength, kind = _pixels(seed)
    return explained(*_summed(strength, kind, values), resampling_weights(PICTURES, 200))


def test_errors_are_those_of_regressions_on_the_other_pictures() -> None:
    strength, kind = _pixels()
    values = np.random.default_rng(1).normal(size=strength.shape) + 0.3 * strength + kind
    columns = {STRENGTH: (strength, STRENGTHS), KIND: (kind, KINDS), BOTH: (strength * KINDS + kind, STRENGTHS * KINDS),
               "none": (0 * kind, 1)}
    found = left_out_errors(*_summed(strength, kind, values))
    for name, (indices, count) in columns.items():
        design = np.eye(count)[indices]  # (pictures, pixels, count)
        for picture in range(PICTURES):
            others = np.arange(PICTURES) != picture
            fitted, *_ = np.linalg.lstsq(design[others].reshape(-1, count), values[others].ravel(), rcond=None)
            error = np.square(values[picture] - design[picture] @ fitted).sum()
            assert found[name][picture] == pytest.approx(error), name


def test_a_mask_that_is_strength_leaves_nothing_to_kind() -> None:
    found = _found(_pixels()[0] ** 2 / 3)
    assert found[STRENGTH]["value"] == pytest.approx(1)
    assert found["kind_given_strength"]["value"] == pytest.approx(0, abs=1e-9)
    assert found[KIND]["value"] < 0.02 and found["strength_given_kind"]["value"] > 0.98


def test_a_mask_that_is_one_kind_leaves_nothing_to_strength() -> None:
    found = _found((_pixels()[1] == 1).astype(float))
    assert found[KIND]["value"] == pytest.approx(1)
    assert found["strength_given_kind"]["value"] == pytest.approx(0, abs=1e-9)
    assert found[STRENGTH]["value"] < 0.02 and found["kind_given_strength"]["value"] > 0.98


def test_noise_is_explained_by_nothing() -> None:
    found = _found(np.random.default_rng(2).normal(size=(PICTURES, PIXELS)))
    # in the pictures it was fitted to, a mean for each of 12 cells would explain 2% of 600 pixels' noise
    assert all(entry["value"] < 0.01 for entry in found.values())
    assert found[BOTH]["ci95"][0] < 0


def test_a_cell_of_one_picture_alone_is_predicted_by_its_strength() -> None:
    counts = np.zeros((2, 2, 2))
    counts[0, 0, 0], counts[1, 0, 1] = 4, 4
    errors = left_out_errors(counts, 2 * counts, 4 * counts)
    assert errors[BOTH] == pytest.approx([0, 0]) and errors[KIND] == pytest.approx([0, 0])


def test_nothing_is_said_of_a_mask_without_variance() -> None:
    assert all(entry is None for entry in _found(np.ones((PICTURES, PIXELS))).values())
