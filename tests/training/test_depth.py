"""Training a depth net: losses, teachers, and its card."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_trainings import depth_training
from torch import Tensor

from depthcue.data import RgbdBatch
from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet, load_depth_net
from depthcue.nets.base import INVERSE_DEPTH
from depthcue.training.depth import (
    Calibration,
    _answer,
    _mixed,
    calibrate,
    depth_recipe,
    predicted_depth_m,
    train_depth,
)


class Red(DepthNet):
    """Predicts the picture's red channel."""

    def forward(self, normalised: Tensor) -> Tensor:
        return normalised[:, :1]


def test_inverse_depth_is_turned_round_for_the_loss() -> None:
    net = Red(DepthDescription("toy", 32, 32, 16, predicts=INVERSE_DEPTH))
    torch.testing.assert_close(predicted_depth_m(net, torch.tensor([0.5, 0.02])), torch.tensor([2.0, 50.0]))


def test_metres_below_zero_still_learn() -> None:
    prediction = torch.tensor([-1.0, 2.0], requires_grad=True)
    depth_m = predicted_depth_m(Red(DepthDescription("toy", 32, 32, 16)), prediction)
    depth_m.sum().backward()
    assert prediction.grad is not None and prediction.grad.tolist() == [1.0, 1.0]


def test_each_net_is_trained_with_the_loss_it_was_published_with() -> None:
    nothing_said = dict.fromkeys(("steps", "epochs", "learning_rate", "schedule", "average", "loss"))
    losses = {net: depth_recipe(net, **nothing_said)["loss"] for net in ("hu-senet154", "laina-resnet50", "compact")}
    assert losses == {"hu-senet154": "depth+grad+normal", "laina-resnet50": "l1", "compact": "l1"}


