"""Attributions of a net that reads known pixels with known weight."""

import sys

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet
from depthcue.scorers import Pictures, ScorerInputs, build_scorer

SCORERS = ("gradient", "smoothgrad", "integrated-gradients", "occlusion")
SIZE = (18, 24)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class WeightedDepth(DepthNet):
    """Depth is 1 m and, in one block twice, in another once the green of the pixel."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("weighted", *SIZE, multiple=1, **PLAIN))
        self.weight = torch.nn.Parameter(torch.zeros(1, 1, *SIZE))
        with torch.no_grad():
            self.weight[..., 3:9, 3:9] = 2.0
            self.weight[..., 9:15, 15:21] = 1.0

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        return 1 + self.weight * normalised[:, 1:2]


def _pictures(indices: tuple[int, ...] = (0, 1)) -> Pictures:
    return Pictures(torch.full((len(indices), 3, *SIZE), 0.5), indices)


@pytest.mark.parametrize("name", SCORERS)
def test_scores_follow_the_weights(name: str) -> None:
    net = WeightedDepth()
    with torch.inference_mode():
        scores = build_scorer(name, ScorerInputs(depth_net=net))(_pictures())
    assert scores.shape == (2, 1, *SIZE) and not scores.requires_grad
    assert scores.amax(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
    # a window of occlusion is three pixels wide, so its scores run over the edge of a block by two
    for block, value in ((scores[..., 5:7, 5:7], 1.0), (scores[..., 11:13, 17:19], 0.5), (scores[..., :7, 11:], 0.0)):
        torch.testing.assert_close(block, torch.full_like(block, value), atol=1e-4, rtol=0)
    assert net.weight.requires_grad and net.weight.grad is None


class QuadraticDepth(WeightedDepth):
    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        return 1 + self.weight * normalised[:, 1:2] ** 2


def test_the_path_of_integrated_gradients_begins_at_the_mean_colour() -> None:
    """Their sum is the depth gained from it, which the gradient alone doubles here."""
    picture = Pictures(0.2 + 0.6 * torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(1)), [0])
    integrated = build_scorer("integrated-gradients", ScorerInputs(depth_net=QuadraticDepth()))(picture)
    gained = QuadraticDepth().weight.detach() * picture.rgb[:, 1:2] ** 2
    torch.testing.assert_close(integrated, gained / gained.max(), atol=1e-4, rtol=1e-4)


def test_noise_belongs_to_the_picture_and_the_seed() -> None:
    def score(indices: tuple[int, ...], seed: int = 0) -> torch.Tensor:
        return build_scorer("smoothgrad", ScorerInputs(depth_net=QuadraticDepth(), seed=seed))(
            Pictures(torch.linspace(0, 1, 3 * SIZE[0] * SIZE[1]).view(1, 3, *SIZE).expand(len(indices), -1, -1, -1),
                     indices))

    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    together, alone = score((4, 9)), score((9,))
    assert torch.equal(torch.rand(1), before)
    torch.testing.assert_close(together[1:], alone, atol=1e-6, rtol=0)
    assert not torch.equal(together[:1], together[1:]) and not torch.equal(alone, score((9,), seed=1))


def test_a_net_that_sees_the_same_everywhere_gives_no_scores_and_no_nan() -> None:
    net = WeightedDepth()
    torch.nn.init.zeros_(net.weight)
    for name in SCORERS:
        assert build_scorer(name, ScorerInputs(depth_net=net))(_pictures()).abs().max() == 0


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(DepthcueError, match=r"depthcue\[attribution\]"):
        build_scorer("gradient", ScorerInputs(depth_net=WeightedDepth()))
