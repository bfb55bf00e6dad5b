"""Masks searched for each picture beside those of mask nets, on a net that looks at one known region."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from toy_nets import SIZE, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.optimize import OptimizeNets, OptimizeSettings, optimize
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.objective import l_dif, mask_objective
from depthcue.scorers import DirectSettings

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
REGION = torch.zeros(1, 1, *SIZE)
REGION[..., 4:10, 8:20] = 1.0


class RegionDepth(DepthNet):
    """Depth is 1 m and five times the light inside the region; 2 m elsewhere, whatever is there."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("region", *SIZE, multiple=1, **PLAIN))

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        light = 0.5 * normalised[:, 1:2] + 0.5 * normalised.amax(dim=1, keepdim=True)
        return torch.where(REGION > 0, 1 + 5 * light, torch.full_like(light, 2.0))


class FixedMask(MaskNet):
    """The same mask for every picture, at lambda 2 alone."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(MaskDescription("fixed", "region", *SIZE, multiple=1, default_lambda=2.0, **PLAIN))
        self.mask = mask

    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        return self.mask.expand(len(normalised), -1, -1, -1)


class Lit(ToyData):
    """Bright noise, so that there is something to see at every pixel."""

    def evaluation_batch(self, indices: Any, device: torch.device | str = "cpu") -> Any:
        batch = super().evaluation_batch(indices, device)
        draws = [torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(index)) for index in indices]
        batch.rgb = 0.5 + 0.5 * torch.stack(draws)
        return batch


NETS = OptimizeNets(RegionDepth(), FixedMask(REGION), FixedMask(1 - REGION))


def _run(out: Path, nets: OptimizeNets = NETS, data: ToyData | None = None, steps: int = 40, **settings: Any) -> Any:
    return optimize(nets, data or Lit(3), out, OptimizeSettings(
        direct=DirectSettings(steps=steps), batch_size=2, draws=100, **settings))


def test_the_search_finds_the_pixels_that_are_read(tmp_path: Path) -> None:
    results = _run(tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    assert (results["command"], results["images"], results["lambda"]) == ("optimize", 3, 2.0)
    share, methods = float(REGION.mean()), results["ways"]
    assert list(methods) == ["eq3", "eq4", "eq5"]
    assert methods["eq4"]["mean"] == pytest.approx(share, abs=1e-5) and methods["eq4"]["rmse_to_target"] < 1e-6
    assert methods["eq4"]["objective"] == pytest.approx(-2.0794 + 2 * share, abs=1e-3)
    # what is kept outside by a search of forty steps costs little
    assert methods["eq3"]["mean"] == pytest.approx(share, abs=0.06)
    assert methods["eq3"]["objective"] < results["before"]["objective"] - 1
    difference = methods["eq3"]["objective"] - methods["eq4"]["objective"]
    assert methods["eq3"]["objective_minus_eq4"] == pytest.approx(difference, abs=1e-5)
    # Eq. (5) by its own objective: hiding the region destroys, and is cheap
    assert methods["eq5"]["objective"] == pytest.approx(-methods["eq5"]["difference"] + 2 * share, abs=1e-4)
    assert methods["eq5"]["difference"] > methods["eq4"]["difference"] + 0.2
    low, high = methods["eq3"]["objective_ci95"]
    assert low <= methods["eq3"]["objective"] <= high
    assert set(results["cost_ms"]) == set(methods)
    assert len(results["per_image"]["ways"]["eq3"]["roughness"]) == 3


def test_every_mask_is_left_alone_and_over_its_picture(tmp_path: Path) -> None:
    results = _run(tmp_path, steps=5, examples=2)
    for entry in results["masks"]:
        for method, wanted in (("eq4", REGION), ("eq5", 1 - REGION)):
            with Image.open(tmp_path / entry[f"{method}_mask"]) as mask:
                assert mask.size == (SIZE[1], SIZE[0]) and mask.getpixel((10, 5)) == 255 * int(wanted[0, 0, 5, 10])
        assert (tmp_path / entry["eq3_overlay"]).is_file()
    assert len(results["examples"]) == 2 and len(results["examples"][0]["masks"]) == 3
    assert not list(tmp_path.rglob(".depthcue-*"))


def test_without_mask_nets_the_search_stands_alone(tmp_path: Path) -> None:
    results = _run(tmp_path, OptimizeNets(RegionDepth()), Lit(2, has_depth=False), steps=3)
    assert list(results["ways"]) == ["eq3"] and results["lambda"] == 5.0 and results["weights"] is None
    assert results["target"] == {} and "rmse" not in results["ways"]["eq3"]
    assert _run(tmp_path / "zero", OptimizeNets(RegionDepth()), steps=1, lam=0.0)["lambda"] == 0


def test_the_same_seed_gives_the_same_masks(tmp_path: Path) -> None:
    first, again = (_run(tmp_path / str(run), steps=4, seed=7)["per_image"] for run in range(2))
    assert first == again


class BlackBox(RegionDepth):
    differentiable = False


@pytest.mark.parametrize(("nets", "settings", "message"), [
    (OptimizeNets(BlackBox()), {}, "passes no gradients"), (NETS, {"lam": 3.0}, "lambda must be 2 for"),
    (OptimizeNets(RegionDepth()), {"lam": -1.0}, "at least 0"), (NETS, {"steps": 0}, "at least 1")])
def test_mistakes_are_errors_before_anything_is_written(tmp_path: Path, nets: OptimizeNets, settings: dict[str, Any],
                                                      message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _run(tmp_path, nets, **settings)
    assert not any(tmp_path.iterdir())


def test_eq_5_learns_to_hide_what_is_read_and_nothing_else() -> None:
    """The toy of training by Eq. (5): one mask for many pictures, by the objective that trains mask nets."""
    net, data = RegionDepth(), Lit(4)
    theta = torch.full((1, 1, *SIZE), 1.5, requires_grad=True)
    adam = torch.optim.Adam([theta], lr=0.3)
    for _ in range(60):
        rgb = data.evaluation_batch(range(4)).rgb
        mask = torch.sigmoid(theta).expand(4, -1, -1, -1)
        objective = mask_objective(l_dif(net(rgb * mask), net(rgb)), mask, 2.0, "5")
        theta.grad, = torch.autograd.grad(objective, theta)
        adam.step()
    mask = torch.sigmoid(theta.detach())
    # inside some pixels stay: torn depth is farther from the truth, by l_grad, than flat depth
    assert mask[REGION == 0].min() > 0.9 and mask[REGION > 0].mean() < 0.5
    seen = net(rgb * mask)
    assert l_dif(seen, net(rgb)) > l_dif(net(rgb * (1 - REGION)), net(rgb))
