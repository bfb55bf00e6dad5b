"""Every scorer in one comparison, and the clock."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_nets import RedDepth, RedMask, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_edges
from depthcue.evaluation.viewing import NAMES, Stopwatch, Viewing, choose_rivals
from depthcue.scorers import DirectSettings, Pictures, ScorerInputs


def _run(out: Path, data: ToyData, depth_net: RedDepth | None = None, **settings: Any) -> Any:
    return compare_edges(RedMask(), depth_net or RedDepth(), data, out,
                         CompareEdgesSettings(draws=50, soft_maps=False, gallery=False, examples=0, batch_size=2,
                                              shares=(0.1, 0.5), direct=DirectSettings(steps=30, learning_rate=0.5),
                                              **settings))


def test_all_ways_are_compared_and_those_that_cannot_work_are_named(tmp_path: Path) -> None:
    results = _run(tmp_path, ToyData(4), against=("all",))
    left_out = results["left_out"]
    assert set(results["curves"]) == {"mask", *NAMES} - set(left_out)
    assert set(left_out) - {"hed"} == {"object-boundaries", "rollout"}  # hed where its weights are not installed
    assert "which object" in left_out["object-boundaries"]
    assert results["direct"]["steps"] == 30
    away = {method: entries[0]["rmse_to_target"] for method, entries in results["curves"].items()}
    # the gradient of this net is the same at every pixel; the path from black, and Eq. (3), tell the red ones
    assert away["mask"] == pytest.approx(0, abs=1e-6)
    for method in ("direct", "integrated-gradients"):
        assert away[method] == pytest.approx(0, abs=1e-6)
    for method in ("sobel", "canny", "random", "grid", "centre", "depth-edges"):
        assert away[method] > 0.1


def test_a_black_box_and_data_without_depth_leave_the_rest(tmp_path: Path) -> None:
    class BlackBox(RedDepth):
        differentiable = False

    results = _run(tmp_path, ToyData(2, has_depth=False), BlackBox(), against=("all",))
    assert set(results["left_out"]) - {"hed"} == {"direct", "gradient", "smoothgrad", "integrated-gradients",
                                                  "object-boundaries", "depth-edges", "rollout"}
    assert {"sobel", "random", "grid", "occlusion"} <= set(results["curves"]) and "direct" not in results
    with pytest.raises(DepthcueError, match="passes no gradients"):
        choose_rivals(["sobel", "direct"], ScorerInputs(RedMask(), depth_net=BlackBox()),
                      Viewing(RedDepth(), ToyData()))


def test_every_way_has_its_cost(tmp_path: Path) -> None:
    costs = _run(tmp_path, ToyData(6), against=("sobel", "direct"))["cost_ms"]
    assert set(costs) == {"mask", "sobel", "direct"}
    for cost in costs.values():
        low, high = cost["quartiles"]
        # three batches of two, the first of which is left out
        assert 0 < low <= cost["median"] <= high and cost["batches"] == 2
    assert costs["direct"]["median"] > 3 * costs["mask"]["median"]


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
