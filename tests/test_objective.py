"""The losses against the authors' numbers and against slow float64 definitions."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import log_loss, losses

from depthcue.objective import LOSSES, l_depth, l_dif, mask_objective


def golden_pairs() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The three pairs of maps on which the authors' code was run."""
    g = np.random.Generator(np.random.PCG64(11))
    depth = g.uniform(0.7, 9.5, (2, 1, 114, 152)).astype(np.float32)
    output = g.uniform(0.7, 9.5, (2, 1, 114, 152)).astype(np.float32)

    def smooth(maps: np.ndarray) -> torch.Tensor:
        padded = torch.nn.functional.pad(torch.from_numpy(maps), (7, 7, 7, 7), mode="replicate")
        return torch.nn.functional.avg_pool2d(padded, 15, stride=1)

    first, second = torch.from_numpy(depth), torch.from_numpy(output)
    return {"noise": (second, first), "smooth": (smooth(output), smooth(depth)), "equal": (first, first)}


@pytest.mark.parametrize("name", ["noise", "smooth", "equal"])
def test_losses_are_those_of_the_authors_code(shared_data: Path, name: str) -> None:
    expected = json.loads((shared_data / "official" / "losses.json").read_text())[name]
    prediction, target = golden_pairs()[name]
    # float32 sums over 35 thousand pixels
    assert float(l_depth(prediction, target)) == pytest.approx(expected["l_depth"], abs=1e-5)
    two, three = (float(l_dif(prediction, target, loss=loss)) for loss in ("depth+grad", "depth+grad+normal"))
    assert two - float(l_depth(prediction, target)) == pytest.approx(expected["l_dx"] + expected["l_dy"], abs=2e-5)
    assert three - two == pytest.approx(expected["l_normal"], abs=1e-5)


def test_losses_are_their_slow_definitions(generator: torch.Generator) -> None:
    prediction, target = 10 * torch.rand(2, 1, 1, 7, 9, generator=generator, dtype=torch.float64)
    slow = losses(prediction[0, 0].tolist(), target[0, 0].tolist())
    assert float(l_depth(prediction, target)) == pytest.approx(slow["l_depth"], abs=1e-12)
    assert float(l_dif(prediction, target)) == pytest.approx(sum(slow.values()), abs=1e-12)
    assert float(l_dif(prediction, target, loss="depth+grad")) == pytest.approx(
        slow["l_depth"] + slow["l_grad"], abs=1e-12)


def test_log_loss_is_its_slow_definition_and_free_of_units(generator: torch.Generator) -> None:
    prediction, target = 0.5 + 60 * torch.rand(2, 1, 1, 7, 12, generator=generator, dtype=torch.float64)
    slow = log_loss(prediction[0, 0].tolist(), target[0, 0].tolist())
    assert float(l_dif(prediction, target, loss="log")) == pytest.approx(slow, abs=1e-12)
    assert float(l_dif(3 * prediction, 3 * target, loss="log")) == pytest.approx(slow, abs=1e-12)


def test_equal_maps_reach_the_minimum(generator: torch.Generator) -> None:
    depth = 10 * torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    assert float(l_dif(depth, depth)) == pytest.approx(3 * math.log(0.5), abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_pixels_that_are_not_valid_change_nothing(generator: torch.Generator, loss: str) -> None:
    prediction, target = torch.rand(2, 1, 1, 12, 12, generator=generator, dtype=torch.float64)
    valid = torch.ones(1, 1, 12, 12, dtype=torch.bool)
    valid[..., 3:6, 4:7] = False
    spoilt = torch.where(valid, prediction, torch.full_like(prediction, 99.0))
    assert float(l_dif(spoilt, target, valid, loss)) == pytest.approx(
        float(l_dif(prediction, target, valid, loss)), abs=1e-12)
    everywhere = torch.ones_like(valid)
    assert float(l_dif(prediction, target, everywhere, loss)) == pytest.approx(
        float(l_dif(prediction, target, None, loss)), abs=1e-12)


def test_objectives_weigh_kept_and_hidden_pixels(generator: torch.Generator) -> None:
    mask = torch.rand(2, 1, 4, 4, generator=generator)
    lam = torch.tensor([1.0, 3.0])
    difference = torch.tensor(-2.0)
    share = mask.mean(dim=(1, 2, 3))
    kept = -2.0 + float((lam * share).mean())
    assert float(mask_objective(difference, mask, lam)) == pytest.approx(kept)
    hidden = 2.0 + float((lam * (1 - share)).mean())
    assert float(mask_objective(difference, mask, lam, "5")) == pytest.approx(hidden)
