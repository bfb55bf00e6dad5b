"""Both training loops: they learn, resume to the bit, work in several processes, and refuse what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from depthcue.data import RgbdBatch
from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet, build_depth_net, load_depth_net, load_mask_net, upsampling
from depthcue.nets.checkpoint import save_net
from depthcue.nets.guard import whole_depth as base_whole_depth
from depthcue.nets.upsampling import upsampled_conv
from depthcue.progress import Silent
from depthcue.training import mask
from depthcue.training.depth import DepthTraining, _answer, _mixed, depth_recipe, teacher_scale, train_depth
from depthcue.training.engine import _groups, _moving_average
from depthcue.training.mask import KEEP_RANGE, MaskTraining, _lower_hull, _near, mask_recipe, train_mask
from depthcue.training.run import Optimisation

TINY = {"widths": [8, 8, 8, 8, 8]}


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Eight pictures whose depth is written in their brightness."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(8):
        depth = np.kron(rng.uniform(1, 9, (6, 8)), np.ones((8, 8)))
        Image.fromarray((depth * 25).astype(np.uint8)).convert("RGB").save(folder / f"{number}.png")
        Image.fromarray((depth * 1000).astype(np.uint16)).save(folder / f"{number}_depth.png")
    return f"folder:{folder}"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """A depth net whose answer depends strongly on what it sees."""
    net = build_depth_net("compact", config=TINY, height=48, width=64)
    torch.nn.init.normal_(net.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    save_net(net, tmp_path / "target.safetensors", architecture="compact")
    return str(tmp_path / "target.safetensors")


def depth_training(pictures: str, **changes: object) -> DepthTraining:
    return DepthTraining(**{"data": (pictures,), "size": (48, 64), "batch_size": 4, "average": 0.9,  # type: ignore[arg-type]
                            "augmentation": "published", **changes})


class StopAt(Silent):
    """Asks the run to stop, as Ctrl-C does, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.left -= steps
        if self.left == 0:
            import signal

            signal.raise_signal(signal.SIGINT)


def test_depth_net_learns_and_its_card_says_how(pictures: str, tmp_path: Path) -> None:
    weights = train_depth(depth_training(pictures, steps=40, half=True), tmp_path / "run", device="cpu")

    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.3
    net = load_depth_net(str(weights))
    assert net.card["training"]["steps"] == 40
    assert (net.description.height, net.description.width) == (48, 64)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_frozen_encoder_stays_as_it_was_and_its_statistics_too(pictures: str, target: str, tmp_path: Path) -> None:
    weights = train_depth(depth_training(pictures, steps=3, init=target, freeze_encoder=True), tmp_path / "run",
                          device="cpu")
    before, after = load_file(target), load_file(weights)
    for key in before:
        same = torch.equal(before[key], after[key])
        assert same if key.startswith("encoder.") else not same, key
    mask = train_mask(MaskTraining(target, (pictures,), net="drn22", steps=1, batch_size=1), tmp_path / "mask",
                      device="cpu")
    more = train_mask(MaskTraining(target, (pictures,), net="drn22", steps=1, batch_size=1, backbone=str(mask),
                                   freeze_encoder=True), tmp_path / "more", device="cpu")
    first, second = load_file(mask), load_file(more)
    assert torch.equal(first["E.base.8.0.weight"], second["E.base.8.0.weight"])
    assert not torch.equal(first["D.conv.weight"], second["D.conv.weight"])
    with pytest.raises(DepthcueError, match="--freeze-encoder"):
        train_depth(depth_training(pictures, steps=3, freeze_encoder=True), tmp_path / "nothing", device="cpu")


@pytest.mark.parametrize("kind", ["depth", "mask"])
def test_stopped_run_resumes_to_the_same_bits(kind: str, pictures: str, target: str, tmp_path: Path) -> None:
    if kind == "depth":
        what, train = depth_training(pictures, steps=9), train_depth
    else:
        what, train = MaskTraining(target, (pictures,), steps=9, batch_size=4), train_mask  # type: ignore[assignment]
    whole = train(what, tmp_path / "whole", device="cpu")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        train(what, tmp_path / "parts", device="cpu", progress=StopAt(4))  # type: ignore[arg-type]
    assert not (tmp_path / "parts" / f"{kind}.safetensors").exists()
    resumed = train(what, tmp_path / "parts", resume=True, device="cpu")  # type: ignore[arg-type]

    ours, theirs = load_file(resumed), load_file(whole)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert (tmp_path / "parts" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_one_process_trains_in_one_precision_after_another(pictures: str, tmp_path: Path) -> None:
    first, reduced, again = (
        load_file(train_depth(depth_training(pictures, steps=4, precision=precision), tmp_path / str(number),
                              device="cpu"))
        for number, precision in enumerate(("fp32", "bf16", "fp32")))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], reduced[key]) for key in first)
    assert all(torch.isfinite(value).all() for value in reduced.values())


