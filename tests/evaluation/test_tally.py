"""Which lambda or share a mask net is given, and numbers over images from those of each image."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_nets import RedDepth, RedMask, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation import statistics
from depthcue.evaluation.tally import IMAGES, Tally, TallySummary, setting_of, settings_for
from depthcue.evaluation.viewing import Viewing
from depthcue.nets import Setting, build_mask_net
from depthcue.progress import Silent

SHARES = (0.1, 0.2, 0.5)


class Counted(Silent):
    """Remembers what it was told of."""

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


def test_a_net_of_shares_is_asked_for_the_share_itself() -> None:
    net = build_mask_net("compact", config={"widths": [8] * 5}, target="t", keep_range=(0.04, 0.8),
                         lambda_at=((0.1, 6.0), (0.5, 1.0)))
    found = settings_for(net, Viewing(RedDepth(), ToyData(6)), SHARES, Setting(4.0), Silent())
    assert [setting.keep for setting in found.values()] == list(SHARES)
    assert found[0.1].entry() == {"keep": 0.1, "lambda": 6.0}
    assert setting_of(net, lam=6.0) == Setting(6.0, pytest.approx(0.1))
    with pytest.raises(DepthcueError):
        setting_of(net, 0.2, 2.0)


def _summary(above: list[float], below: list[float]) -> TallySummary:
    tally = Tally()
    tally.names = [f"image-{number}" for number in range(len(above))]
    tally.add("border", "ring", torch.tensor(above))
    tally.add("border", "rest", torch.tensor(below))
    return TallySummary(tally, draws=500, seed=3)


def test_a_ratio_is_of_means_and_so_is_every_resample_of_it() -> None:
    above, below = [1.0, 2.0, 6.0], [1.0, 4.0, 4.0]
    ratio = _summary(above, below).ratio("border", "ring", "rest")
    assert ratio is not None and ratio["value"] == 1.0
    drawn = [sum(w * a for w, a in zip(row, above, strict=True)) / sum(w * b for w, b in zip(row, below, strict=True))
             for row in statistics.resampling_weights(3, 500, 3)]
    assert ratio["value_ci95"] == pytest.approx(list(np.quantile(drawn, [0.025, 0.975])), rel=1e-5)


def test_there_is_no_ratio_to_nothing() -> None:
    assert _summary([1.0, 2.0], [0.0, 0.0]).ratio("border", "ring", "rest") is None
