"""compare-nets on toy networks whose agreement and transfer are known."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.cells import EDGES
from depthcue.evaluation.compare_nets import (
    CHANCE,
    OTHER_PICTURE,
    CompareNetsSettings,
    Network,
    compare_nets,
    compare_specs,
    labels_of,
)
from depthcue.nets import DepthDescription, MaskDescription, MaskNet

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class WithoutRed(MaskNet):
    """Keeps what RedMask hides, each pixel with a value of its own."""

    def __init__(self) -> None:
        super().__init__(MaskDescription("without-red", "red-depth", *SIZE, multiple=1, default_lambda=4.0, **PLAIN))

    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        noise = torch.rand(1, 1, *normalised.shape[2:], generator=torch.Generator().manual_seed(8))
        return (normalised[:, :1] == 0) * (0.5 + 0.5 * noise)


class LeftMask(MaskNet):
    """Keeps the left half, falling off to the right, at whatever size it is shown."""

    def __init__(self, size: tuple[int, int]) -> None:
        name = f"left-{size[0]}"
        super().__init__(MaskDescription(name, "red-depth", *size, multiple=1, default_lambda=4.0, **PLAIN))

    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        batch, _, height, width = normalised.shape
        across = 1 - (torch.arange(width) + 0.5) / width
        return across.expand(batch, 1, height, width)


class SizedDepth(RedDepth):
    """RedDepth at another working size."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.description = DepthDescription(name, *size, multiple=1, **PLAIN)


def _run(out: Path, *masks: MaskNet, data: ToyData | None = None, **settings: Any) -> Any:
    networks = [(mask, SizedDepth(f"net-{number}", (mask.description.height, mask.description.width)))
                for number, mask in enumerate(masks)]
    return compare_nets(networks, ToyData() if data is None else data, out,
                        CompareNetsSettings(**{"share": RED_SHARE, "draws": 200, **settings}))


def test_two_equal_networks_agree_wholly_and_may_swap_masks(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(), RedMask())
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    assert results["columns"] == ["net-0", "net-1", EDGES, CHANCE]
    for measure, entry in results["differences"].items():
        assert entry["between_networks"] == pytest.approx(1, abs=1e-6)
        assert entry["between_networks_ci95"] == pytest.approx([1, 1], abs=1e-6)
        assert entry["with"][EDGES]["minus_ci95"][0] > 0.5
        # the dots of one picture say nothing of another's
        assert entry["with"][OTHER_PICTURE]["mean"] < (0.2 if measure != "ssim" else 0.5)
    assert results["differences"]["iou"]["with"][CHANCE]["mean"] == pytest.approx(0.1 / 1.9, abs=0.03)
    assert results["differences"]["pearson"]["with"][CHANCE]["mean"] == pytest.approx(0, abs=0.05)
    for label in ("net-0", "net-1"):
        assert results["transfer"][label]["net-0"] == results["transfer"][label]["net-1"]
        assert results["transfer"][label][EDGES]["to_target_minus_own_ci95"][0] > 0.1


def test_the_diagonal_is_the_own_error_and_matrices_are_symmetrical(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(), WithoutRed())
    for label in ("net-0", "net-1"):
        own = results["transfer"][label][label]
        assert own["minus_own"] == own["to_target_minus_own"] == 0
    own, other = results["transfer"]["net-0"]["net-0"], results["transfer"]["net-0"]["net-1"]
    # by its own mask it sees everything, by the other's no red at all: 1 m instead of 1 + 4 * 0.05 to 0.1
    assert own["rmse_to_target"] == pytest.approx(0, abs=1e-6)
    assert own["rmse"] == pytest.approx(0.1, abs=1e-5)
    assert 0.2 < other["rmse_to_target"] < 0.41
    assert other["rmse"] == pytest.approx(other["rmse_to_target"] + 0.1, abs=0.02)
    for matrix in results["agreement"].values():
        values = torch.tensor(matrix["mean"])
        assert torch.equal(values, values.T) and torch.equal(values.diag(), torch.ones(4))
    assert [net["mean"] for net in results["nets"]] == pytest.approx([RED_SHARE, 0.75 * (1 - RED_SHARE)], abs=0.01)


def test_disjoint_masks_share_nothing(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(), WithoutRed())
    assert results["differences"]["iou"]["between_networks"] == 0
    assert results["differences"]["pearson"]["between_networks"] < -0.5
    assert results["agreement"]["iou"]["ci95"][0][1] == [0, 0]


