"""Experiments: cases made of pictures, readings off the net's answer to each, and findings over all cases.

After van Dijk and de Croon, How Do Neural Networks See Depth in Single Images? (ICCV 2019): the network is a black box;
change one thing in a picture and watch the depth map.

    case        one scene (or one obstacle in one frame): a reference picture and variants of it
    variant     a condition ("position", "size"), a level of what was changed, the picture, the exact truth
    reading     numbers read off the depth map of one variant
    findings    curves and values over cases, with 95% intervals over scenes, and weights for the cue profile

An experiment says how to make the cases on each stage it supports, how to read one variant, and what the readings come
to. Everything else (batches, units, dropped cases, intervals, masks, files) is the same for all; see `running`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from depthcue.evaluation import statistics
from depthcue.evaluation.statistics import Floats, pair, short

RENDERED, PHOTOGRAPHS = "rendered", "photographs"
STAGES = (RENDERED, PHOTOGRAPHS)
FAR = 1e4
"""Largest depth, in the unit of the case: beyond what any scene holds, and finite."""


class Unreadable(Exception):
    """A variant off which something cannot be read; the reason is counted and reported, the batch goes on.

    Args:
        numbers: what could be read all the same.
    """

    def __init__(self, reason: str, **numbers: float) -> None:
        super().__init__(reason)
        self.reason, self.numbers = reason, numbers


@dataclass(frozen=True)
class Variant:
    """One picture of a case. All pictures of a case have one size.

    Attributes:
        condition: what is changed and how; `""` for the reference.
        level: how far it is changed, in the unit of the experiment's x axis.
        rgb: (3, H, W) in [0, 1].
        region: bool (1, H, W), where the answer is read; None where all of the picture counts.
        cue: bool (1, H, W), the pixels that carry the changed cue, for the share of a mask on them; None for `region`.
        same: bool (1, H, W), pixels that show what they show in the reference: a net that is right up to scale and
            shift alone is brought to one scale over them. None where no pixel does; the reference's scale holds then.
        ground: bool (1, H, W), where to look for the ground, for experiments that read a horizon off it.
        truth: exact numbers of this variant by name.
    """

    condition: str
    level: float
    rgb: Tensor
    region: Tensor | None = None
    cue: Tensor | None = None
    same: Tensor | None = None
    ground: Tensor | None = None
    truth: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One scene: the reference picture and its variants, which are rendered when they are iterated.

    Attributes:
        scene: name that cases share whose pictures are alike but for the obstacle.
        anchor: depth (1, H, W) of the reference picture and where it is known, bool (1, H, W): exact metres where the
            scene is rendered; of a photograph's ground plane, in any unit, else. It brings the answers of a net that is
            right up to scale and shift alone to depth; no other net's answers are touched.
    """

    scene: str
    reference: Variant
    variants: Iterator[Variant]
    anchor: tuple[Tensor, Tensor]
    obstacle: str = ""

    @property
    def name(self) -> str:
        """The scene, and the obstacle where there is one."""
        return f"{self.scene}, {self.obstacle}" if self.obstacle else self.scene


@dataclass(frozen=True)
class Dropped:
    """A case that is left out by a stated rule."""

    name: str
    reason: str


def each_case(pairs: Iterable[tuple[Any, ...] | Dropped],
              make: Callable[..., Case | Dropped]) -> Iterator[Case | Dropped]:
    """A case for every scene and its obstacle, as a stage gives them; what the stage dropped is passed on."""
    for found in pairs:
        yield found if isinstance(found, Dropped) else make(*found)


@dataclass(frozen=True)
class Answer:
    """Depth of the pictures of a case: (H, W) at the picture's size, positive, in one unit a case."""

    depth: Tensor
    reference: Tensor


@dataclass
class Readings:
    """Everything read off one case of a scene: numbers by condition and level; what could not be read is absent."""

    scene: str
    numbers: dict[tuple[str, float], dict[str, float]] = field(default_factory=dict)

    def levels(self, condition: str, number: str) -> tuple[Floats, Floats]:
        """The levels of a condition at which a number was read, ascending, and the number at each."""
        found = sorted((level, values[number]) for (name, level), values in self.numbers.items()
                       if name == condition and number in values)
        return np.array([level for level, _ in found]), np.array([value for _, value in found])

    def get(self, condition: str, level: float, number: str) -> float:
        """One number; NaN where it was not read."""
        return self.numbers.get((condition, level), {}).get(number, np.nan)


