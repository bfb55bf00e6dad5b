"""A run folder: config.json, metrics.jsonl, the newest checkpoint, and at the end the weights with their card.

A training as a stage of longer work: run, gone on with, or taken as it was left.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch

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
from depthcue.errors import DepthcueError
from depthcue.files import atomic_path, write_json, write_text


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
        """The checkpoint, or None where the run was stopped before its first."""
        if not self.checkpoint_file.exists():
            return None
        try:
            require_regular(self.checkpoint_file)
            return torch.load(self.checkpoint_file, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files make the reader raise nearly anything
            raise DepthcueError(f"{self.checkpoint_file} is not a checkpoint, or damaged: "
                                f"{error or type(error).__name__}", "Start the run anew with another --out.") from error

    def keep_metrics_before(self, step: int) -> None:
        """Drop the lines of steps after `step`, which will be run again."""
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


