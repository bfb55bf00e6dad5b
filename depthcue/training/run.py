"""A training run: its options and optimisation, and its folder.

The folder holds config.json, metrics.jsonl, the newest checkpoint, and at the end the weights with their card.
"""

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from accelerate import Accelerator
from torch import nn

from depthcue.data import NONE, PUBLISHED, STRONG, BatchLoader, RgbdData, open_data
from depthcue.documents import (
    RESULTS_BYTES,
    Malformed,
    MetricsLine,
    RunSettings,
    checked_text,
    read_document,
    read_text,
    require_regular,
)
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.files import arguments, atomic_path, write_json, write_text
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.checkpoint import save_net
from depthcue.nets.encoders import encoder_of
from depthcue.nets.lite import SCALES
from depthcue.objective import LOSSES

if TYPE_CHECKING:
    from depthcue.training.engine import Engine

SCHEDULES = ("constant", "cosine", "step")
PRECISIONS = ("fp32", "bf16")
POLICIES = {"none": NONE, "published": PUBLISHED, "strong": STRONG}
OURS = ("compact", *SCALES)
"""The nets that are no publication's; they share a recipe."""
ENCODER_RATE = 0.2
"""Factor of the learning rate for an encoder of ours that comes from a backbone."""
COMPACT_RECIPE: dict[str, Any] = {"steps": 5000, "learning_rate": 1e-3, "schedule": "cosine", "average": 0.999}
Size = tuple[int, int]


@dataclass(frozen=True)
class Optimisation:
    """Settings of the optimiser; the defaults are the paper's where it names them."""

    steps: int
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    schedule: str = "constant"
    """`constant`; `cosine` with a warm-up of 3% of the steps; `step`: a tenth after each quarter of the steps."""
    average: float = 0.0
    """Decay of the exponential moving average of the weights that is saved; 0 saves the last weights."""
    precision: str = "fp32"
    """`fp32`, or `bf16`: convolutions in bfloat16, weights and losses in float32."""
    compile: bool = False
    seed: int = 0
    encoder_rate: float = 1.0
    """Factor of the learning rate for the net's encoder, below 1 where it knows much already."""
    checkpoint_every_s: float = 300.0


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of a training; the defaults are those of the compact nets."""

    command: ClassVar[str]
    """Command of depthcue that trains with these options."""

    steps: int | None = None
    epochs: int | None = None
    """Passes over the data, where `steps` is None."""
    net: str = "compact"
    name: str | None = None
    """Name of the net in the card."""
    init: str | None = None
    """Spec of a net of the same architecture to start from."""
    backbone: str = "none"
    freeze_encoder: bool = False
    """Train the decoder alone: the gradients of a fresh decoder would undo the encoder's training."""
    augmentation: str = "published"
    """One of POLICIES."""
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    average: float = 0.999
    precision: str = "fp32"
    compile: bool = False
    half: bool = False
    """Store the weights in 16 bit."""
    limit: int | None = None
    seed: int = 0

    def config(self) -> dict[str, Any]:
        """Values that a run folder keeps, and compares when the run is resumed."""
        return {"command": self.command, **dataclasses.asdict(self)}

    def check(self) -> None:
        """Refuse wrong options before anything is opened.

        Raises:
            DepthcueError: there is no such net, loss, augmentation or precision, a dial that the net does not take, or
                a number out of range.
        """
        for option, count in (("--steps", self.steps), ("--epochs", self.epochs), ("--batch-size", self.batch_size)):
            if count is not None and count < 1:
                raise DepthcueError(f"{option} must be at least 1, got {count}", "Give a whole number from 1 up.")
        # as comparisons that a NaN fails too
        if not 0 < self.learning_rate < math.inf:
            raise DepthcueError(f"--learning-rate must be above 0 and finite, got {self.learning_rate:g}",
                                "Usual is 1e-4.")
        if not 0 <= self.weight_decay < math.inf:
            raise DepthcueError(f"--weight-decay must be at least 0 and finite, got {self.weight_decay:g}",
                                "Usual is 1e-4.")
        if not 0 <= self.average < 1:
            raise DepthcueError(f"--average must be at least 0 and below 1, got {self.average:g}",
                                "Usual is 0.999; 0 takes the last weights.")
        if self.precision not in PRECISIONS:
            raise must_be_one_of("--precision", PRECISIONS, self.precision)
        if self.augmentation not in POLICIES:
            raise must_be_one_of("--augmentation", POLICIES, self.augmentation)
        if self.freeze_encoder and self.backbone == "none" and self.init is None:
            raise DepthcueError("--freeze-encoder needs weights for the encoder",
                                "Give --backbone or --init: a random encoder has nothing to keep.")

    def open_data(self, specs: Sequence[str], size: Size) -> list[RgbdData]:
        """The training data named by `specs`, for a net that works at `size` (height, width)."""
        return [open_data(spec, split="train", frame_size=_frame_size(spec, size), limit=self.limit, seed=self.seed)
                for spec in specs]

    def loader(self, datasets: Sequence[RgbdData], size: Size, depth_size: Size | None,
               accelerator: Accelerator, unlabelled: int = 0) -> BatchLoader:
        """The batches of this process, pictures at `size` and depths (None: without) at `depth_size`.

        Of the last `unlabelled` data sets pictures alone are taken.
        """
        return BatchLoader(datasets, self.batch_size, size, depth_size, POLICIES[self.augmentation], self.seed,
                           accelerator.process_index, accelerator.num_processes, accelerator.device, unlabelled)

    def frozen(self, net: DepthNet | MaskNet) -> nn.Module | None:
        """The part of the net that is not to be trained."""
        return encoder_of(net) if self.freeze_encoder else None

    def optimisation(self, epoch_length: int) -> Optimisation:
        """Settings of the optimiser for a training in which so many steps go once through the data."""
        steps = self.steps if self.steps is not None else (self.epochs or 1) * epoch_length
        return Optimisation(steps, self.learning_rate, self.weight_decay, self.schedule, self.average, self.precision,
                            self.compile, self.seed,
                            ENCODER_RATE if self.net in OURS and self.backbone != "none" else 1.0)

    def save(self, engine: "Engine", weights: Path, datasets: Sequence[RgbdData], **fields: Any) -> None:
        """Write what was trained, with a card that says how, and end the run; one process writes, all wait for it."""
        if engine.accelerator.is_main_process:
            engine.trained()
            save_net(engine.bare, weights, architecture=self.net, half=self.half, **fields,
                     training={**dataclasses.asdict(self), "steps": engine.step,
                               "processes": engine.accelerator.num_processes,
                               "pictures": [len(data) for data in datasets], "command": arguments()})
            engine.run.finish()
        engine.accelerator.wait_for_everyone()


