"""Every scorer in one comparison, and which λ or share a mask net is set to."""

from pathlib import Path
from typing import Any

import pytest
from toy_nets import RedDepth, RedMask, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_edges
from depthcue.evaluation.viewing import IMAGES, NAMES, Viewing, choose_rivals, setting_of, settings_for
from depthcue.nets import Setting, build_mask_net
from depthcue.progress import Silent
from depthcue.scorers import DirectSettings, ScorerInputs


def _run(out: Path, data: ToyData, depth_net: RedDepth | None = None, **settings: Any) -> Any:
    return compare_edges(RedMask(), depth_net or RedDepth(), data, out,
                         CompareEdgesSettings(draws=50, soft_maps=False, gallery=False, examples=0, batch_size=2,
                                              shares=(0.1, 0.5), direct=DirectSettings(steps=30, learning_rate=0.5),
                                              **settings))


def test_all_scorers_are_compared_and_those_that_cannot_work_are_named(tmp_path: Path) -> None:
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


def test_every_scorer_has_its_cost(tmp_path: Path) -> None:
    costs = _run(tmp_path, ToyData(6), against=("sobel", "direct"))["cost_ms"]
    assert set(costs) == {"mask", "sobel", "direct"}
    for cost in costs.values():
        low, high = cost["quartiles"]
        # three batches of two, the first of which is left out
        assert 0 < low <= cost["median"] <= high and cost["batches"] == 2
    assert costs["direct"]["median"] > 3 * costs["mask"]["median"]


SHARES = (0.1, 0.2, 0.5)


class Counted(Silent):
    """Progress that remembers what was started."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []

    def start(self, what: str, total: int | None = None) -> None:
        assert total is not None
        self.started.append((what, total))


def _lambdas(dial: bool, progress: Any) -> dict[float, float | None]:
    found = settings_for(RedMask(dial), Viewing(RedDepth(), ToyData(6)), SHARES, Setting(4.0), progress)
    return {share: setting.lam for share, setting in found.items()}


def test_a_net_with_a_dial_is_turned_until_it_keeps_the_share() -> None:
    progress = Counted()
    # the toy keeps 1 / lambda, and the sweep has 16 steps from 1 to 10, a sixth apart
    assert list(_lambdas(True, progress).values()) == pytest.approx([1 / share for share in SHARES], rel=0.09)
    assert progress.started == [("choosing lambda", min(6, IMAGES))]


def test_a_net_without_one_is_not_looked_at() -> None:
    progress = Counted()
    assert _lambdas(False, progress) == dict.fromkeys(SHARES, 4.0) and progress.started == []


def test_a_net_of_shares_is_set_to_the_share_itself() -> None:
    net = build_mask_net("compact", config={"widths": [8] * 5}, target="t", keep_range=(0.04, 0.8),
                         lambda_at=((0.1, 6.0), (0.5, 1.0)))
    found = settings_for(net, Viewing(RedDepth(), ToyData(6)), SHARES, Setting(4.0), Silent())
    assert [setting.keep for setting in found.values()] == list(SHARES)
    assert found[0.1].entry() == {"keep": 0.1, "lambda": 6.0}
    assert setting_of(net, lam=6.0) == Setting(6.0, pytest.approx(0.1))
    with pytest.raises(DepthcueError):
        setting_of(net, 0.2, 2.0)
