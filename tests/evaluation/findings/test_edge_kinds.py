"""Kinds of edges on masks that follow strength alone, or one kind alone."""

from typing import Any

import numpy as np
import pytest
import torch
from masked_batches import masked_batches, scene_truth
from torch import Tensor

from depthcue.evaluation.findings.cells import NOWHERE, edge_strength
from depthcue.evaluation.findings.objects import (
    BY_DEPTH,
    CAUSES,
    IMAGE_EDGE,
    STRENGTHS,
    EdgeKinds,
    kinds_by_cause,
    kinds_by_depth,
    widened,
)

COUNT, HEIGHT, WIDTH = 8, 40, 60


@pytest.fixture
def rgb(generator: torch.Generator) -> Tensor:
    """Pictures whose contrast grows to the right, so that every strength of edge occurs with every kind."""
    noise = torch.rand(COUNT, 1, HEIGHT, WIDTH, generator=generator) - 0.5
    return (0.5 + noise * torch.linspace(0.01, 0.9, WIDTH)).expand(-1, 3, -1, -1)


@pytest.fixture
def edges() -> dict[str, Tensor]:
    """Level lines, ten rows apart, of one kind each."""
    marks = {}
    for row, name in ((5, "occlusion"), (15, "crease"), (25, "texture"), (35, "shadow")):
        marks[name] = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.bool)
        marks[name][:, :, row] = True
    return marks


def _found(rgb: Tensor, mask: Tensor, edges: dict[str, Tensor]) -> dict[str, Any]:
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, mask, scene_truth(COUNT, HEIGHT, WIDTH, edges)))
    return finding.results(draws=100, seed=0)


def _difference(found: dict[str, Any], of: list[str], minus: list[str]) -> dict[str, Any]:
    return next(entry["difference"] for entry in found["at_equal_strength"]
                if entry["of"] == of and entry["minus"] == minus)


def test_of_a_mask_that_is_strength_kinds_explain_nothing_more(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    found = _found(rgb, edge_strength(rgb), edges)
    fits = found["explained"]["all pixels"]
    # what is missing to 1 is the width of the bins
    assert fits["strength"]["value"] > 0.97
    assert abs(fits["kind_given_strength"]["value"]) < 0.003
    assert abs(_difference(found, ["occlusion", "crease"], ["shadow", "texture"])["value"]) < 0.05
    for entry in found["by_kind"]:
        assert entry["kept"]["difference"]["value"] == 0


def test_of_a_mask_that_is_one_kind_strength_explains_little(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    found = _found(rgb, widened(edges["occlusion"]).float(), edges)
    fits = found["explained"]["all pixels"]
    assert fits["kind"]["value"] == pytest.approx(1)
    assert fits["strength"]["value"] < 0.01
    # a rare pair of strength and kind that one picture alone has is predicted by its strength
    assert fits["strength_given_kind"]["value"] == pytest.approx(0, abs=0.005)
    assert fits["kind_given_strength"]["ci95"][0] > 0.98
    attention = {entry["kind"]: entry["attention"]["value"] for entry in found["by_kind"]}
    # 3 rows of 40 have all of it
    assert attention == pytest.approx({"occlusion": 40 / 3, "crease": 0, "shadow": 0, "texture": 0, "inside": 0},
                                      rel=1e-5)
    assert _difference(found, ["occlusion"], ["inside"])["value"] == pytest.approx(40 / 3, rel=1e-5)
    assert _difference(found, ["occlusion", "crease"], ["shadow", "texture"])["ci95"][0] > 0
    # all of a mask's first 7.5% are on occlusions, the rest of its 20% anywhere else
    kept = {entry["kind"]: entry["kept"]["mask"]["value"] for entry in found["by_kind"]}
    assert kept["occlusion"] == pytest.approx(3 / 40 / 0.2)
    assert sum(kept.values()) == pytest.approx(1)
    assert sum(entry["share"]["value"] for entry in found["by_kind"]) == pytest.approx(1)


def test_a_mask_that_is_the_same_everywhere_prefers_nothing(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    for level in (0.0, 0.3):
        found = _found(rgb, torch.full((COUNT, 1, HEIGHT, WIDTH), level), edges)
        assert {entry["attention"]["value"] for entry in found["by_kind"]} == {1.0}


def test_a_pixel_on_two_edges_is_of_the_first_kind() -> None:
    marks = {name: torch.zeros(1, 1, 5, 9, dtype=torch.bool) for name in ("occlusion", "shadow")}
    marks["shadow"][..., 2, :5] = True
    marks["occlusion"][..., 2, 4] = True
    kinds = kinds_by_cause(scene_truth(1, 5, 9, marks))[0, 0]
    names = np.array(CAUSES)[kinds.numpy()]
    assert names[2].tolist() == ["shadow"] * 3 + ["occlusion"] * 3 + ["inside"] * 3
    assert set(names[0]) == {"inside"}  # two rows away


def _box(count: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """A box 2 m away before a wall 4 m away, in depth of half the size; the wall has a painted line."""
    depth_m = torch.full((count, 1, 20, 30), 4.0)
    depth_m[..., 6:14, 5:12] = 2.0
    rgb = torch.full((count, 3, 40, 60), 0.5)
    rgb[..., 12:28, 10:24] = 0.9
    rgb[..., 44:46] = 0.9
    return rgb, depth_m, torch.ones_like(depth_m, dtype=torch.bool)


def test_kinds_by_depth() -> None:
    rgb, depth_m, valid = _box(1)
    kinds = kinds_by_depth(masked_batches(rgb, rgb[:, :1], stored=(depth_m, valid)))
    assert kinds is not None
    names = np.array(BY_DEPTH)[kinds[0, 0].numpy()]
    assert names[20, 10] == names[12, 16] == "depth edge"
    assert names[20, 44] == "image edge"
    assert names[20, 17] == names[4, 4] == names[35, 30] == "inside"


def test_kinds_on_real_data_by_depth_edges() -> None:
    rgb, depth_m, valid = _box()
    mask = torch.zeros(8, 1, 40, 60)
    mask[..., 8:32, 6:28] = 1
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, mask, stored=(depth_m, valid)))
    found = finding.results(draws=50, seed=0)
    assert found["kinds"] == list(BY_DEPTH)
    assert _difference(found, ["depth edge"], ["image edge"])["ci95"][0] > 1


def test_the_threshold_of_image_edges_is_a_bound_of_strength() -> None:
    assert IMAGE_EDGE in STRENGTHS


def test_without_dense_depth_the_finding_is_left_out() -> None:
    rgb, depth_m, valid = _box(2)
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, rgb[:, :1]))
    assert "no depth" in finding.results(10, 0)["left_out"]
    sparse = torch.zeros_like(valid)
    sparse[..., ::5, ::5] = True
    kinds = kinds_by_depth(masked_batches(rgb, rgb[:, :1], stored=(depth_m * sparse, sparse)))
    assert kinds is not None and (kinds == NOWHERE).all()
    finding.add(masked_batches(rgb, rgb[:, :1], stored=(depth_m * sparse, sparse)))
    assert "too sparse" in finding.results(10, 0)["left_out"]
