"""Still pictures for a gallery: exact masks in 8 bits, honest figures, and files where the entry says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy_nets import SIZE, RedDepth, RedMask, ToyData

from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_edges
from depthcue.evaluation.images import WIDEST, Step, save_still


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_a_mask_is_kept_to_the_level_and_its_figures_are_those_of_the_mask(tmp_path: Path,
                                                                           generator: torch.Generator) -> None:
    mask = torch.rand(1, 24, 32, generator=generator)
    whole_m = 1 + torch.rand(1, 12, 16, generator=generator)
    still = save_still(tmp_path, "7", "a room", torch.rand(3, 48, 64, generator=generator), mask, whole_m,
                       [Step({"lambda": 0.5}, torch.ones_like(mask), whole_m),
                        Step({"lambda": 4.0}, mask, whole_m + 0.25)])
    first, second = still["steps"]
    assert (still["name"], first["lambda"], second["lambda"]) == ("a room", 0.5, 4.0)
    assert (first["mean"], first["above_half"], first["difference_m"]) == (1, 1, 0)
    assert second["mean"] == pytest.approx(float(mask.mean()), rel=1e-5)
    assert second["above_half"] == pytest.approx(float((mask > 0.5).double().mean()), rel=1e-5)
    assert second["difference_m"] == pytest.approx(0.25, rel=1e-5)
    kept = _pixels(tmp_path / second["mask"])
    assert kept.shape == (24, 32)
    assert np.abs(kept / 255 - mask[0].numpy()).max() <= 0.5 / 255 + 1e-6
    for path in (still["picture"], still["depth"], second["depth"]):
        assert _pixels(tmp_path / path).shape == (48, 64, 3)
    assert "depth_truth" not in still


def test_depth_nobody_knows_does_not_set_the_colours(tmp_path: Path, generator: torch.Generator) -> None:
    depth_m = torch.full((1, 24, 32), 2.0)
    depth_m[:, :, 16:] = 8.0
    valid = torch.zeros_like(depth_m, dtype=torch.bool)
    mask = torch.ones(1, 24, 32)
    whole_m = depth_m[:, ::2, ::2]
    arguments = (torch.rand(3, 24, 32, generator=generator), mask, whole_m, [Step({"lambda": 1.0}, mask, whole_m)])
    unknown = save_still(tmp_path, "unknown", "", *arguments, (depth_m * 100, valid))
    assert (unknown["near_m"], unknown["far_m"]) == (2, 8)
    valid[:, :, 16:] = True
    known = save_still(tmp_path, "known", "", *arguments, (depth_m * 100, valid))
    assert known["near_m"] == 800
    shown = _pixels(tmp_path / known["depth_truth"])
    assert len(np.unique(shown[:, :16].reshape(-1, 3), axis=0)) == 1  # the grey of what is not known
    assert (shown[:, :16] != shown[:, 16:]).any()


def test_huge_pictures_are_shrunk(tmp_path: Path) -> None:
    mask = torch.ones(1, 24, 48)
    still = save_still(tmp_path, "0", "", torch.zeros(3, 700, 1400), mask, mask + 1,
                       [Step({"lambda": 1.0}, mask, mask + 1)])
    assert _pixels(tmp_path / still["picture"]).shape == (WIDEST // 2, WIDEST, 3)


def test_comparing_leaves_its_examples_with_every_lambda(tmp_path: Path) -> None:
    results = compare_edges(RedMask(dial=True), RedDepth(), ToyData(), tmp_path,
                            CompareEdgesSettings(shares=(0.2, 0.5, 0.9), soft_maps=False, draws=20, examples=2,
                                                 batch_size=4))
    assert [still["name"] for still in results["gallery"]] == [example["name"] for example in results["examples"]]
    used = sorted({entry["lambda"] for entry in results["curves"]["mask"]})
    for still in results["gallery"]:
        assert [step["lambda"] for step in still["steps"]] == pytest.approx(used, rel=1e-2)
        # the toy keeps 1 / lambda, and with all red pixels the depth stays
        assert [step["above_half"] for step in still["steps"]] == pytest.approx([1 / lam for lam in used], abs=0.02)
        assert max(step["difference_m"] for step in still["steps"]) < 1e-5
        assert _pixels(tmp_path / still["steps"][0]["mask"]).shape == SIZE
    without = compare_edges(RedMask(), RedDepth(), ToyData(), tmp_path / "without",
                            CompareEdgesSettings(soft_maps=False, draws=20, gallery=False))
    assert without["gallery"] == [] and not (tmp_path / "without" / "gallery").exists()
