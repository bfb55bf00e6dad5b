"""Attributions of a net that reads known pixels with known weight; attention rollout against plain loops."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_nets import FirstLook
from tiny_transformers import depth_anything, dpt, glpn, save, zoedepth
from torch import nn

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet, load_depth_net
from depthcue.nets.foreign.transformers_model import attention_of
from depthcue.scorers import Pictures, ScorerInputs, build_scorer
from depthcue.scorers.attribution import patch_scores

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


Array = NDArray[np.float64]


def _reference(layers: list[Array], patches: int) -> list[float]:
    """Rollout of layers (heads, T, T): for each patch the mean over patches of what they hold of it."""
    tokens = layers[0].shape[-1]
    rolled = [[float(i == j) for j in range(tokens)] for i in range(tokens)]
    for attention in layers:
        mixed = [[sum(head[i, j] for head in attention) / len(attention) / 2 + (0.5 if i == j else 0.0)
                  for j in range(tokens)] for i in range(tokens)]
        rolled = [[sum(mixed[i][k] * rolled[k][j] for k in range(tokens)) for j in range(tokens)]
                  for i in range(tokens)]
    first = tokens - patches
    return [sum(rolled[i][j] for i in range(first, tokens)) / patches for j in range(first, tokens)]


def _random_attention(tokens: int, layers: int = 3, heads: int = 2, count: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.softmax(3 * torch.randn(count, heads, tokens, tokens, generator=generator), dim=-1)
            for _ in range(layers)]


@pytest.mark.parametrize("others", [0, 1, 5])
def test_scores_of_patches_are_the_papers_product(others: int) -> None:
    """With tokens before the patches, which carry some of it on and hold no pixels."""
    layers = _random_attention(others + 6)
    scores = patch_scores(layers, (2, 3))
    assert scores.shape == (2, 1, 2, 3)
    for row in range(2):
        wanted = _reference([layer[row].double().numpy() for layer in layers], 6)
        np.testing.assert_allclose(scores[row].flatten().numpy(), wanted, rtol=1e-5)


def test_the_order_of_layers_counts_and_the_first_reads_the_picture() -> None:
    """All tokens take everything from patch 1 in the first layer, from patch 4 in the last."""
    first, last = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    first[..., 1] = last[..., 4] = 1.0
    scores = patch_scores([first, last], (2, 3)).flatten()
    # what the last layer takes from patch 4 holds a half of patch 1 by then
    assert scores.tolist() == pytest.approx([1 / 24, 13 / 24, 1 / 24, 1 / 24, 7 / 24, 1 / 24])


@pytest.mark.parametrize(("make", "size", "grid"), [
    (depth_anything, (42, 70), (3, 5)), (dpt, (48, 80), (4, 4)), (zoedepth, (64, 96), (4, 6)),
    (lambda: zoedepth(heads=2), (64, 96), (4, 6)),
], ids=["depth-anything", "dpt", "zoedepth", "zoedepth-two-heads"])
def test_transformers_are_rolled_out(make: Callable[[], tuple[nn.Module, Any]], size: tuple[int, int],
                                     grid: tuple[int, int], tmp_path: Path) -> None:
    net = load_depth_net(save(tmp_path / "model", make()))
    rgb = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    attention = attention_of(net, net.normalise(rgb))
    patches = grid[0] * grid[1]
    assert attention.grid == grid and len(attention.layers) == 4
    assert all(layer.shape == (2, 2, 1 + patches, 1 + patches) for layer in attention.layers)
    with torch.inference_mode():
        scores = build_scorer("rollout", ScorerInputs(depth_net=net))(Pictures(rgb, [0, 1]))
        depth = net(net.normalise(rgb))
    assert scores.shape == (2, 1, *size)
    assert scores.min() >= 0 and scores.amax(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
    for row in range(2):
        wanted = torch.tensor(_reference([layer[row].double().numpy() for layer in attention.layers], patches))
        enlarged = nn.functional.interpolate(wanted.view(1, 1, *grid), size=size, mode="bilinear")[0]
        torch.testing.assert_close(scores[row], (enlarged / enlarged.max()).float(), rtol=1e-4, atol=1e-6)
    assert float(scores.std()) > 0.001
    # the net answers as before
    fresh = load_depth_net(f"hf:{tmp_path / 'model'}")
    torch.testing.assert_close(depth, fresh(fresh.normalise(rgb)), rtol=1e-5, atol=1e-5)


def test_the_net_is_given_back_as_it_was(tmp_path: Path) -> None:
    net = load_depth_net(save(tmp_path / "model", dpt()))
    transformer = net.body.dpt  # type: ignore[attr-defined]
    before = transformer.config._attn_implementation
    net.train()
    attention_of(net, torch.zeros(1, 3, 32, 32))
    assert transformer.config._attn_implementation == before != "eager"
    assert transformer.training and all(parameter.requires_grad for parameter in transformer.parameters())


def test_nets_without_attention_that_can_be_chained_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="first-look shows no attention") as caught:
        build_scorer("rollout", ScorerInputs(depth_net=FirstLook()))
    assert "Depth Anything" in caught.value.hint
    net = load_depth_net(save(tmp_path / "glpn", glpn()) + ",size=96x64")
    with pytest.raises(DepthcueError, match="shrunken maps"):
        build_scorer("rollout", ScorerInputs(depth_net=net))
