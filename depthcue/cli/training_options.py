"""The options that every training command takes beside its own, declared once."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from depthcue.cli.console import configure, print_json, progress_bar
from depthcue.cli.options import (
    AverageOption,
    BackboneOption,
    BatchSizeOption,
    CompileOption,
    DeviceOption,
    EpochsOption,
    FreezeEncoderOption,
    HalfOption,
    InitOption,
    JsonOption,
    LearningRateOption,
    LimitOption,
    NameOption,
    QuietOption,
    ResumeRunOption,
    RunOption,
    ScheduleOption,
    SeedOption,
    StepsOption,
    TrainingPrecisionOption,
    VerboseOption,
    WeightDecayOption,
)


@dataclass(frozen=True)
class TrainingWords:
    """What was said of how to train; each field is an option."""

    steps: StepsOption = None
    epochs: EpochsOption = None
    out: RunOption = None
    resume: ResumeRunOption = False
    init: InitOption = None
    backbone: BackboneOption = "none"
    freeze_encoder: FreezeEncoderOption = False
    batch_size: BatchSizeOption = 8
    learning_rate: LearningRateOption = None
    weight_decay: WeightDecayOption = 1e-4
    schedule: ScheduleOption = None
    average: AverageOption = None
    precision: TrainingPrecisionOption = "fp32"
    compile: CompileOption = False
    half: HalfOption = False
    name: NameOption = None
    device: DeviceOption = "auto"
    limit: LimitOption = None
    seed: SeedOption = 0
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def settled(self) -> dict[str, Any]:
        """Fields of `TrainingOptions` that need nothing more."""
        return {name: getattr(self, name) for name in (
            "init", "backbone", "freeze_encoder", "batch_size", "weight_decay", "precision", "compile", "half", "name",
            "limit", "seed")}

    def asked(self) -> dict[str, Any]:
        """What a recipe fills in where it is None."""
        return {name: getattr(self, name) for name in ("steps", "epochs", "learning_rate", "schedule", "average")}

    def run(self, train: Callable[..., Path], what: Any, kind: str) -> None:
        """Train, and print where the weights are."""
        from depthcue.training.run import new_run_folder

        with progress_bar(self.quiet) as progress:
            weights = train(what, self.out or new_run_folder(kind, what.net), resume=self.resume, device=self.device,
                            progress=progress)
        print_json({"weights": str(weights)}) if self.json else print(weights)


def training_command(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of TrainingWords after its own, and gets them as its argument `words`."""
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "words"]
    hints = get_type_hints(TrainingWords, include_extras=True)
    shared = [inspect.Parameter(field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default,
                                annotation=hints[field.name]) for field in fields(TrainingWords)]

    @functools.wraps(command)
    def with_words(**given: Any) -> None:
        words = TrainingWords(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        configure(words.quiet, words.verbose)
        command(**given, words=words)

    # the options on the help page are read from the signature
    with_words.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return with_words
