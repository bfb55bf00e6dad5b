"""Descriptions, and the pictures that a net takes and refuses."""

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet
from depthcue.nets.base import DepthDescription, MaskDescription, Setting, description_from


class _Red(DepthNet):
    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        return normalised[:, :1]


SHARES = MaskDescription("g", "t", 32, 32, 4, 2.0, keep_range=(0.05, 0.5), lambda_at=((0.1, 8.0), (0.4, 1.0)))


def test_normalising_is_a_z_score_by_the_description() -> None:
    net = _Red(DepthDescription("toy", 32, 32, 4, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0)))
    normalised = net.normalise(torch.tensor([1.0, 0.5, 0.75]).view(1, 3, 1, 1).expand(1, 3, 4, 4))
    assert [float(channel) for channel in normalised[0, :, 0, 0]] == [1.0, 1.0, 0.75]
    with pytest.raises(DepthcueError, match="got uint8"):
        net.normalise(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


def test_a_picture_of_0_to_255_is_refused_and_a_normalised_one_taken() -> None:
    raw = torch.linspace(0, 255, 48).view(1, 3, 4, 4)
    with pytest.raises(DepthcueError, match="looks unnormalised"):
        _Red(DepthDescription("toy", 32, 32, 4)).eval()(raw)
    net = _Red(DepthDescription("toy", 32, 32, 4)).eval()
    taken = net.normalise(raw / 255)
    assert torch.equal(net(taken), taken[:, :1])


def test_settings_of_shares_and_lambdas() -> None:
    assert SHARES.dial_name == "keep" and SHARES.default_dial == 0.2 and SHARES.dial_range == (0.05, 0.5)
    assert SHARES.lambda_of(0.1) == pytest.approx(8.0) and SHARES.keep_of(1.0) == pytest.approx(0.4)
    assert Setting.of(SHARES, lam=8.0).keep == pytest.approx(0.1)
    with pytest.raises(DepthcueError, match="between 1 and 8"):
        SHARES.check_lambda(9.0)
    with pytest.raises(DepthcueError, match="both given"):
        SHARES.dial_value(0.2, 2.0)
    fixed = MaskDescription("g", "t", 32, 32, 4, 5.0)
    assert not fixed.has_dial and fixed.dial_name is None and fixed.check_dial(None) == 5.0


def test_a_description_comes_from_a_card() -> None:
    card = {"name": "d", "height": 32, "width": 48, "multiple": 4, "mean": [0.1, 0.2, 0.3], "unknown": 1}
    made = description_from(DepthDescription, card)
    assert made == DepthDescription("d", 32, 48, 4, mean=(0.1, 0.2, 0.3)) and made.depth_range == 10.0