def test_masks_of_other_sizes_meet_on_the_smallest(tmp_path: Path) -> None:
    results = _run(tmp_path, LeftMask(SIZE), LeftMask((48, 64)), share=0.5)
    assert [net["size"] for net in results["nets"]] == [list(SIZE), [48, 64]]
    assert results["differences"]["pearson"]["between_networks"] == pytest.approx(1, abs=1e-3)
    assert results["differences"]["iou"]["between_networks"] == 1
    assert results["differences"]["iou"]["with"][OTHER_PICTURE]["mean"] == 1


def test_what_a_mask_leaves_open_is_no_agreement(tmp_path: Path) -> None:
    class Flat(LeftMask):
        def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
            return torch.ones_like(normalised[:, :1])

    results = _run(tmp_path, Flat(SIZE), Flat(SIZE), share=0.5)
    assert results["differences"]["iou"]["between_networks"] == pytest.approx(1 / 3, abs=0.05)


def test_dials_are_turned_to_the_share(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(dial=True), RedMask(dial=True), share=0.3)
    assert [1 / net["lambda"] for net in results["nets"]] == pytest.approx([0.3, 0.3], rel=0.1)
    at_one_lambda = _run(tmp_path, RedMask(dial=True), RedMask(dial=True), share=0.3, lam=9.0)
    assert [net["lambda"] for net in at_one_lambda["nets"]] == [9, 9]


def test_ratios_compare_networks_of_any_range(tmp_path: Path) -> None:
    entry = _run(tmp_path, RedMask(), WithoutRed())["transfer_ratio"]["other networks"]["truth"]
    # net-0 loses by the exchange what net-1 gains by it
    assert entry["times"] == pytest.approx(1, abs=1e-5)
    assert entry["ci95"] == pytest.approx([1, 1], abs=1e-5)


def test_without_depth_transfer_is_to_the_network_itself(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(), WithoutRed(), data=ToyData(has_depth=False))
    assert results["ground_truth"] is False and results["nets"][0]["whole"] == {}
    assert "rmse" not in results["transfer"]["net-0"]["net-1"]
    # the error by its own mask is 0: nothing can be so many times as large
    assert results["transfer_ratio"]["other networks"] == {"target": {"times": None, "ci95": None}}
    assert "truth" not in results["examples"][0]


def test_results_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    one, many = (_run(tmp_path / str(size), RedMask(), WithoutRed(), batch_size=size) for size in (1, 4))
    assert one["agreement"]["ssim"]["mean"][0] == pytest.approx(many["agreement"]["ssim"]["mean"][0], rel=1e-5)
    assert one["differences"]["iou"] == many["differences"]["iou"]


def test_examples_are_pictures_of_one_size(tmp_path: Path) -> None:
    results = _run(tmp_path, RedMask(), LeftMask((48, 64)), examples=2)
    assert len(results["examples"]) == 2
    row = results["examples"][0]
    tiles = [row["picture"], row["edges"], row["truth"], *row["masks"], *row["whole"], *row["seen"]]
    assert len(tiles) == 9
    assert {Image.open(tmp_path / tile).size for tile in tiles} == {(SIZE[1] * 12, SIZE[0] * 12)}


def test_networks_have_names_of_their_own() -> None:
    def networks(*names: tuple[str, str]) -> list[Network]:
        found = []
        for mask_name, depth_name in names:
            mask = RedMask()
            object.__setattr__(mask.description, "name", mask_name)
            found.append((mask, SizedDepth(depth_name, SIZE)))
        return found

    assert labels_of(networks(("a", "one"), ("b", "two"))) == ["one", "two"]
    assert labels_of(networks(("a", "one"), ("b", "one"))) == ["a", "b"]
    assert labels_of(networks(("a", "one"), ("a", "one"))) == ["one (1)", "one (2)"]


def test_mistakes_say_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="at least twice"):
        _run(tmp_path / "out", RedMask())
    with pytest.raises(DepthcueError, match="above 0 and below 1"):
        _run(tmp_path / "out", RedMask(), RedMask(), share=1.5)
    with pytest.raises(DepthcueError, match="lambda must be 4"):
        _run(tmp_path / "out", RedMask(), RedMask(), lam=2.0)
    with pytest.raises(DepthcueError, match="at least two"):
        _run(tmp_path / "out", RedMask(), RedMask(), data=ToyData(1))
    with pytest.raises(DepthcueError, match="got 1 and 2"):
        compare_specs(["compact-indoor", "compact-road"], ["compact-indoor"], "scenes:indoor", tmp_path / "out")
    assert not (tmp_path / "out").exists()
