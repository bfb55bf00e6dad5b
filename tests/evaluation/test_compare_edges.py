"""The comparison on nets whose answers are known, and the document it writes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rewritten_nets import stirred
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, RedShares, ToyData

from depthcue.backends import frozen
from depthcue.errors import DepthcueError
from depthcue.evaluation.compare_edges import SHARES, CompareEdgesSettings, compare_edges
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.compact import CompactDepthNet, CompactMaskNet
from depthcue.progress import Silent
from depthcue.scorers import DirectSettings


def _run(out: Path, data: ToyData | None = None, dial: bool = False, **settings: Any) -> Any:
    data = ToyData() if data is None else data
    return compare_edges(RedMask(dial), RedDepth(), data, out, CompareEdgesSettings(draws=200, **settings))


def test_a_mask_of_exactly_what_the_net_reads_loses_nothing(tmp_path: Path) -> None:
    results = _run(tmp_path)
    assert results["target"]["rmse"] == pytest.approx(0.1, abs=1e-5)
    for entry in results["curves"]["mask"]:
        # every share from 0.1 on holds all the red pixels (768 * 0.1 is rounded as the toy rounds it)
        assert entry["sparseness"] >= RED_SHARE
        assert entry["rmse_to_target"] == pytest.approx(0, abs=1e-6)
        assert entry["rmse"] == pytest.approx(0.1, abs=1e-5)
        assert entry["minus_mask_ci95"] == [0, 0]
    for method in ("sobel", "random"):
        for entry in results["curves"][method][:5]:
            assert entry["rmse_to_target"] > 0.1
            assert entry["minus_mask_ci95"][0] > 0 and entry["to_target_minus_mask_ci95"][0] > 0
    # what is left of the depth above 1 m is the share of red pixels seen
    random = results["curves"]["random"][4]
    assert random["rmse_to_target"] == pytest.approx(0.5 * 4 * 0.075, rel=0.2)


def test_the_document_is_whole(tmp_path: Path) -> None:
    results = _run(tmp_path, lam=4.0)
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    assert (results["schema"], results["command"], results["images"], results["ground_truth"]) == (
        1, "compare-edges", 6, True)
    assert {"rmse", "rmse_ci95", "abs_rel", "abs_rel_scaled", "delta1", "log10"} <= results["target"].keys()
    assert list(results["curves"]) == ["mask", "sobel", "random"]
    for entries in results["curves"].values():
        assert [entry["sparseness"] for entry in entries] == list(SHARES)
        for entry in entries:
            for name in ("rmse", "rmse_to_target"):
                low, high = entry[f"{name}_ci95"]
                assert low <= entry[name] <= high
            low, high = entry["minus_mask_ci95"]
            assert low <= entry["minus_mask"] <= high
    assert {entry["lambda"] for entry in results["curves"]["mask"]} == {4.0}
    assert results["data"]["spec"] == "toy:red"
    assert results["weights"]["name"] == "red-mask" and results["target_net"]["name"] == "red-depth"
    each = results["per_image"]
    assert each["names"] == [f"toy-{index}" for index in range(6)]
    assert len(each["curves"]["sobel"]["0.3"]["rmse_to_target"]) == len(each["target"]["rmse"]) == 6
    squares = [rmse**2 for rmse in each["curves"]["sobel"]["0.3"]["rmse"]]
    assert results["curves"]["sobel"][2]["rmse"] == pytest.approx((sum(squares) / 6) ** 0.5, rel=1e-4)


def test_results_of_before_do_not_outlive_a_comparison_that_was_stopped(tmp_path: Path) -> None:
    class Stopped(Silent):
        def advance(self, steps: int = 1, **figures: float) -> None:
            raise KeyboardInterrupt

    _run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compare_edges(RedMask(), RedDepth(), ToyData(), tmp_path, CompareEdgesSettings(draws=200), progress=Stopped())
    assert not (tmp_path / "results.json").exists() and (tmp_path / "examples").exists()


def test_soft_maps_hide_as_much_as_the_mask(tmp_path: Path) -> None:
    (entry,) = _run(tmp_path)["soft"]
    assert entry["mask"]["mean"] == pytest.approx(77 / 768, abs=1e-5)
    assert entry["sobel"]["mean"] == pytest.approx(entry["mask"]["mean"], abs=1e-3)
    assert entry["binary"]["sparseness"] == pytest.approx(77 / 768, abs=1e-5)
    assert entry["binary"]["rmse"] == pytest.approx(0.1, abs=1e-5)
    assert entry["sobel"]["minus_mask_ci95"][0] > 0


def test_soft_maps_can_be_left_out(tmp_path: Path) -> None:
    without, both = _run(tmp_path / "without", soft_maps=False), _run(tmp_path / "both")
    assert without["soft"] == [] and without["curves"] == both["curves"]


def test_a_dial_is_turned_to_masks_of_about_the_share(tmp_path: Path) -> None:
    results = _run(tmp_path, dial=True)
    assert len(results["lambda"]["sweep"]) == 16
    for entry in results["curves"]["mask"]:
        # the toy keeps 1 / lambda; a step of the sweep is a factor 1.17
        assert 1 / entry["lambda"] == pytest.approx(entry["sparseness"], rel=0.1)
        assert entry["rmse_to_target"] == pytest.approx(0, abs=1e-6)


def test_ground_truth_does_not_choose_the_lambda(tmp_path: Path) -> None:
    seen, unseen = (_run(tmp_path / str(has), ToyData(has_depth=has), dial=True) for has in (True, False))
    assert seen["lambda"] == unseen["lambda"]
    assert [entry["lambda"] for entry in seen["curves"]["mask"]] == [
        entry["lambda"] for entry in unseen["curves"]["mask"]]


def test_without_depth_errors_are_to_the_target_alone(tmp_path: Path) -> None:
    results = _run(tmp_path, ToyData(has_depth=False))
    assert results["ground_truth"] is False and results["target"] == {}
    for entries in results["curves"].values():
        for entry in entries:
            assert not {"rmse", "rmse_ci95", "minus_mask_ci95"} & entry.keys()
            assert {"rmse_to_target", "rmse_to_target_ci95", "to_target_minus_mask_ci95"} <= entry.keys()
    assert "rmse" not in results["per_image"]["target"]
    assert "depth_truth" not in results["examples"][0]["tiles"]


def test_an_image_without_valid_depth_is_left_out_and_named(tmp_path: Path) -> None:
    results = _run(tmp_path, ToyData(unknown=[2]))
    assert results["images"] == 6
    assert results["data"]["without_valid_depth"] == ["toy-2"]
    assert results["target"]["rmse"] == pytest.approx(0.1, abs=1e-5)
    assert results["per_image"]["target"]["rmse"][2] is None


def test_results_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    one, many = (_run(tmp_path / str(size), batch_size=size) for size in (1, 4))
    for method, entries in one["curves"].items():
        for entry, other in zip(entries, many["curves"][method], strict=True):
            assert entry["rmse"] == pytest.approx(other["rmse"], rel=1e-5)


def test_another_seed_draws_other_pixels(tmp_path: Path) -> None:
    first, again, other = (_run(tmp_path / str(run), seed=seed)["curves"] for run, seed in enumerate((0, 0, 1)))
    assert first == again
    assert first["random"] != other["random"]


def test_examples_show_what_the_net_was_shown(tmp_path: Path) -> None:
    results = _run(tmp_path, examples=2)
    assert len(results["examples"]) == 2
    for example in results["examples"]:
        tiles = {label: Image.open(tmp_path / path) for label, path in example["tiles"].items()}
        assert set(tiles) == {"picture", "mask", "kept_mask", "kept_sobel", "kept_random", "depth_target", "depth_mask",
                              "depth_sobel", "depth_random", "depth_truth"}
        assert {tile.size for tile in tiles.values()} == {(SIZE[1] * 12, SIZE[0] * 12)}
        # the toys' mean colour is black, so the red dots and 0.1 more of the pixels are all there is
        shown = torch.tensor(list(tiles["kept_mask"].getdata(0))) > 0
        assert shown.float().mean() == pytest.approx(RED_SHARE, abs=1e-3)
    assert not list(tmp_path.rglob(".depthcue-*"))


def test_no_more_examples_than_images(tmp_path: Path) -> None:
    assert len(_run(tmp_path, ToyData(1))["examples"]) == 1


@pytest.mark.parametrize(("settings", "message"), [
    ({"against": ("prewitt",)}, "sobel, canny, hed, contrast"),
    ({"against": ("mask",)}, "sobel, canny, hed, contrast"),
    ({"against": ("sobel", "object-boundaries")}, "which object"),
    ({"direct": DirectSettings(steps=0)}, "at least 1"),
    ({"lam": 2.0}, "lambda must be 4"),
])
def test_mistakes_say_what_is_allowed(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _run(tmp_path, **settings)
    assert not any(tmp_path.iterdir())


def test_a_lambda_outside_the_dial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="between 1 and 10"):
        _run(tmp_path, dial=True, lam=50.0)


def test_no_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="no images"):
        _run(tmp_path, ToyData(0))


def test_a_net_of_shares_is_set_to_each_share(tmp_path: Path) -> None:
    results = compare_edges(RedShares(), RedDepth(), ToyData(), tmp_path,
                            CompareEdgesSettings(shares=(0.2, 0.05), soft_maps=True, draws=200))
    few, many = sorted(results["curves"]["mask"], key=lambda entry: float(entry["sparseness"]))
    assert (few["keep"], many["keep"]) == (0.05, 0.2)
    # at half of the red pixels half of the depth is gone, at twice as many nothing
    assert many["rmse_to_target"] == pytest.approx(0, abs=1e-6) and few["rmse_to_target"] > 0.1
    assert few["lambda"] == 8.0 and 2.0 < many["lambda"] < 8.0  # of the table; beyond its ends the nearest
    assert [(entry["keep"], round(entry["mask"]["mean"], 2)) for entry in results["soft"]] == [(0.2, 0.2), (0.05, 0.05)]
    assert "asked for the share itself" in results["lambda"]["choice"] and results["lambda"]["sweep"] == []
    fixed = compare_edges(RedShares(), RedDepth(), ToyData(), tmp_path,
                          CompareEdgesSettings(lam=2.0, draws=200))
    assert fixed["soft"] == []  # its masks are nearly binary
    assert {entry["keep"] for entry in fixed["curves"]["mask"]} == {0.5}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_cannot_be_kept_is_refused(share: float, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="--keep"):
        compare_edges(RedShares(), RedDepth(), ToyData(), tmp_path, CompareEdgesSettings(shares=(share,)))


def test_a_faster_form_of_the_nets_leaves_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(0)
    mask_net = stirred(CompactMaskNet(MaskDescription("mask", "depth", 32, 48, 16, 2.0, keep_range=(0.05, 0.95),
                                                      lambda_at=((0.1, 8.0), (0.5, 2.0))), (8,) * 5, 8))
    depth_net = stirred(CompactDepthNet(DepthDescription("depth", 32, 48, 16), (8,) * 5))
    settings = CompareEdgesSettings(draws=50, soft_maps=True, shares=(0.2, 0.5))
    found = []
    for worth in (10**9, 1):
        monkeypatch.setattr(frozen, "WORTH", worth)
        found.append(compare_edges(mask_net, depth_net, ToyData(), tmp_path / str(worth), settings))
    plain, quick = found
    for error in ("rmse", "rmse_to_target"):
        wanted, given = ([entry[error] for curve in result["curves"].values() for entry in curve]
                         + [entry[method][error] for entry in result["soft"] for method in ("mask", "sobel", "random")]
                         for result in found)
        assert given == pytest.approx(wanted, rel=1e-4)
    for name in ("examples", "gallery"):
        assert [entry["name"] for entry in quick[name]] == [entry["name"] for entry in plain[name]]