class Chance:
    """Means over cases and their 95% bootstrap intervals over scenes; a case without a value is left out of its own
    number.

    Scenes are drawn, and all cases of a scene with it: cases that share a frame are no two draws of chance.
    """

    def __init__(self, draws: int = statistics.DRAWS, seed: int = 0, scenes: Sequence[str] | None = None) -> None:
        """scenes: the scene of each value; None where every value has its own."""
        self.draws, self.seed, self.scenes = draws, seed, scenes
        self._weights: dict[int, Floats] = {}

    def over(self, scenes: Sequence[str]) -> "Chance":
        """The same chance for values of these scenes, one of each case."""
        other = Chance(self.draws, self.seed, scenes)
        other._weights = self._weights
        return other

    def mean(self, values: Sequence[float] | Floats) -> dict[str, Any]:
        """`value`, `ci95` and `n` of the mean of the finite values; `value` and `ci95` None where there is none.

        One scene has a value but leaves no interval: `ci95` is None then too.

        Args:
            values: one of each case, NaN where it has none.
        """
        every = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(every)
        known = every[finite]
        if not len(known):
            return {"value": None, "ci95": None, "n": 0}
        entry: dict[str, Any] = {"value": short(float(known.mean())), "ci95": None, "n": len(known)}
        scenes = range(len(every)) if self.scenes is None else self.scenes
        drawn = [scene for scene, has_value in zip(scenes, finite, strict=True) if has_value]
        row_of = {scene: row for row, scene in enumerate(dict.fromkeys(drawn))}
        if len(row_of) > 1:
            weights = self._resampling(len(row_of))[:, [row_of[scene] for scene in drawn]]
            entry["ci95"] = pair(statistics.percentile_interval(weights @ known / weights.sum(1)))
        return entry

    def _resampling(self, count: int) -> Floats:
        if count not in self._weights:
            self._weights[count] = statistics.resampling_weights(count, self.draws, self.seed)
        return self._weights[count]


@dataclass
class Findings:
    """Conclusions of an experiment, in pieces that any report can show.

    Attributes:
        x, y: what the axes of the curves say; empty where there are no curves.
        curves: see `curve`.
        bars: numbers to be compared by eye: groups of `y` (what the axis says) and `bars`, each as a value; bars of one
            `name` differ in their `series`.
        values: single numbers: `name`, `value`, `ci95`, `n`, and `unit` where it has one.
        profile: weights on the common scale, the share of the true depth change that the net follows when only this
            cue tells it: `cue`, the `condition` that turned it, `value`, `ci95`, `n`.
    """

    x: str = ""
    y: str = ""
    curves: list[dict[str, Any]] = field(default_factory=list)
    bars: list[dict[str, Any]] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    profile: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The findings as results documents keep them."""
        return {"x": self.x, "y": self.y, "curves": self.curves, "bars": self.bars, "values": self.values,
                "profile": self.profile}


def curve(name: str, readings: Sequence[Readings], condition: str, number: str, chance: Chance,
          truth: str | None = None, x: str | None = None, y: str | None = None) -> dict[str, Any]:
    """The mean of a number over cases at every level of a condition.

    Args:
        truth: the exact number that belongs to it, by name.
        x, y: what the axes say, where it is not what the findings say for all curves.

    Returns:
        `name`, `condition`, `x` and `y` where they are given, and `points`, each `x`, `value`, `ci95`, `n`, and `truth`
        (the mean of the exact number over the same cases) where it has one.
    """
    levels = sorted({level for reading in readings for found, level in reading.numbers if found == condition})
    points = []
    for level in levels:
        values = np.array([reading.get(condition, level, number) for reading in readings])
        point = {"x": short(level), **chance.mean(values)}
        if truth is not None:
            exact = np.array([reading.get(condition, level, truth) for reading in readings])
            point["truth"] = chance.mean(np.where(np.isfinite(values), exact, np.nan))["value"]
        if point["n"]:
            points.append(point)
    return {"name": name, "condition": condition, **({} if x is None else {"x": x}),
            **({} if y is None else {"y": y}), "points": points}


class Stage(Protocol):
    """Source of the pictures of cases; it offers what the experiments that support it need."""

    name: str


@dataclass(frozen=True)
class Experiment:
    """One question, put to a depth net on one or both stages.

    Attributes:
        name: as on the command line.
        question: one line.
        cases: for each stage it supports, what makes its cases; a case left out by a rule is given as `Dropped`.
        read: the numbers read off one variant; raises Unreadable where it cannot be.
        conclude: what the readings of all cases come to.
    """

    name: str
    question: str
    cases: Mapping[str, Callable[[Any], Iterator[Case | Dropped]]]
    read: Callable[[Variant, Answer], dict[str, float]]
    conclude: Callable[[Sequence[Readings], Chance], Findings]

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if stage in self.cases)
