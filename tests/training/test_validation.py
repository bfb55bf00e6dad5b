"""Pictures kept aside, the error on them that ends a training, and a training that keeps to the time given."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_trainings import save_target

from depthcue.data import RgbdData, open_data
from depthcue.errors import DepthcueError
from depthcue.nets import build_mask_net, load_mask_net
from depthcue.progress import Silent
from depthcue.training import validation
from depthcue.training.mask import MaskTraining, mask_recipe, run_mask_training, train_mask, usual_init, usual_minutes
from depthcue.training.validation import Budget, Course, KeptAside, Part, split


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Twenty pictures with blocks of brightness."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(3)
    for number in range(20):
        blocks = np.kron(rng.uniform(25, 225, (4, 4)), np.ones((8, 8)))
        Image.fromarray(blocks.astype(np.uint8)).convert("RGB").save(pictures / f"{number:02d}.png")
    return f"folder:{pictures}"


@pytest.fixture
def target(tmp_path: Path) -> str:
    return save_target(tmp_path / "target.safetensors", 32, 32)


def training(target: str, folder: str, **changes: object) -> MaskTraining:
    return MaskTraining(**{"target": target, "data": (folder,), "batch_size": 4, "average": 0.9, "aside": 0.2,  # type: ignore[arg-type]
                           **changes})


def test_a_tenth_is_kept_aside_in_runs_and_never_trained_on(folder: str) -> None:
    data = open_data(folder, "train")
    (rest,), aside = split([data], 0.2, (32, 32))
    assert aside is not None and isinstance(rest, Part)
    assert len(aside) == 4 and len(rest) == 16
    kept = [index for part in aside.parts for index in part.indices]
    assert sorted(kept + rest.indices) == list(range(20))
    assert kept == [2, 7, 12, 17]  # four runs of one, in the middle of each quarter
    names = set(aside.evaluation_batch(range(4)).names)
    assert names.isdisjoint(rest.frames(range(16)).names)
    assert aside.evaluation_batch([0, 3]).rgb.shape == (2, 3, 32, 32)
    # the same pictures given twice are kept aside once, and trained on in neither
    (first, second), both = split([data, open_data(folder, "train")], 0.2, (32, 32))
    assert both is not None and len(both) == 4 and len(first) == len(second) == 16
    assert split([data], 0.0, (32, 32))[1] is None
    assert split([open_data(folder, "train", limit=3)], 0.2, (32, 32))[1] is None


def test_runs_of_neighbours_are_few_and_long() -> None:
    indices = validation._runs(200, 20)
    assert len(set(indices)) == 20
    assert sum(after != before + 1 for before, after in zip(indices, indices[1:], strict=False)) == 3


def test_the_first_pictures_kept_aside_show_every_data_set(folder: str) -> None:
    data: Sequence[RgbdData] = [open_data(folder, "train")]
    aside = KeptAside([Part(data[0], range(10)), Part(data[0], range(10, 20))], (32, 32))
    few = aside.limited(4)
    assert [[part.data.indices[index] for index in part.indices] for part in few.parts] == [  # type: ignore[attr-defined]
        [0, 5], [10, 15]]
    assert few.evaluation_batch([0, 1]).names == [data[0].frames([0]).names[0], data[0].frames([10]).names[0]]


def test_a_course_stalls_when_the_error_no_longer_falls() -> None:
    course = Course()
    for step, error in enumerate([1.0, 0.8, 0.7, 0.699, 0.71]):
        course.add(step, error, lambda step=step: {"step": torch.tensor(step)})  # type: ignore[misc]
        assert not course.stalled(3)
    course.add(5, 0.698, dict)
    assert course.stalled(3) and not course.stalled(0)  # 0.698 is no fall by a hundredth
    assert course.best_step == 5
    again = Course()
    again.take(course.state())
    assert again.state() == course.state()


class Clocked:
    """An engine that says where it is, for a budget to steer."""

    def __init__(self, steps: int) -> None:
        self.step, self.steps = 0, steps

    def agreed(self, value: float) -> float:
        return value

    def replan(self, steps: int) -> None:
        self.steps = max(steps, self.step)


@pytest.mark.parametrize("slower_from", [10**9, 300])
def test_steps_are_planned_so_that_they_end_with_the_time(slower_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes; opening takes 20 s, a step 0.7 s, later 1.4 s, the first one 5 s; 15 s are kept for the end."""
    now = [1000.0]
    monkeypatch.setattr(validation.time, "monotonic", lambda: now[0])
    budget = Budget(10.0, 1000.0)
    now[0] += 20.0
    engine = Clocked(budget.first_plan())
    budget.reserve_s = 15.0
    budget.begin(0)
    while engine.step < engine.steps:
        now[0] += 5.0 if engine.step == 0 else 1.4 if engine.step >= slower_from else 0.7
        engine.step += 1
        budget.steer(engine)  # type: ignore[arg-type]
    assert abs(budget.spent_s() - (600 - 15)) < 5
    assert engine.step > 450


