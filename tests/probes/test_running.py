"""Every experiment on nets that know one cue alone: each has to find that cue, and no other."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from probes import oracles
from probes.oracles import (
    AffineOracle,
    BlindOracle,
    CueOracle,
    GroundOracle,
    HazeOracle,
    LevelOracle,
    RowOracle,
    ShadowOracle,
    SizeOracle,
    TextureOracle,
    ToyStage,
)

from depthcue.nets import MaskDescription, MaskNet
from depthcue.probes.contract import Chance
from depthcue.probes.obstacles import parts_of
from depthcue.probes.reading import Observer
from depthcue.probes.running import EXPERIMENTS, ExampleKeeper, measure
from depthcue.progress import Silent


def run(name: str, net: CueOracle, out: Path, mask_net: MaskNet | None = None) -> dict[str, Any]:
    entry = measure(EXPERIMENTS[name], ToyStage(), Observer(net.eval(), mask_net, batch_size=5), Chance(200),
                    ExampleKeeper(out), Silent())
    json.dumps(entry, allow_nan=False)
    return entry


def value(entry: dict[str, Any], name: str) -> float:
    return next(found["value"] for found in entry["values"] if found["name"] == name)


@pytest.mark.parametrize(("oracle", "position", "size"), [
    (RowOracle, 1.0, 0.0), (LevelOracle, 1.0, 0.0), (AffineOracle, 1.0, 0.0), (SizeOracle, 0.0, 1.0),
    (HazeOracle, 0.0, 0.0), (TextureOracle, 0.0, 0.0)])
def test_position_and_size_have_weights_of_their_own(oracle: type[CueOracle], position: float, size: float,
                                          tmp_path: Path) -> None:
    entry = run("position-size", oracle(), tmp_path)
    # rows and sizes are whole pixels: 10 of them at the farthest
    weights = {weight["cue"]: weight["value"] for weight in entry["profile"]}
    assert weights["vertical position"] == pytest.approx(position, abs=0.08)
    assert weights["familiar size"] == pytest.approx(size, abs=0.08)
    assert value(entry, "slope, lifted off the ground") == pytest.approx(position, abs=0.08)
    assert value(entry, "slope, box: size only") == pytest.approx(size, abs=0.1)
    if position or size:
        assert value(entry, "own error of the ratio without conflict") < 0.05


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    entry = run("position-size", BlindOracle(), tmp_path)
    assert entry["dropped"] == [{"case": "hopeless-0", "reason": "nothing to see"}]
    assert entry["cases"] == 3
    assert entry["unreadable"] == {"the obstacle is seen at no finite distance": entry["variants"] - 3}
    assert all(weight["value"] is None and weight["n"] == 0 for weight in entry["profile"])


@pytest.mark.parametrize("name", ["position-size", "unfamiliar", "pitch", "ground-edge"])
def test_answers_that_are_no_numbers_are_counted(name: str, tmp_path: Path) -> None:
    class Broken(RowOracle):
        """Gives NaN in the sky where there is an obstacle."""

        def answer(self, rgb: torch.Tensor) -> torch.Tensor:
            depth = super().answer(rgb)
            depth[:, 0] += float("nan") if oracles.red(rgb).any() else 0.0
            return depth

    entry = run(name, Broken(), tmp_path)
    assert entry["unreadable"] == {"the net's answer is not finite": entry["variants"] - (3 if name != "pitch" else 0)}
    assert all(found["value"] is None and found["n"] == 0 for found in entry["values"])


def test_what_is_behind_an_unseen_obstacle_is_no_weight(tmp_path: Path) -> None:
    entry = run("position-size", GroundOracle(), tmp_path)
    # the obstacle and the box of each case
    assert entry["unreadable"] == {"the obstacle is not seen where it stands nearest": 2 * 3}
    assert [(weight["cue"], weight["value"], weight["n"]) for weight in entry["profile"]] == [
        ("vertical position", None, 0), ("familiar size", None, 0)]


def test_curves_begin_together_and_carry_the_truth(tmp_path: Path) -> None:
    curves = {curve["condition"]: curve["points"] for curve in run("position-size", RowOracle(), tmp_path)["curves"]}
    assert {points[0]["x"] for points in curves.values()} == {1.0}
    assert {points[0]["value"] for points in curves.values()} == {1.0}
    assert [point["x"] for point in curves["both"]] == pytest.approx([1 + 0.1 * step for step in range(21)])
    assert curves["position"][-1]["truth"] == pytest.approx(3.0)
    assert curves["size"][-1]["truth"] == pytest.approx(1.0)
    assert curves["both"][0]["n"] == 3 and curves["both"][5]["ci95"] is not None


@pytest.mark.parametrize(("oracle", "slope"), [(LevelOracle, 1.0), (RowOracle, 0.0)])
def test_pitch_is_corrected_for_or_not(oracle: type[CueOracle], slope: float, tmp_path: Path) -> None:
    entry = run("pitch", oracle(), tmp_path)
    assert value(entry, "slope, pitch read against true") == pytest.approx(slope, abs=0.15)
    change = value(entry, "mean change of an obstacle's distance")
    assert change < 0.02 if slope else change > 0.04


def test_a_wall_has_no_horizon(tmp_path: Path) -> None:
    class Wall(CueOracle):
        def answer(self, rgb: torch.Tensor) -> torch.Tensor:
            return torch.full((1, *rgb.shape[1:]), 4.0)

    entry = run("pitch", Wall(), tmp_path)
    assert any("no ground found" in reason for reason in entry["unreadable"])
    assert value(entry, "slope, pitch read against true") is None
    # the obstacle's distance is read all the same
    assert value(entry, "mean change of an obstacle's distance") == pytest.approx(0.0)


@pytest.mark.parametrize(("oracle", "without"), [(RowOracle, 1.0), (ShadowOracle, 0.0)])
def test_who_needs_a_shadow(oracle: type[CueOracle], without: float, tmp_path: Path) -> None:
    entry = run("unfamiliar", oracle(), tmp_path)
    for group in ("familiar", "unfamiliar"):
        assert value(entry, f"share of obstacles seen, {group}, with shadow") == 1.0
        assert value(entry, f"share of obstacles seen, {group}, without shadow") == without
        assert value(entry, f"share of obstacles seen, {group}, what the shadow adds") == 1.0 - without


def test_parts_are_as_much_as_is_left_of_them(tmp_path: Path) -> None:
    entry = run("parts", RowOracle(), tmp_path)
    seen = {bar["name"]: bar["value"] for bar in entry["bars"][0]["bars"]}
    assert seen["whole"] == 1.0
    # the ground behind the lower edge is too near to tell whether the edge is seen
    assert seen["whole"] > seen["hollow"] > seen["bottom and sides"] >= seen["sides"] > 0 == seen["bottom"]
    assert value(entry, "share of obstacles seen, whole") == 1.0


def test_parts_of_a_square() -> None:
    region = torch.zeros(1, 40, 40, dtype=torch.bool)
    region[:, 10:30, 5:25] = True
    parts = parts_of(region)
    assert all((part & ~region).sum() == 0 for part in parts.values())
    assert parts["bottom"].nonzero()[:, 1].min() == 24 and parts["top"].nonzero()[:, 1].max() == 12
    assert parts["sides"].sum() == 2 * 3 * 20
    assert not parts["sides"][0, 20, 15]


def test_the_edge_that_is_needed(tmp_path: Path) -> None:
    curves = {curve["condition"]: [point["value"] for point in curve["points"]]
              for curve in run("ground-edge", ShadowOracle(), tmp_path)["curves"]}
    assert curves["thickness"][0] == 0.0 and curves["thickness"][-1] > 0.9
    assert curves["brightness"][0] > 0.9 and curves["brightness"][-1] == 0.0


class RedMask(MaskNet):
    """Keeps the obstacle and a tenth of all else."""

    def __init__(self) -> None:
        super().__init__(MaskDescription("red-mask", "oracle", oracles.HEIGHT, oracles.WIDTH, 1, default_lambda=1.0,
                                         mean=(0.0,) * 3, std=(1.0,) * 3))

    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack([torch.where(oracles.red(rgb), 1.0, 0.1)[None] for rgb in normalised])


def test_the_mask_on_the_turned_cue(tmp_path: Path) -> None:
    found = {entry["condition"]: entry for entry in run("parts", RowOracle(), tmp_path, RedMask())["attention"]}
    area = 18 * 18 / (oracles.HEIGHT * oracles.WIDTH)
    assert found["whole"]["mask_share_before"]["value"] == pytest.approx(area, rel=1e-3)
    assert found["whole"]["mask_share"]["value"] == pytest.approx(area / (area + 0.1 * (1 - area)), rel=1e-3)
    assert found["whole"]["mask_lift"]["value"] > 5


def test_examples_show_the_first_case(tmp_path: Path) -> None:
    examples = run("parts", RowOracle(), tmp_path)["examples"]
    assert examples[0]["condition"] == "" and {shown["case"] for shown in examples} == {"toy-0, block"}
    assert all((tmp_path / shown[kind]).is_file() for shown in examples for kind in ("shown", "seen"))
