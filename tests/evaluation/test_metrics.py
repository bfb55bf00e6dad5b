"""Error measures against slow loops and against what the authors' code gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import image_errors as slow_image_errors
from reference import rmse_over_images
from torch.nn import functional

from depthcue.evaluation import metrics


def test_measures_are_those_of_the_slow_loop(generator: torch.Generator) -> None:
    depth = torch.rand(3, 1, 7, 9, generator=generator) * 9 + 0.5
    prediction = torch.rand(3, 1, 7, 9, generator=generator) * 9 + 0.5
    valid = torch.rand(3, 1, 7, 9, generator=generator) > 0.3
    depth[~valid] = torch.inf  # as the sky of a rendered road
    errors = metrics.image_errors(prediction, depth, valid)
    assert set(errors) == set(metrics.MEASURES)
    for image in range(3):
        expected = slow_image_errors(prediction[image].flatten().tolist(), depth[image].flatten().tolist(),
                                     valid[image].flatten().tolist())
        for name, value in expected.items():
            # float32 differences and logarithms, summed in float64
            assert errors[name][image].item() == pytest.approx(value, rel=2e-6), name


@pytest.mark.parametrize("pair", ["noise", "smooth", "equal"])
def test_measures_are_the_authors(shared_data: Path, pair: str) -> None:
    recorded = json.loads((shared_data / "official" / "losses.json").read_text())[pair]["errors"]
    draws = np.random.Generator(np.random.PCG64(11))
    depth = torch.from_numpy(draws.uniform(0.7, 9.5, (2, 1, 114, 152)).astype(np.float32))
    output = torch.from_numpy(draws.uniform(0.7, 9.5, (2, 1, 114, 152)).astype(np.float32))
    if pair == "smooth":
        depth, output = (
            functional.avg_pool2d(functional.pad(map_m, (7, 7, 7, 7), mode="replicate"), 15, stride=1)
            for map_m in (depth, output)
        )
    elif pair == "equal":
        output = depth
    summary = metrics.summarise({name: values.numpy() for name, values in metrics.image_errors(output, depth).items()})
    ours = {"RMSE": "rmse", "ABS_REL": "abs_rel", "LG10": "log10", "MAE": "mae", "DELTA1": "delta1",
            "DELTA2": "delta2", "DELTA3": "delta3"}
    for theirs, name in ours.items():
        # theirs are float32 sums over 34,656 pixels
        assert summary[name] == pytest.approx(recorded[theirs], rel=2e-5, abs=1e-7), name


def test_an_image_without_a_valid_pixel_is_not_a_number() -> None:
    depth = torch.ones(2, 1, 2, 2)
    valid = torch.tensor([True, False]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    errors = metrics.image_errors(depth * 2, depth, valid)
    for values in errors.values():
        assert not torch.isnan(values[0]) and torch.isnan(values[1])


def test_a_prediction_is_brought_to_the_grid_of_the_depth() -> None:
    errors = metrics.image_errors(torch.full((1, 1, 3, 4), 2.0), torch.full((1, 1, 9, 16), 3.0))
    assert errors["mse"].item() == pytest.approx(1)


def test_a_prediction_behind_the_camera_counts_as_nearest() -> None:
    errors = metrics.image_errors(torch.full((1, 1, 2, 2), -5.0), torch.ones(1, 1, 2, 2))
    assert errors["mse"].item() == pytest.approx((1 - metrics.NEAREST_M) ** 2)
    assert errors["log10"].item() == pytest.approx(3)


def test_rmse_over_images_is_the_root_of_the_mean_of_their_squares() -> None:
    mse = [1.0, 9.0, 4.0]
    summary = metrics.summarise({"mse": np.array(mse), "abs_rel": np.array([0.1, 0.2, 0.6])})
    assert summary["rmse"] == pytest.approx(rmse_over_images(mse)) != pytest.approx(2)
    assert summary["abs_rel"] == pytest.approx(0.3)
