"""What all trainings share: recipes, stopping and going on, precisions, processes, options."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_trainings import StopAt, depth_training
from torch.optim.swa_utils import AveragedModel

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net, load_mask_net
from depthcue.training.depth import depth_recipe, train_depth
from depthcue.training.engine import _groups, _moving_average
from depthcue.training.mask import MaskTraining, mask_recipe, train_mask
from depthcue.training.run import Optimisation


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


def test_an_encoder_from_a_backbone_learns_at_a_rate_of_its_own() -> None:
    net = build_depth_net("lite0", seed=0)
    groups = _groups(net, Optimisation(steps=1, learning_rate=1e-3, encoder_rate=0.2))
    assert [group.get("lr", 1e-3) for group in groups] == [1e-3, pytest.approx(2e-4)]
    encoder = list(net.encoder.parameters())  # type: ignore[union-attr]
    assert len(groups[1]["params"]) == len(encoder)
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert len(_groups(net, Optimisation(steps=1))) == 1


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
    ({"net": "resnet"}, "--net must be one of"), ({"size": (50, 64)}, "multiples of 16"),
    ({"augmentation": "wild"}, "--augmentation must be one of"),
    ({"precision": "fp8"}, "--precision must be one of fp32, bf16, got 'fp8'"),
    ({"loss": "l2"}, "--loss must be one of"),
    ({"schedule": "steep"}, "--schedule must be one of"),
    ({"learning_rate": -1.0}, "learning-rate must be above 0 and finite, got -1"),
    ({"learning_rate": float("nan")}, "got nan"),
    ({"weight_decay": -1.0}, "weight-decay must be at least 0 and finite, got -1"),
    ({"average": 2.0}, "average must be at least 0 and below 1, got 2"),
    ({"data": ("folder:/nowhere",)}, "/nowhere")])
def test_wrong_settings_say_what_is_allowed(changes: dict[str, object], message: str, pictures: str,
                                            tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=message):
        train_depth(depth_training(pictures, steps=1, **changes), tmp_path / "run", device="cpu")


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
    with pytest.raises(DepthcueError, match="--log must be one of") as caught:
        train_depth(net, tmp_path / "other", device="cpu", tracker="tensorbord")
    assert "Did you mean tensorboard" in (caught.value.hint or "")