def test_depth_net_learns_and_its_card_says_how(pictures: str, tmp_path: Path) -> None:
    weights = train_depth(depth_training(pictures, steps=40, half=True), tmp_path / "run", device="cpu")

    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.3
    net = load_depth_net(str(weights))
    assert net.card["training"]["steps"] == 40
    assert (net.description.height, net.description.width) == (48, 64)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_teacher_answers_for_pictures_without_depth(pictures: str, target: str, tmp_path: Path) -> None:
    """The labelled pictures say that grey is 5 m away; of flat grey pictures the teacher says something else."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(2):
        Image.new("RGB", (64, 48), (125, 125, 125)).save(flat / f"{number}.png")
    what = depth_training(pictures, steps=60, learning_rate=3e-3, average=0.0, augmentation="none", teacher=target,
                          taught=(f"folder:{flat}",))
    net, teacher = load_depth_net(str(train_depth(what, tmp_path / "run", device="cpu"))), load_depth_net(target)
    assert net.card["teacher"]["sha256"] == teacher.card["sha256"]
    grey = torch.full((1, 3, 48, 64), 125 / 255)
    with torch.inference_mode():
        wanted_m, seen_m = (float(one(one.normalise(grey)).mean()) for one in (teacher, net))
    assert abs(seen_m - wanted_m) < 0.25 * abs(5.0 - wanted_m)


class InverseDepth(DepthNet):
    """Predicts inverse depth in a unit of its own: the depth 2 + red, times a hundred."""

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        return 0.01 / (2 + normalised[:, :1])


def inverse_depth(shift_unknown: bool) -> DepthNet:
    return InverseDepth(DepthDescription("inverse", 8, 8, 1, predicts="inverse depth", relative=True,
                                         shift_unknown=shift_unknown, mean=(0.0,) * 3, std=(1.0,) * 3))


def test_a_relative_teacher_is_brought_to_the_scale_of_the_net() -> None:
    """What a teacher right up to scale and shift sees, inverse depth, comes at the scale of the prediction."""
    teacher = inverse_depth(shift_unknown=True)
    rgb = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    predicted = 7.0 * (2 + rgb[:, :1])
    answer, counts = _answer(teacher, rgb, predicted, 1e3, Calibration())
    torch.testing.assert_close(answer, predicted, rtol=1e-4, atol=1e-4)
    assert counts.all()
    # where shapes differ, as many pixels are nearer as farther, however much nearer: the scale is not pulled at
    bent = torch.where(torch.arange(8)[:, None] < 3, 0.2 * predicted, predicted)
    ratio = _answer(teacher, rgb, bent, 1e3, Calibration())[0] / bent
    torch.testing.assert_close(ratio.flatten(1).quantile(0.5, 1), torch.ones(2), rtol=0.02, atol=0)


def test_a_teacher_right_up_to_a_scale_has_one_scale_in_all_pictures() -> None:
    """The pictures with depth say which, whatever the net predicts."""
    class Labelled:
        max_depth_m = 1e3

        def __init__(self, depths_per_unit: list[float]) -> None:
            self.depths_per_unit = depths_per_unit

        def __len__(self) -> int:
            return len(self.depths_per_unit)

        def evaluation_batch(self, indices: list[int], device: object) -> RgbdBatch:
            rgb = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(indices[0]))
            depth_m = self.depths_per_unit[indices[0]] * (2 + rgb[:, :1])
            valid = torch.arange(8).view(1, 1, 1, 8).expand(1, 1, 8, 8) > 3
            return RgbdBatch(rgb, torch.where(valid, depth_m, torch.inf), valid, ["picture"])

    cpu = torch.device("cpu")
    calibration = calibrate(inverse_depth(False), [Labelled([6.0, 7.0, 90.0]), Labelled([7.0])], cpu)
    assert calibration.scale == pytest.approx(0.07, rel=1e-4) and calibration.sky
    assert calibrate(inverse_depth(True), [Labelled([7.0])], cpu).scale is None
    assert calibrate(inverse_depth(False), [], cpu) == Calibration(None, False)
    rgb = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    answer, counts = _answer(inverse_depth(False), rgb, torch.full((2, 1, 8, 8), 3.0), 1e3, calibration)
    torch.testing.assert_close(answer, 7.0 * (2 + rgb[:, :1]), rtol=1e-4, atol=1e-4)
    assert counts.all()


def test_a_teacher_without_labels_is_not_asked_about_the_sky() -> None:
    """Above the row it sees farthest only what it sees near counts, whatever the net predicts."""
    red = torch.tensor([4.0, 4.0, 5.0, 9.0, 8.0, 6.0, 1.0, 0.0]).view(1, 1, 8, 1)
    rgb = torch.cat([red, torch.zeros(1, 2, 8, 1)], 1).expand(1, 3, 8, 8)

    def rows(calibration: Calibration) -> list[int]:
        counts = _answer(inverse_depth(False), rgb, torch.full((1, 1, 8, 8), 80.0), 80.0, calibration)[1]
        assert (counts.all(3) == counts.any(3)).all()
        return counts[0, 0, :, 0].nonzero()[:, 0].tolist()

    assert rows(Calibration(0.03, sky=True)) == [3, 4, 5, 6, 7]
    assert rows(Calibration(0.018, sky=True)) == [0, 1, 3, 4, 5, 6, 7]  # 10.8 m and 12.6 m
    assert rows(Calibration(0.03, sky=False)) == list(range(8))


def test_half_of_the_taught_pictures_have_another_laid_over_them(generator: torch.Generator) -> None:
    rgb = torch.arange(400.0).view(400, 1, 1, 1).expand(400, 3, 2, 2)
    mixed = _mixed(rgb, generator)[:, 0, 0, 0]
    changed = mixed[1:] != rgb[1:, 0, 0, 0]
    assert 0.4 < float(changed.float().mean()) < 0.6  # 400 draws: within 4 deviations of a half
    above = rgb[1:, 0, 0, 0] - mixed[1:]  # the one before is one darker
    assert float(above.min()) >= 0 and 0.45 < float(above.max()) <= 0.5


def test_teacher_and_taught_need_each_other(pictures: str, tmp_path: Path) -> None:
    for half in ({"teacher": "compact-indoor"}, {"taught": (pictures,)}):
        with pytest.raises(DepthcueError, match="--teacher and --taught"):
            train_depth(depth_training(pictures, steps=1, **half), tmp_path / "run", device="cpu")
