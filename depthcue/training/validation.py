"""Pictures kept aside while a mask net learns, and the time that a training may take: both decide when it ends.

    error = sqrt(mean over pictures of the mean of (N(I) - N(I kept))²),   kept: the 20% of pixels that G ranks first

It is against N(I), so pictures need no depth. It is measured at a few moments of a training, on the weights that would
be kept then. When it has not fallen for some moments, the learning rate is brought down and the training ends; the
weights of the moment with the lowest error are kept.

A `Budget` times the steps while they are made, and changes the plan so that the schedule of the learning rate ends when
the time does. `Watch` does both beside the steps.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from depthcue.data import NONE, Frames, RgbdBatch, RgbdData, training_batch
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet, depth_from, restore_mode, whole_depth
from depthcue.nets.units import Units
from depthcue.scorers import keep_top
from depthcue.training.engine import Engine

SHARE = 0.2
"""Share of the pixels through which the error is measured."""
RUNS, MOST, FEWEST = 4, 200, 5
"""Runs of neighbours in which pictures are kept aside, the most pictures of a data set, and the fewest to keep one."""
LOOKED_AT = 24
"""Pictures that the error is measured on while training goes on."""
REPORTED = 100
"""Pictures that it is measured on at the end."""
PATIENCE, FALL = 3, 0.01
"""Measurements after which a training ends, unless one of them fell by this share of the error."""
MOMENTS, STEPS_BETWEEN = 10, 15
"""Number of measurements of the error in a training, and least number of steps between two."""
COOL_DOWN = 0.15
"""Steps in which the learning rate is brought down then, as a share of those made."""


log = logging.getLogger(__name__)


class Part:
    """Some pictures of a data set, as a data set (`RgbdData`)."""

    def __init__(self, data: RgbdData, indices: Sequence[int]) -> None:
        self.data, self.indices = data, list(indices)
        self.spec, self.has_depth, self.max_depth_m = data.spec, data.has_depth, data.max_depth_m

    def __len__(self) -> int:
        return len(self.indices)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        return self.data.frames([self.indices[index] for index in indices], device)

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        return self.data.evaluation_batch([self.indices[index] for index in indices], device)


class KeptAside:
    """Pictures of several data sets at one size, without depth, as a data set (`RgbdData`).

    They are cut as for training and otherwise as they are.
    """

    has_depth = False

    def __init__(self, parts: Sequence[Part], size: tuple[int, int]) -> None:
        self.parts, self.size = list(parts), size
        # in turn from each data set, so that the first few show all of them
        turns = max((len(part) for part in parts), default=0)
        self._pictures = [(part, index) for index in range(turns) for part in parts if index < len(part)]
        self.spec = " + ".join(part.spec for part in parts) + " (kept aside)"
        self.max_depth_m = max((part.max_depth_m for part in parts), default=10.0)

    def __len__(self) -> int:
        return len(self._pictures)

    def limited(self, count: int) -> "KeptAside":
        """Up to `count` of the pictures, spread evenly over every data set."""
        count = min(count, len(self))
        each = [len(part) * count // max(len(self), 1) or 1 for part in self.parts]
        return KeptAside([Part(part, [position * len(part) // few for position in range(few)])
                          for part, few in zip(self.parts, each, strict=True)], self.size)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        raise NotImplementedError("pictures kept aside are not trained on")

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        views = []
        for part, index in (self._pictures[at] for at in indices):
            frames = part.frames([index], device)
            views.append(training_batch(frames, self.size, None, NONE, torch.Generator().manual_seed(0)))
        names = [name for view in views for name in view.names]
        return RgbdBatch(torch.cat([view.rgb for view in views]), None, None, names)


def split(datasets: Sequence[RgbdData], share: float, size: tuple[int, int]) -> tuple[list[RgbdData], KeptAside | None]:
    """The pictures to train on, and those kept aside: of each data set the same share, in a few runs of neighbours.

    Frames of a video are nearly twins of their neighbours: in runs, few have a twin among those trained on. Nothing is
    drawn by chance. A data set given twice is split alike both times. None is kept aside of fewer than FEWEST pictures.
    """
    training: list[RgbdData] = []
    aside: dict[str, Part] = {}
    for data in datasets:
        kept = _runs(len(data), min(round(share * len(data)) or 1, MOST)) if share and len(data) >= FEWEST else []
        if kept:
            aside.setdefault(data.spec, Part(data, kept))
            chosen = set(kept)
            training.append(Part(data, [index for index in range(len(data)) if index not in chosen]))
        else:
            training.append(data)
    return training, KeptAside(list(aside.values()), size) if aside else None


def _runs(total: int, count: int) -> list[int]:
    """`count` indices of `total`, in up to RUNS runs of neighbours that lie evenly."""
    runs = min(RUNS, count)
    indices: list[int] = []
    for run in range(runs):
        length = count // runs + (run < count % runs)
        middle = (2 * run + 1) * total // (2 * runs)
        indices += range(middle - length // 2, middle - length // 2 + length)
    return indices


class Validation:
    """The error through 20% of the pixels on pictures kept aside, of one depth net on one device.

    Attributes:
        whole_s, mask_s: seconds a picture takes the depth net, and the mask net with the depth net behind it.
    """

    def __init__(self, aside: KeptAside, target: DepthNet, device: torch.device, batch_size: int) -> None:
        self.target = target
        pictures = aside.limited(LOOKED_AT)
        self.count = len(pictures)
        self._views: list[tuple[torch.Tensor, torch.Tensor, Units | None]] = []
        self.mask_s = 0.0
        taken_s: list[float] = []
        for start in range(0, self.count, batch_size):
            rgb = pictures.evaluation_batch(range(start, min(start + batch_size, self.count)), device).rgb
            normalised = target.normalise(rgb.contiguous(memory_format=torch.channels_last))
            begun = time.monotonic()
            with torch.no_grad():
                whole, units = whole_depth(target, normalised)
            taken_s.append((time.monotonic() - begun) / len(rgb))
            self._views.append((normalised, whole, units))
        self.whole_s = median(taken_s)  # the first batch fills memory

    @torch.no_grad()
    def error(self, net: MaskNet) -> float:
        """Error through 20% of the pixels in metres; of a relative depth net in units of its own (see `nets.units`).

        The mask net is measured in eval mode, and gets the modes of its modules back.
        """
        span = net.description.keep_range
        dial = net.description.default_dial if span is None else min(max(SHARE, span[0]), span[1])
        squares: list[float] = []
        taken_s: list[float] = []
        with restore_mode(net):
            for normalised, whole, units in self._views:
                begun = time.monotonic()
                mask = net(normalised, torch.full((len(normalised),), dial, device=normalised.device)).float()
                through = depth_from(self.target, normalised, keep_top(mask, SHARE).to(normalised.dtype), units=units)
                squares += (through - whole).double().square().mean(dim=(1, 2, 3)).tolist()
                taken_s.append((time.monotonic() - begun) / len(normalised))
        self.mask_s = median(taken_s)
        return math.sqrt(sum(squares) / len(squares))


@dataclass
class Course:
    """Errors so far and the conclusions from them; a checkpoint holds all of it (`state`)."""

    errors: list[tuple[int, float]] = field(default_factory=list)
    """Pairs of a step and the error after it."""
    best_step: int = 0
    best: dict[str, torch.Tensor] | None = None
    """The weights with the lowest error."""
    planned: int | None = None
    """Steps that were planned when it was found that the error no longer falls; None while it falls."""

    def add(self, step: int, error: float, weights: Callable[[], dict[str, torch.Tensor]]) -> bool:
        """Note an error; whether it is the lowest so far. `weights` are then copied."""
        lowest = not self.errors or error < min(found for _, found in self.errors)
        self.errors.append((step, error))
        if lowest:
            self.best_step = step
            self.best = {name: value.detach().clone() for name, value in weights().items()}
        return lowest

    def stalled(self, patience: int) -> bool:
        """Whether the last errors, `patience` of them, fell by less than FALL below the lowest before them."""
        found = [error for _, error in self.errors]
        return 0 < patience < len(found) and min(found[-patience:]) > (1 - FALL) * min(found[:-patience])

    def state(self) -> dict[str, Any]:
        """All of it, as a checkpoint holds it."""
        return {"errors": [list(pair) for pair in self.errors], "best_step": self.best_step, "best": self.best,
                "planned": self.planned}

    def take(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.errors = [(int(step), float(error)) for step, error in state["errors"]]
        self.best_step, self.best, self.planned = state["best_step"], state["best"], state["planned"]


class Budget:
    """Number of steps that fit into the time of a training, found from the time of steps.

    Args:
        minutes: all that the training may take, with opening its data and measuring it at the end.
        started: `time.monotonic()` when it began.
    """

    def __init__(self, minutes: float, started: float) -> None:
        self.total_s = 60 * minutes
        self._started = started
        self.idle = True
        """No step is timed yet."""
        self.reserve_s = 0.0
        """Seconds kept for the work after the last step; updated by `Watch`."""
        self._step, self._at, self._begun = 0, time.monotonic(), 0
        self._step_s: float | None = None
        self._next = 0

    def go_on(self, spent_s: float) -> None:
        """Count seconds that an earlier process spent on the same training."""
        self._started -= spent_s

    def first_plan(self) -> int:
        """Steps to begin with, before one was timed: one a second."""
        return max(round(self.total_s), 20)

    def begin(self, step: int) -> None:
        """Start to time, from a step on; plans are made after the first, third and fifth, then as `steer` says."""
        self._step, self._at, self._next, self.idle = step, time.monotonic(), step + 1, False
        self._begun = step

    def pause(self, seconds: float) -> None:
        """Leave out seconds that were not spent on steps."""
        self._at += seconds

    def plan(self, step: int, moments_s: float) -> int:
        """Steps of the whole training, at least `step`, from what the last ones took.

        Args:
            moments_s: seconds that measuring will take until the last step.
        """
        now = time.monotonic()
        latest_s = (now - self._at) / max(step - self._step, 1)
        # the first three open files and fill memory: they are forgotten soon
        self._step_s = latest_s if self._step_s is None else 0.5 * self._step_s + 0.5 * latest_s
        left_s = self.total_s - self.spent_s() - self.reserve_s - moments_s
        steps = step + max(0, int(left_s / self._step_s))
        self._step, self._at = step, now
        return steps

    def steer(self, engine: Engine, moments_s: float = 0.0) -> bool:
        """Plan anew where that is due, in all processes alike; whether it was. See `plan`."""
        if self.idle or engine.step < self._next:
            return False
        steps = int(engine.agreed(self.plan(engine.step, moments_s)))
        # the next is due after a twentieth of what is left
        early = engine.step < self._begun + 5  # the first steps are slow, and a short training may have no more
        self._next = engine.step + (2 if early else max(5, (steps - engine.step) // 20))
        engine.replan(steps)
        return True

    def spent_s(self) -> float:
        """Seconds since the training began, those of earlier processes included."""
        return time.monotonic() - self._started


class Watch:
    """Work beside the steps: the error on pictures kept aside, and the plan that keeps to the time given."""

    def __init__(self, engine: Engine, target: DepthNet, aside: KeptAside | None, budget: Budget | None, *,
                 patience: int, batch_size: int, passes_at_end: int) -> None:
        """
        Args:
            passes_at_end: number of pictures that go through both nets after the last step, beside the report.
        """
        self.patience, self.passes_at_end = patience, passes_at_end
        self.engine, self.budget, self.course = engine, budget, Course()
        self.started = time.monotonic()
        self.net: MaskNet = engine.bare
        self.validation = None if aside is None else Validation(aside, target, engine.accelerator.device, batch_size)
        self.guides = self.net.keeps_shares
        """Whether the error decides when training ends: it says nothing of the level of a net of λ's masks."""
        self.ran_out = False
        engine.extra = lambda: {"course": self.course.state(), "ran_out": self.ran_out,
                                "spent_s": 0.0 if budget is None else budget.spent_s()}
        if engine.resumed:
            self.course.take(engine.resumed["course"])
            self.ran_out = engine.resumed["ran_out"]
            if budget is not None:
                budget.go_on(engine.resumed["spent_s"])
        self.number = self._due() + 1
        """The next of the moments at which the error is measured."""

    def before(self) -> None:
        """Measure the error before the first step, and begin to time steps."""
        if self.validation is not None and not self.course.errors:
            self._measure()
        if self.budget is not None and self.budget.idle:
            if self.validation is not None and not self.validation.mask_s:  # of a run that is gone on with
                self.validation.error(self.engine.newest())  # type: ignore[arg-type]
            self.budget.begin(self.engine.step)

    def after(self) -> None:
        """Do what is due after a step: a new plan, and the error."""
        engine, budget = self.engine, self.budget
        if budget is not None and self.course.planned is None:
            budget.reserve_s = self._end_s()
            self.ran_out |= budget.steer(engine, (1 - engine.position) * MOMENTS * self._moment_s())
        if self.validation is None or (self._due() < self.number and engine.step < engine.steps):
            return
        self.number = self._due() + 1
        self._measure()
        going_on = self.course.planned is None and engine.step < engine.steps
        if self.guides and going_on and self.course.stalled(self.patience):
            more = max(round(COOL_DOWN * engine.step), 1)
            if engine.step + more < engine.steps:
                self.course.planned = engine.steps
                log.info("The error through 20%% of the pixels no longer falls: training ends after step %d of %d.",
                         engine.step + more, engine.steps)
                engine.replan(engine.step + more)

    def weights_to_keep(self) -> dict[str, torch.Tensor] | None:
        """The weights with the lowest error; None for the newest."""
        return self.course.best if self.guides and self.course.best_step != self.engine.step else None

    def at_end(self, pictures: int) -> int:
        """Number of pictures that there is time for after the last step: a tenth of the whole, at least 8."""
        if self.budget is None:
            return pictures
        if self.validation is None:
            return 8
        return max(8, min(pictures, round(pictures * 0.1 * self.budget.total_s / self._whole_end_s())))

    def summary(self) -> dict[str, Any]:
        """See `TrainedMask`."""
        kept = self.course.best_step if self.weights_to_keep() is not None else self.engine.step
        ended = "no fall" if self.course.planned is not None else "minutes" if self.ran_out else "steps"
        return {"steps": self.engine.step, "kept_step": kept, "ended": ended, "planned": self.course.planned,
                "errors": [[step, round(error, 5)] for step, error in self.course.errors],
                "seconds": round(time.monotonic() - self.started if self.budget is None else self.budget.spent_s(), 1)}

    def _due(self) -> int:
        """Number of moments that have passed: MOMENTS in all, fewer where there are few steps."""
        moments = max(1, min(MOMENTS, self.engine.steps // STEPS_BETWEEN))
        return int(self.engine.position * moments + 1e-9)

    def _measure(self) -> None:
        if self.validation is None:
            return
        engine, begun = self.engine, time.monotonic()
        newest: MaskNet = engine.newest()  # type: ignore[assignment]
        error = engine.agreed(self.validation.error(newest))
        self.course.add(engine.step, error, newest.state_dict if self.guides else dict)
        log.info("step %d of %d: error through 20%% of the pixels %.4g on %d pictures kept aside", engine.step,
                 engine.steps, error, self.validation.count)
        if engine.accelerator.is_main_process:
            engine.run.log(engine.step, {"error_through_20": error})
        engine.progress.advance(0, **{"error through 20%": error})
        if self.budget is not None:
            self.budget.pause(time.monotonic() - begun)

    def _moment_s(self) -> float:
        return 0.0 if self.validation is None else self.validation.count * self.validation.mask_s

    def _whole_end_s(self) -> float:
        """Seconds after the last step with all pictures: measuring for the card, and the report."""
        if self.validation is None:  # nothing was timed
            return 0.0 if self.budget is None else 0.05 * self.budget.total_s
        table = self.passes_at_end * self.validation.mask_s
        return 1.2 * (table + REPORTED * (self.validation.mask_s + 3 * self.validation.whole_s))

    def _end_s(self) -> float:
        """Seconds to keep for the work after the last step."""
        part = 1.0 if self.validation is None else self.at_end(REPORTED) / REPORTED
        return 3.0 + part * self._whole_end_s()


def check_minutes(minutes: float | None) -> None:
    """Refuse a number of minutes that is none, or too small to learn anything.

    Raises:
        DepthcueError: it is not a number of minutes from 0.1 up.
    """
    if minutes is not None and not 0.1 <= minutes < math.inf:
        raise DepthcueError(f"--minutes must be at least 0.1, got {minutes:g}", "For example --minutes 10.")


def check_aside(share: float) -> None:
    """Refuse a share of pictures to keep aside that leaves few to train on.

    Raises:
        DepthcueError: it is not from 0 to 0.5.
    """
    if not 0 <= share <= 0.5:
        raise DepthcueError(f"--aside must be from 0 to 0.5, got {share:g}",
                            "Usual is 0.1; 0 keeps no pictures aside, and training does not stop early.")
