"""compare-losses: masks whose differences are known, and the training of its nets in stages that are never lost."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainings import save_pictures_with_depth
from toy_nets import SIZE, RedDepth, RedMask, ToyData

from depthcue.data import SceneTruth
from depthcue.errors import DepthcueError
from depthcue.evaluation.compare_losses import LOSSES, CompareLossesSettings, compare_losses, plan, train_and_compare
from depthcue.nets import MaskDescription, MaskNet
from depthcue.progress import Silent


class Columns(MaskNet):
    """Keeps the columns from `start` on, as many as a fifth of the picture; the same in every picture."""

    def __init__(self, start: int) -> None:
        super().__init__(MaskDescription(f"from-{start}", "red-depth", *SIZE, multiple=1, default_lambda=4.0,
                                         mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
        self.start = start

    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        mask = torch.zeros_like(normalised[:, :1])
        mask[..., self.start:self.start + 6] = 1.0
        return mask


class KnownObjects(ToyData):
    """Toy pictures with one small object in the columns 8 and 9."""

    def evaluation_batch(self, indices: Any, device: Any = "cpu") -> Any:
        batch = super().evaluation_batch(indices, device)
        batch.rgb[:] = 0.0  # no edges: all is surface
        return batch

    def truth(self, indices: Any, device: Any = "cpu") -> SceneTruth:
        objects = torch.zeros(len(indices), 1, *SIZE, dtype=torch.int64)
        objects[..., 4:7, 8:10] = 1  # 6 of 768 pixels
        nothing = torch.zeros(len(indices), 3, *SIZE)
        return SceneTruth({}, nothing, objects, objects, torch.zeros(len(indices)), torch.zeros(len(indices), 2),
                          [["room", "cup"]] * len(indices))


def test_what_changes_between_masks_is_measured(tmp_path: Path) -> None:
    nets = [(loss, RedDepth(), Columns(start)) for loss, start in zip(LOSSES, (20, 6, 6), strict=True)]
    results = compare_losses(nets, KnownObjects(), tmp_path, CompareLossesSettings(draws=200, share=6 / 32))
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    first, second, third = (entry["masks"] for entry in results["losses"])
    assert first["mean"] == second["mean"] == pytest.approx(6 / 32)
    assert (first["on_small_objects"], second["on_small_objects"]) == (0, pytest.approx(6 / (6 * 24), rel=1e-5))
    assert first["on_surfaces"] == 1 and results["regions"]["on_small_objects"] == pytest.approx(6 / 768, rel=1e-5)
    assert second == third
    changes = {(change["loss"], change["minus"]): change for change in results["changes"]}
    assert list(changes) == [(LOSSES[1], LOSSES[0]), (LOSSES[2], LOSSES[1]), (LOSSES[2], LOSSES[0])]
    assert changes[LOSSES[1], LOSSES[0]]["on_small_objects_ci95"][0] > 0
    assert changes[LOSSES[2], LOSSES[1]]["straightness_ci95"] == [0, 0]
    assert len(results["examples"]) == 4 and len(results["examples"][0]["masks"]) == 3


def test_without_known_objects_they_are_left_out(tmp_path: Path) -> None:
    nets = [(loss, RedDepth(), RedMask()) for loss in LOSSES]
    results = compare_losses(nets, ToyData(has_depth=False), tmp_path, CompareLossesSettings(draws=50, examples=1))
    assert results["small_objects_known"] is False
    assert "on_small_objects" not in results["losses"][0]["masks"] and "on_surfaces" in results["regions"]
    assert results["losses"][0]["whole"] == {}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_pictures_with_depth(tmp_path_factory.mktemp("pictures"), 4, (4, 6))


class Steps(Silent):
    """Counts the steps of each training, and stops as Ctrl-C does after so many in all."""

    def __init__(self, stop_after: int = -1) -> None:
        self.trained: dict[str, int] = {}
        self.left = stop_after
        self.what = ""

    def start(self, what: str, total: int | None = None) -> None:
        self.what = what

    def advance(self, steps: int = 1, **figures: float) -> None:
        if self.what.startswith("training"):
            self.trained[self.what] = self.trained.get(self.what, 0) + steps
            self.left -= steps
            if self.left == 0:
                import signal

                signal.raise_signal(signal.SIGINT)


def _train(pictures: str, out: Path, progress: Steps, **changes: Any) -> Any:
    options = {"data": (pictures,), "size": (32, 48), "backbone": "none", "batch_size": 2, **changes}
    depth, mask = plan("compact", None, 2, 2, None, 3.0, **options)
    return train_and_compare(depth, mask, out, CompareLossesSettings(draws=50, examples=1), device="cpu",
                             progress=progress)


def test_stages_are_trained_once_and_gone_on_with(pictures: str, tmp_path: Path) -> None:
    stopped = Steps(stop_after=5)  # in the first step of the second depth net
    with pytest.raises(KeyboardInterrupt):
        _train(pictures, tmp_path / "out", stopped)
    assert not (tmp_path / "out" / "results.json").exists()

    rest = Steps()
    results = _train(pictures, tmp_path / "out", rest)
    # what was finished is not trained again; the depth net that was stopped shows the step it stood at, then the other
    assert list(rest.trained) == ["training depth net 2 of 3, depth+grad", "training mask net 2 of 3, depth+grad",
                                  "training depth net 3 of 3, depth+grad+normal",
                                  "training mask net 3 of 3, depth+grad+normal"]
    assert [entry["steps"] for entry in results["losses"]] == [[2, 2]] * 3
    assert {entry["lambda"] for entry in results["losses"]} == {3.0}
    assert len({entry["target_net"]["sha256"] for entry in results["losses"]}) == 3

    again = Steps()
    repeated = _train(pictures, tmp_path / "out", again)
    assert again.trained == {} and repeated["losses"] == results["losses"]

    with pytest.raises(DepthcueError, match="seed: 0 then, 1 now"):
        _train(pictures, tmp_path / "out", Steps(), seed=1)


def test_mistakes_say_what_is_allowed(pictures: str, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="no mask net called 'giant'"):
        plan("compact", "giant", None, None, None, None, size=None, backbone="none")
    with pytest.raises(DepthcueError, match="above 0 and below 1, got 1"):
        compare_losses([(LOSSES[0], RedDepth(), RedMask())], ToyData(), tmp_path / "out",
                       CompareLossesSettings(share=1.0))
    with pytest.raises(DepthcueError, match="no images"):
        compare_losses([(LOSSES[0], RedDepth(), RedMask())], ToyData(0), tmp_path / "out")
    assert not (tmp_path / "out").exists()