def check_loss(loss: str) -> None:
    """Check a loss.

    Raises:
        DepthcueError: it is none of objective.LOSSES.
    """
    if loss not in LOSSES:
        raise must_be_one_of("--loss", LOSSES, loss)


def recipe(published: dict[str, Any], compact: dict[str, Any], net: str, **given: Any) -> dict[str, Any]:
    """The optimisation given, with None replaced: by `published` for the paper's nets, by our recipe for our own.

    Raises:
        DepthcueError: both steps and epochs are given.
    """
    if given["steps"] is not None and given["epochs"] is not None:
        raise DepthcueError("give either --steps or --epochs, not both", "For example --epochs 10.")
    usual = COMPACT_RECIPE | compact if net in OURS else dict(published)
    if given["steps"] is not None or given["epochs"] is not None:
        usual |= {"steps": None, "epochs": None}
    return usual | {name: value for name, value in given.items() if value is not None}


def _frame_size(spec: str, size: Size) -> Size | None:
    """Size at which frames are made where it is free: a little above the working size, so that a crop can move."""
    if not spec.startswith(("folder:", "scenes:")):
        return None
    return round(size[0] * 1.125), round(size[1] * 1.125)


class RunFolder:
    """The files of one training; opened for a fresh run or to resume one.

    Raises:
        DepthcueError: the folder holds a run already, there is none to resume, or it was started with other settings.
    """

    def __init__(self, folder: str | Path, config: dict[str, Any], resume: bool) -> None:
        self.folder = Path(folder)
        self.config = config
        config_file = self.folder / "config.json"
        if resume:
            self._check_same(config_file)
        elif config_file.exists():
            raise DepthcueError(f"{self.folder} holds a training run already",
                                "Add --resume to go on with it, or choose another --out.")
        self.resume = resume

    def begin(self) -> None:
        """Write config.json; called by one process."""
        write_json(self.folder / "config.json", self.config)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint by `state` (tensors, numbers, strings and containers of them)."""
        with atomic_path(self.checkpoint_file) as partial:
            torch.save(state, partial)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint, or None where the run was stopped before its first.

        Raises:
            DepthcueError: it is not a checkpoint, or damaged.
        """
        if not self.checkpoint_file.exists():
            return None
        try:
            require_regular(self.checkpoint_file)
            return torch.load(self.checkpoint_file, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files make the reader raise nearly anything
            raise DepthcueError(f"{self.checkpoint_file} is not a checkpoint, or damaged: "
                                f"{error or type(error).__name__}", "Start the run anew with another --out.") from error

    def keep_metrics_before(self, step: int) -> None:
        """Drop the lines of steps after `step`, which will be run again.

        Raises:
            DepthcueError: the file is not what a training writes.
        """
        if self.metrics_file.exists():
            try:
                lines = read_text(self.metrics_file, RESULTS_BYTES).splitlines(keepends=True)
                kept = [line for line in lines
                        if line.endswith("\n") and checked_text(line, MetricsLine)["step"] <= step]
            except Malformed as error:
                raise DepthcueError(f"{self.metrics_file} is not what a training writes: {error}",
                                    "Move it away, and resume.") from None
            write_text(self.metrics_file, "".join(kept))

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Append a line to metrics.jsonl."""
        with self.metrics_file.open("a") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")

    def finish(self) -> None:
        """Remove the checkpoint of a run whose weights are written."""
        self.checkpoint_file.unlink(missing_ok=True)

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"

    def _check_same(self, config_file: Path) -> None:
        try:
            started_with = read_document(config_file, "the settings of a run", RunSettings,
                                         "Start the run anew with another --out.")
        except FileNotFoundError:
            raise DepthcueError(f"there is no run to resume in {self.folder}",
                                "Leave --resume out to start one there.") from None
        wanted = json.loads(json.dumps(self.config))
        differences = [f"{key}: {started_with.get(key)!r} then, {wanted.get(key)!r} now"
                       for key in sorted({*started_with, *wanted}) if started_with.get(key) != wanted.get(key)]
        if differences:
            raise DepthcueError(f"the run in {self.folder} was started with other settings: " + "; ".join(differences),
                                "Resume it with the same options, or start another with --out.")


def new_run_folder(kind: str, net: str) -> Path:
    """Default folder of a run."""
    return Path("runs") / f"{kind}-{net}-{time.strftime('%Y%m%d-%H%M%S')}"
