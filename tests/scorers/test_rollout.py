"""Attention rollout against plain loops, on tiny transformers and on attention made by hand."""

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
from depthcue.nets import load_depth_net
from depthcue.nets.foreign.transformers_model import attention_of
from depthcue.scorers import Pictures, ScorerInputs, build_scorer
from depthcue.scorers.attribution import patch_scores

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
