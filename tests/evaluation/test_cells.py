"""Sums over cells of pixels, and shares of variance, against slow definitions."""

import numpy as np
import pytest
import torch

from depthcue.evaluation.cells import (
    BOTH,
    KIND,
    NOWHERE,
    STRENGTH,
    Cells,
    Floats,
    Samples,
    cell_of,
    explained,
    left_out_errors,
)
from depthcue.evaluation.statistics import resampling_weights

STRATA, GROUPS = 4, 3


@pytest.fixture
def pixels(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Five pictures: places along two axes, some of no cell, and a map that differs between strata and groups."""
    shape = (5, 1, 6, 8)
    stratum = torch.randint(NOWHERE, STRATA, shape, generator=generator)
    group = torch.randint(0, GROUPS, shape, generator=generator)
    values = stratum + 0.5 * group + torch.rand(shape, generator=generator)
    return {"stratum": stratum, "group": group, "map": values}


def _cells(pixels: dict[str, torch.Tensor]) -> Cells:
    cells = Cells((STRATA, GROUPS), ("map",))
    # in two batches, as pictures come
    for rows in (slice(0, 2), slice(2, 5)):
        cells.add([pixels["stratum"][rows], pixels["group"][rows]], {"map": pixels["map"][rows]})
    return cells


def test_means_and_shares_are_those_of_the_pixels(pixels: dict[str, torch.Tensor]) -> None:
    table = _cells(pixels).table(draws=20, seed=0)
    chosen = np.zeros((STRATA, GROUPS), dtype=bool)
    chosen[1, 2] = chosen[3, 0] = True
    counted = pixels["stratum"] >= 0
    here = ((pixels["stratum"] == 1) & (pixels["group"] == 2)) | ((pixels["stratum"] == 3) & (pixels["group"] == 0))
    assert table.mean("map", chosen).values[0] == pytest.approx(float(pixels["map"][here].double().mean()))
    assert table.share(chosen).values[0] == pytest.approx(int(here.sum()) / int(counted.sum()))
    of_map = float(pixels["map"][here].double().sum() / pixels["map"][counted].double().sum())
    assert table.share(chosen, "map").values[0] == pytest.approx(of_map)


def test_a_resample_is_what_its_pictures_would_have_given(pixels: dict[str, torch.Tensor]) -> None:
    table = _cells(pixels).table(draws=7, seed=3)
    chosen = np.zeros((STRATA, GROUPS), dtype=bool)
    chosen[2] = True
    for draw, weights in enumerate(table.weights, start=1):
        rows = np.repeat(np.arange(5), np.round(weights * 5).astype(int))
        again = {name: values[rows] for name, values in pixels.items()}
        here = again["stratum"] == 2
        assert table.mean("map", chosen).values[draw] == pytest.approx(float(again["map"][here].double().mean()))


def test_a_matched_difference_is_the_coefficient_of_a_regression(pixels: dict[str, torch.Tensor]) -> None:
    table = _cells(pixels).table(draws=5, seed=0)
    first, second = np.array([False, False, True]), np.array([True, False, False])
    here = (pixels["stratum"] >= 0) & (pixels["group"] != 1)
    strata = torch.nn.functional.one_hot(pixels["stratum"][here], STRATA)
    design = torch.cat([strata, (pixels["group"][here] == 2)[:, None]], dim=1).double().numpy()
    coefficients, *_ = np.linalg.lstsq(design, pixels["map"][here].double().numpy(), rcond=None)
    assert table.matched("map", first, second).values[0] == pytest.approx(coefficients[-1])


def test_like_is_compared_with_like() -> None:
    # group 1 lives in the high stratum, group 0 in the low; in each stratum they are alike
    stratum = torch.tensor([0] * 9 + [1] + [0] + [1] * 9).view(1, 1, 4, 5)
    group = torch.tensor([0] * 10 + [1] * 10).view(1, 1, 4, 5)
    cells = Cells((2, 2), ("map",))
    for _ in range(3):
        cells.add([stratum, group], {"map": 5.0 * stratum})
    table = cells.table(draws=10, seed=0)
    first, second = np.array([False, True]), np.array([True, False])
    plain = table.mean("map", np.array([[False, True]] * 2)).values[0] - table.mean(
        "map", np.array([[True, False]] * 2)).values[0]
    assert plain == pytest.approx(4.0)
    assert table.matched("map", first, second).entry() == {"value": 0.0, "ci95": [0.0, 0.0], "images": 3}


def test_a_single_picture_gives_no_entry() -> None:
    cells = Cells((2,), ("map",))
    cells.add([torch.zeros(3, 1, 2, 2, dtype=torch.int64)], {"map": torch.ones(3, 1, 2, 2)})
    cells.add([torch.ones(1, 1, 2, 2, dtype=torch.int64)], {"map": torch.ones(1, 1, 2, 2)})
    table = cells.table(draws=50, seed=0)
    assert table.mean("map", np.array([True, False])).entry() == {"value": 1.0, "ci95": [1.0, 1.0], "images": 3}
    assert table.mean("map", np.array([False, True])).entry() is None


def test_nothing_measured_is_none() -> None:
    assert Samples(np.array([np.nan, 1.0]), 5).entry() is None


def test_bins_are_closed_below_and_open_above() -> None:
    values = torch.tensor([0.0, 0.1, 0.15, 0.3, torch.inf, torch.nan])
    assert cell_of(values, (0.1, 0.3)).tolist() == [0, 1, 1, 2, 2, NOWHERE]


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


def test_a_mask_without_variance_has_no_entries() -> None:
    assert all(entry is None for entry in _found(np.ones((PICTURES, PIXELS))).values())