def test_larger_lambda_keeps_fewer_pixels(pictures: str, target: str, tmp_path: Path) -> None:
    what = MaskTraining(target, (pictures,), steps=60, batch_size=8, learning_rate=3e-3, average=0.0, lam=(0.1, 10.0))
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        few, many = (net(net.normalise(rgb), torch.full((4,), lam)).mean() for lam in (10.0, 0.1))
    assert few < many - 0.1
    assert net.description.lambda_range == (0.1, 10.0)


def test_a_net_of_shares_learns_and_its_card_says_what_a_share_costs(pictures: str, target: str,
                                                                     tmp_path: Path) -> None:
    what = MaskTraining(target, (pictures,), steps=120, batch_size=8, learning_rate=3e-3, average=0.0, sharpen=0.6)
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["difference"] < lines[0]["difference"] - 0.05
    assert net.keeps_shares and net.description.keep_range == KEEP_RANGE
    shares, lambdas = zip(*net.description.lambda_at, strict=True)
    assert list(shares) == sorted(shares) and list(lambdas) == sorted(lambdas, reverse=True) and min(lambdas) > 0
    assert net.description.default_lambda == pytest.approx(net.description.lambda_of(0.2), abs=1e-3)
    rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        few, many = (net(net.normalise(rgb), torch.full((4,), share)).mean(dim=(1, 2, 3)) for share in (0.1, 0.5))
    torch.testing.assert_close(few, torch.full((4,), 0.1), atol=1e-3, rtol=0)
    torch.testing.assert_close(many, torch.full((4,), 0.5), atol=1e-3, rtol=0)


def test_the_lower_hull_leaves_out_what_no_lambda_reaches() -> None:
    points = [(0.1, 5.0), (0.2, 3.0), (0.3, 2.9), (0.4, 1.0), (1.0, 0.0)]
    # at 0.3 the straight line from 0.2 to 0.4 lies lower
    assert _lower_hull(points) == [(0.1, 5.0), (0.2, 3.0), (0.4, 1.0), (1.0, 0.0)]
    assert _lower_hull([(0.0, 1.0), (0.5, 2.0), (1.0, 0.0)]) == [(0.0, 1.0), (1.0, 0.0)]


def test_what_a_metric_net_sees_at_the_end_of_its_range_does_not_count(target: str) -> None:
    net = load_depth_net(target)
    depth = torch.tensor([1.0, 9.4, 9.6, 10.0]).view(1, 1, 2, 2)
    assert _near(net, depth).flatten().tolist() == [True, True, False, False]  # type: ignore[union-attr]


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
    answer, counts = _answer(teacher, rgb, predicted, 1e3, None)
    torch.testing.assert_close(answer, predicted, rtol=1e-4, atol=1e-4)
    assert counts.all()
    # where shapes differ, as many pixels are nearer as farther, however much nearer: the scale is not pulled at
    bent = torch.where(torch.arange(8)[:, None] < 3, 0.2 * predicted, predicted)
    ratio = _answer(teacher, rgb, bent, 1e3, None)[0] / bent
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
            return RgbdBatch(rgb, torch.where(valid, depth_m, 0.0), valid, ["picture"])

    cpu = torch.device("cpu")
    scale = teacher_scale(inverse_depth(False), [Labelled([6.0, 7.0, 90.0]), Labelled([7.0])], cpu)
    assert scale == pytest.approx(0.07, rel=1e-4)
    assert teacher_scale(inverse_depth(True), [Labelled([7.0])], cpu) is None
    assert teacher_scale(inverse_depth(False), [], cpu) is None
    rgb = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    answer, counts = _answer(inverse_depth(False), rgb, torch.full((2, 1, 8, 8), 3.0), 1e3, scale)
    torch.testing.assert_close(answer, 7.0 * (2 + rgb[:, :1]), rtol=1e-4, atol=1e-4)
    assert counts.all()