def test_a_run_of_minutes_records_its_steps_and_how_it_went(folder: str, target: str, tmp_path: Path) -> None:
    trained = run_mask_training(training(target, folder, minutes=0.1, net="compact"), tmp_path / "run", device="cpu")
    card = json.loads(trained.weights.with_suffix(".json").read_text())
    assert trained.summary["ended"] in ("minutes", "no fall")
    assert card["training"]["steps"] == trained.summary["steps"] > 0 and card["training"]["minutes"] == 0.1
    assert card["kept_aside"]["pictures"] == 4 and card["kept_aside"]["errors"] == trained.summary["errors"]
    assert trained.summary["errors"][0][0] == 0 and trained.summary["errors"][-1][0] == trained.summary["steps"]
    assert trained.aside is not None and len(trained.aside) == 4


def test_training_ends_where_the_error_does_not_fall_and_keeps_the_best(
        folder: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([1.0, 0.8, 0.9, 0.95])
    seen: list[dict[str, torch.Tensor]] = []

    def error(self: validation.Validation, net: torch.nn.Module) -> float:
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return next(found)

    monkeypatch.setattr(validation.Validation, "error", error)
    what = training(target, folder, steps=60, patience=1)
    trained = run_mask_training(what, tmp_path / "run", device="cpu")
    # measured every 15 steps; after the second without a fall 15% more steps bring the learning rate down
    assert trained.summary["errors"] == [[0, 1.0], [15, 0.8], [30, 0.9], [34, 0.95]]
    assert {key: trained.summary[key] for key in ("ended", "planned", "steps", "kept_step")} == {
        "ended": "no fall", "planned": 60, "steps": 34, "kept_step": 15}
    kept = load_file(trained.weights)
    assert all(torch.equal(kept[name], seen[1][name]) for name in kept)
    rates = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in rates if "learning_rate" in line][-1] < 1e-6


class StopAt(Silent):
    """Asks the run to stop, as Ctrl-C does, after a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.left -= steps
        if steps and self.left == 0:
            import signal

            signal.raise_signal(signal.SIGINT)


def test_a_stopped_run_with_pictures_aside_goes_on_to_the_same_bits(folder: str, target: str, tmp_path: Path) -> None:
    what = training(target, folder, steps=32, patience=1)
    whole = run_mask_training(what, tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train_mask(what, tmp_path / "parts", device="cpu", progress=StopAt(20))
    resumed = run_mask_training(what, tmp_path / "parts", resume=True, device="cpu")
    ours, theirs = load_file(resumed.weights), load_file(whole.weights)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert resumed.summary["errors"] == whole.summary["errors"]
    assert (tmp_path / "parts" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_a_run_killed_before_its_first_checkpoint_begins_anew(folder: str, target: str, tmp_path: Path) -> None:
    class Killed(Silent):
        def advance(self, steps: int = 1, **figures: float) -> None:
            if steps:
                raise SystemError  # like SIGKILL, it leaves no checkpoint

    what = training(target, folder, steps=4)
    train_mask(what, tmp_path / "whole", device="cpu")
    with pytest.raises(SystemError):
        train_mask(what, tmp_path / "parts", device="cpu", progress=Killed())
    assert '"step": 0' in (tmp_path / "parts" / "metrics.jsonl").read_text()
    train_mask(what, tmp_path / "parts", resume=True, device="cpu")
    assert (tmp_path / "parts" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_a_start_from_another_normalisation_gives_the_same_masks() -> None:
    start = load_mask_net("general")
    other = build_mask_net("lite0", mean=(0.3, 0.5, 0.6), std=(0.2, 0.3, 0.25),
                           keep_range=start.description.keep_range).eval()
    other.start_from(start)  # type: ignore[operator]
    rgb = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        masks = [net(net.normalise(rgb), torch.tensor([0.2]))[..., 16:-16, 16:-16] for net in (start, other)]
    # at the border the encoder pads with what is 0 in either normalisation
    assert float((masks[0] - masks[1]).abs().mean()) < 0.02


def test_what_is_usual() -> None:
    assert usual_init("lite0", None, "none", (), "4") == "general"
    assert usual_init("lite0", "none", "none", (), "4") is None
    assert usual_init("lite0", None, "imagenet", (), "4") is None
    assert usual_init("compact", None, "none", (), "4") is None
    assert usual_minutes("lite0", None, None, None) == 10 and usual_minutes("lite0", None, 5, None) is None
    assert usual_minutes("drn22", None, None, None) is None
    recipe = mask_recipe("lite0", minutes=2.0, steps=None, epochs=None, learning_rate=None, schedule=None, average=None)
    assert (recipe["minutes"], recipe["steps"]) == (2.0, None)
    with pytest.raises(DepthcueError, match="--minutes"):
        mask_recipe("lite0", minutes=2.0, steps=5, epochs=None, learning_rate=None, schedule=None, average=None)


@pytest.mark.parametrize(("changes", "message"), [({"minutes": 0.0}, "--minutes"), ({"aside": 0.9}, "--aside")])
def test_budgets_that_make_no_sense_are_refused(changes: dict[str, float], message: str, folder: str, target: str,
                                                tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=message):
        train_mask(training(target, folder, **changes), tmp_path / "run", device="cpu")
