"""Which lambda answers to which share."""

from typing import Any

import pytest
from toy_nets import RedDepth, RedMask, ToyData

from depthcue.evaluation.dial import IMAGES, lambdas_for
from depthcue.evaluation.viewing import Viewing
from depthcue.progress import Silent

SHARES = (0.1, 0.2, 0.5)


class Counted(Silent):
    """Remembers what it was told of."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []

    def start(self, what: str, total: int | None = None) -> None:
        assert total is not None
        self.started.append((what, total))


def _lambdas(dial: bool, progress: Any) -> dict[float, float]:
    return lambdas_for(RedMask(dial), Viewing(RedDepth(), ToyData(6)), SHARES, 4.0, progress)


def test_a_net_with_a_dial_is_turned_until_it_keeps_the_share() -> None:
    progress = Counted()
    # the toy keeps 1 / lambda, and the sweep has 16 steps from 1 to 10, a sixth apart
    assert list(_lambdas(True, progress).values()) == pytest.approx([1 / share for share in SHARES], rel=0.09)
    assert progress.started == [("choosing lambda", min(6, IMAGES))]


def test_a_net_without_one_is_not_looked_at() -> None:
    progress = Counted()
    assert _lambdas(False, progress) == dict.fromkeys(SHARES, 4.0) and progress.started == []