def test_a_teacher_without_labels_is_not_asked_about_the_sky() -> None:
    """Above the row it sees farthest, where the net sees the end of its range, and the teacher nothing near."""
    red = torch.tensor([4.0, 4.0, 5.0, 9.0, 8.0, 6.0, 1.0, 0.0]).view(1, 1, 8, 1) - 2
    rgb = torch.cat([red, torch.zeros(1, 2, 8, 1)], 1).expand(1, 3, 8, 8)
    everywhere = torch.full((1, 1, 8, 8), 10.0)

    def rows(predicted_m: torch.Tensor, scale: float) -> list[int]:
        counts = _answer(inverse_depth(False), rgb, predicted_m, 10.0, scale)[1]
        assert (counts.all(3) == counts.any(3)).all()
        return counts[0, 0, :, 0].nonzero()[:, 0].tolist()

    assert rows(everywhere, 0.01) == [3, 4, 5, 6, 7]
    assert rows(0.9 * everywhere, 0.01) == list(range(8))  # the net sees something there
    assert rows(everywhere, 0.005) == list(range(8)), "what is near is no sky: else the net could call everything sky"


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


def test_an_encoder_from_a_backbone_learns_at_a_rate_of_its_own() -> None:
    net = build_depth_net("lite0", seed=0)
    groups = _groups(net, Optimisation(steps=1, learning_rate=1e-3, encoder_rate=0.2))
    assert [group.get("lr", 1e-3) for group in groups] == [1e-3, pytest.approx(2e-4)]
    encoder = list(net.encoder.parameters())  # type: ignore[union-attr]
    assert len(groups[1]["params"]) == len(encoder)
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert len(_groups(net, Optimisation(steps=1))) == 1


def test_up_projections_convolve_before_they_upsample(pictures: str, target: str, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*given: Any, **named: Any) -> torch.Tensor:
        calls.append(1)
        return upsampled_conv(*given, **named)

    monkeypatch.setattr(upsampling, "upsampled_conv", counted)
    depth = train_depth(depth_training(pictures, net="hu-resnet50", size=(32, 32), batch_size=2, average=0.0, steps=1),
                        tmp_path / "depth", device="cpu")
    assert len(calls) == 8  # four in the decoder, four in the fusion
    train_mask(MaskTraining(str(depth), (pictures,), net="drn22", steps=1, batch_size=2), tmp_path / "mask",
               device="cpu")
    assert len(calls) == 8 + 2 * 8 + 3  # the target with the whole picture and with the masked one, and the mask net


def test_equation_5_keeps_what_it_may_not_destroy(pictures: str, target: str, tmp_path: Path) -> None:
    # with a heavy price on hidden pixels nothing is hidden, with a light one much is: the opposite of Eq. (4)
    means = []
    for lam in (20.0, 0.01):
        what = MaskTraining(target, (pictures,), steps=60, batch_size=8, learning_rate=3e-3, average=0.0, lam=(lam,),
                            equation="5")
        net = load_mask_net(str(train_mask(what, tmp_path / f"run{lam}", device="cpu")))
        rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            means.append(float(net(net.normalise(rgb)).mean()))
    assert means[0] > 0.9 > means[1]


