"""Error, agreement and roughness against slow definitions and against what the authors' code gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from reference import image_errors as slow_image_errors
from reference import rmse_over_images
from torch.nn import functional

from depthcue.evaluation import metrics
from depthcue.evaluation.metrics import AGREEMENT_MEASURES, agreement, iou, pearson, roughness, spearman, ssim
from depthcue.scorers import keep_top


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


def test_median_scaling_leaves_the_shape_of_a_prediction(generator: torch.Generator) -> None:
    depth = torch.rand(2, 1, 7, 9, generator=generator) + 1
    valid = torch.rand(2, 1, 7, 9, generator=generator) > 0.3
    prediction = torch.where(valid, depth * torch.tensor([0.2, 3.0]).view(2, 1, 1, 1), 50.0)
    scaled = metrics.median_scaled(prediction, torch.where(valid, depth, torch.inf), valid)
    torch.testing.assert_close(scaled[valid], depth[valid])
    bent = metrics.median_scaled(prediction.square(), torch.where(valid, depth, torch.inf), valid)
    assert not torch.allclose(bent[valid], depth[valid], rtol=0.05)


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


def _maps(generator: torch.Generator, count: int = 2) -> torch.Tensor:
    """Maps with smooth regions and sharp steps, (count, 1, 16, 19) in [0, 1]."""
    coarse = torch.rand(count, 1, 4, 5, generator=generator)
    steps = torch.nn.functional.interpolate(coarse, size=(16, 19), mode="nearest")
    return (0.8 * steps + 0.2 * torch.rand(count, 1, 16, 19, generator=generator)).clamp(0, 1)


def test_ssim_is_that_of_the_slow_definition(generator: torch.Generator) -> None:
    first, second = _maps(generator), _maps(generator)
    for row, value in enumerate(ssim(first, second).tolist()):
        assert value == pytest.approx(reference.ssim(first[row, 0].tolist(), second[row, 0].tolist()), abs=1e-9)


def test_pearson_is_that_of_numpy(generator: torch.Generator) -> None:
    first, second = _maps(generator), _maps(generator)
    for row, value in enumerate(pearson(first, second).tolist()):
        assert value == pytest.approx(np.corrcoef(first[row].ravel(), second[row].ravel())[0, 1], abs=1e-9)


def test_spearman_is_pearson_of_ranks_by_a_slow_definition(generator: torch.Generator) -> None:
    first, second = ((10 * _maps(generator)).round() / 10 for _ in range(2))  # many ties
    second[1] = first[1] ** 3  # another map in the same order
    for row, value in enumerate(spearman(first, second).tolist()):
        ranks = []
        for values in (first[row].flatten().tolist(), second[row].flatten().tolist()):
            # how many are below, and half of those that are equal
            ranks.append([sum(other < at for other in values) + 0.5 * sum(other == at for other in values)
                          for at in values])
        assert value == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
        assert -1 < value < 0.9 or row == 1
    assert spearman(first, second).tolist()[1] == pytest.approx(1)
    assert spearman(first, torch.full_like(first, 0.4)).tolist() == [0, 0]


def test_equal_maps_agree_wholly_and_inverted_ones_not_at_all(generator: torch.Generator) -> None:
    maps = _maps(generator)
    kept = keep_top(maps, 0.3)
    assert agreement(maps, maps, kept, kept).keys() == set(AGREEMENT_MEASURES)
    for values in agreement(maps, maps, kept, kept).values():
        assert values.tolist() == pytest.approx([1, 1])
    assert pearson(maps, 1 - maps).tolist() == pytest.approx([-1, -1])
    assert iou(kept, keep_top(1 - maps, 0.3)).tolist() == [0, 0]
    assert (ssim(maps, 1 - maps) < 0).all()


def test_scale_and_shift_leave_correlation_alone(generator: torch.Generator) -> None:
    maps = _maps(generator)
    assert pearson(maps, 0.1 + 0.3 * maps).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_overlap_by_chance(generator: torch.Generator, share: float) -> None:
    kept = [keep_top(torch.rand(64, 1, 40, 50, generator=generator), share) for _ in range(2)]
    # 64 x 2000 pixels: the deviation of the mean is below 0.002
    assert float(iou(*kept).mean()) == pytest.approx(share / (2 - share), abs=0.01)


def test_nothing_to_go_by() -> None:
    flat, nothing = torch.full((1, 1, 12, 12), 0.4), torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    assert pearson(flat, torch.rand(1, 1, 12, 12)).tolist() == [0]
    assert iou(nothing, nothing).tolist() == [1]
    with pytest.raises(ValueError, match="smaller than the window"):
        ssim(flat[..., :8], flat[..., :8])


def test_noise_is_one_and_a_flat_map_nothing(generator: torch.Generator) -> None:
    noise = torch.rand(3, 1, 60, 80, generator=generator)
    assert roughness(noise).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    hard = (noise > 0.9).float()
    assert roughness(hard).tolist() == pytest.approx([1, 1, 1], abs=0.06)
    assert roughness(torch.full((1, 1, 5, 6), 0.4)).item() == 0


def test_one_block_is_smooth_and_a_checkerboard_rougher_than_noise() -> None:
    block, board = torch.zeros(2, 1, 1, 20, 20).unbind(0)
    block[..., 5:15, 5:15] = 1
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 1
    # 40 of 760 neighbours differ, of 0.376 that would in random order
    assert roughness(block).item() == pytest.approx(40 / 760 / (2 * 100 * 300 / (400 * 399)), rel=1e-5)
    assert roughness(board).item() == pytest.approx(1 / (2 * 200 * 200 / (400 * 399)), rel=1e-5)


def test_it_does_not_depend_on_how_strong_a_mask_is(generator: torch.Generator) -> None:
    mask = torch.rand(1, 1, 12, 9, generator=generator)
    assert roughness(0.3 * mask).item() == pytest.approx(roughness(mask).item(), rel=1e-5)


def test_against_every_pair_of_pixels(generator: torch.Generator) -> None:
    mask = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    rows = mask[0, 0].tolist()
    flat = [value for row in rows for value in row]
    expected = sum(abs(a - b) for a in flat for b in flat) / (20 * 19)
    near = [abs(rows[r][c + 1] - rows[r][c]) for r in range(4) for c in range(4)]
    near += [abs(rows[r + 1][c] - rows[r][c]) for r in range(3) for c in range(5)]
    assert roughness(mask).item() == pytest.approx(sum(near) / len(near) / expected, rel=1e-9)