@pytest.mark.slow
def test_two_processes_train_one_net(pictures: str, target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29571", "-m",
               "depthcue.cli", "train", "--target", target, "--data", pictures, "--steps", "5", "--batch-size", "2",
               "--device", "cpu", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert load_mask_net(str(tmp_path / "run" / "mask.safetensors")).card["training"]["processes"] == 2


def test_a_folder_with_a_run_is_not_written_over(pictures: str, tmp_path: Path) -> None:
    what = depth_training(pictures, steps=1)
    train_depth(what, tmp_path / "run", device="cpu")
    with pytest.raises(DepthcueError, match="holds a training run"):
        train_depth(what, tmp_path / "run", device="cpu")
    with pytest.raises(DepthcueError, match="steps: 1 then, 2 now"):
        train_depth(depth_training(pictures, steps=2), tmp_path / "run", resume=True, device="cpu")
    with pytest.raises(DepthcueError, match="no run to resume"):
        train_depth(what, tmp_path / "other", resume=True, device="cpu")


@pytest.mark.parametrize(("changes", "message"), [
    ({"net": "resnet"}, "no depth net called"), ({"size": (50, 64)}, "multiples of 16"),
    ({"augmentation": "wild"}, "unknown augmentation"),
    ({"precision": "fp8"}, "no precision"), ({"loss": "l2"}, "no loss 'l2'"),
    ({"schedule": "steep"}, "unknown schedule"),
    ({"learning_rate": -1.0}, "learning-rate must be above 0 and finite, got -1"),
    ({"learning_rate": float("nan")}, "got nan"),
    ({"weight_decay": -1.0}, "weight-decay must be at least 0 and finite, got -1"),
    ({"average": 2.0}, "average must be at least 0 and below 1, got 2"),
    ({"data": ("folder:/nowhere",)}, "/nowhere")])
def test_wrong_settings_say_what_is_allowed(changes: dict[str, object], message: str, pictures: str,
                                            tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=message):
        train_depth(depth_training(pictures, steps=1, **changes), tmp_path / "run", device="cpu")


@pytest.mark.parametrize(("changes", "message"), [
    ({"net": "drn22", "lam": (1.0, 5.0)}, "one lambda"),
    ({"net": "giant"}, "no mask net called"), ({"lam": (-1.0,)}, "above 0"), ({"lam": (1.0, float("nan"))}, "above 0"),
    ({"lam": (5.0,), "keep_range": (0.1, 0.5)}, "were both given"), ({"keep_range": (0.5, 0.1)}, "smaller first"),
    ({"keep_range": (0.0, 0.5)}, "between 0 and 1"), ({"keep_range": (0.1, 0.5), "net": "drn22"}, "net with a dial"),
    ({"equation": "6"}, "unknown equation"), ({"target": "compact-garden"}, "names no depth net")])
def test_wrong_mask_settings_say_what_is_allowed(changes: dict[str, object], message: str, pictures: str, target: str,
                                                 tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=message):
        train_mask(MaskTraining(**{"target": target, "data": (pictures,), "steps": 1, **changes}),  # type: ignore[arg-type]
                   tmp_path / "run", device="cpu")


def test_averaged_weights_soon_forget_the_first() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    averaged = AveragedModel(net, multi_avg_fn=_moving_average(0.999))
    averaged.update_parameters(net)
    torch.nn.init.ones_(net.weight)
    for _ in range(200):
        averaged.update_parameters(net)
    assert float(averaged.module.weight.detach()) > 0.999


def test_recipes_are_the_papers_for_the_papers_nets() -> None:
    nothing = {"steps": None, "epochs": None, "learning_rate": None, "schedule": None, "average": None}
    assert mask_recipe("drn22", **nothing) == {"epochs": 10, "learning_rate": 1e-4, "schedule": "constant",
                                               "average": 0.0, "sharpen": 0.0}
    assert mask_recipe("compact", **nothing)["sharpen"] == mask_recipe("lite0", **nothing)["sharpen"] > 0
    assert depth_recipe("hu-resnet50", **nothing)["epochs"] == 20
    assert depth_recipe("compact", **{**nothing, "epochs": 3})["steps"] is None
    with pytest.raises(DepthcueError, match="not both"):
        mask_recipe("compact", **{**nothing, "epochs": 3, "steps": 3})


def test_a_training_is_shown_in_tensorboard_and_its_metrics_stay(pictures: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    net = depth_training(pictures, steps=21, limit=4)
    train_depth(net, tmp_path / "run", device="cpu", tracker="tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "depthcue")).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert losses == [(line["step"], pytest.approx(line["loss"])) for line in lines] and len(losses) == 2
    with pytest.raises(DepthcueError, match="no training log") as caught:
        train_depth(net, tmp_path / "other", device="cpu", tracker="tensorbord")
    assert "Did you mean tensorboard" in (caught.value.hint or "")


def test_a_mask_net_for_several_depth_nets_meets_each_in_turn(pictures: str, target: str, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    other = build_depth_net("compact", config=TINY, name="other", height=32, width=96, mean=(0.2, 0.3, 0.4))
    save_net(other, tmp_path / "other.safetensors", architecture="compact")
    seen: list[tuple[str, tuple[int, ...]]] = []

    def whole_depth(net: DepthNet, normalised: torch.Tensor) -> Any:
        seen.append((net.description.name, tuple(normalised.shape[2:])))
        return base_whole_depth(net, normalised)

    monkeypatch.setattr(mask, "whole_depth", whole_depth)
    what = MaskTraining(target, (pictures,), also=(str(tmp_path / "other.safetensors"),), steps=4, batch_size=4,
                        lam=(3.0,))
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    assert seen == 2 * [("compact", (48, 64)), ("other", (32, 96))]
    assert (net.description.height, net.description.width) == (48, 64)
    assert net.card["training"]["also"] == [str(tmp_path / "other.safetensors")]
