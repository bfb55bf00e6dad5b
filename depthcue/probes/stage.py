"""Scenes and obstacles of both stages, and the rendered stage: roads and rooms with exact depth for every picture.

Both stages give experiments a `Scene` with a ground, and an obstacle `Shown` on it in any `Pose`. On the rendered stage
flat figures can be shown too, in the air and without a shadow (`Figure`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size
from depthcue.nets import DepthDescription
from depthcue.probes.contract import FAR, RENDERED, Answer, Case, Dropped, Unreadable, Variant
from depthcue.scenes import KINDS, Turn
from depthcue.scenes.api import Prop, Show, floor_region, photograph, prop_regions, stage_world
from depthcue.scenes.render import Rendering, frames_at_once

LEAST_PIXELS = 12
"""An obstacle of which fewer pixels are seen is not read."""
LEAST_CONTRAST = 0.03
"""An obstacle that differs less from what is behind it, in the mean over its pixels, does not stand out from it."""
FIRST_SEED, SEEDS_APART = 2_000_000_000, 100_003
"""Scenes that no shipped net was trained or tested on."""
SCENES = 8
"""Scenes of each experiment by default."""
NEAREST_M = {"road": 9.0, "indoor": 2.7}
"""Distance of an obstacle at ratio 1: its contact with the ground is still in the picture."""
FAMILIAR = {"road": ("car", "van", "pedestrian"), "indoor": ("chair", "sofa")}
UNFAMILIAR = {"road": ("fridge", "dog", "chair", "box", "ball", "cone", "bale", "arch"),
              "indoor": ("dog", "box", "ball", "cone", "bale", "arch")}
SHAPE = {"road": (96, 320), "indoor": (144, 192)}
"""Aspect ratio of the pictures; their size is the net's working size."""
_LARGE = ("box", "ball", "cone", "bale", "arch")
_SCALE_IN_ROOMS = 0.55
_TRIES = 4
"""Scenes for every case, since some are dropped."""
_AT_ONCE = 8
"""Pictures rendered together."""
_KEPT = 2 * _AT_ONCE
"""Pictures with an obstacle that a scene keeps."""
_ROAD_RANGE_M = 30.0
"""Range of a net from which its scenes are roads by default."""
_LEAST_VISIBLE = 0.4
"""Least visible share of the square of a figure's height: a narrow one fills 0.75, and another may cover some."""
_LEAST_APART = 0.08
"""Least difference of a figure from what is behind it, in the mean over its pixels, and of two figures' colours."""


@dataclass(frozen=True)
class Pose:
    """Position and view of an obstacle. Distances are ratios to the nearest one, which is 1.

    Attributes:
        position: its ground contact lies on the row of the ground at this distance.
        size: its apparent size is that at this distance.
        lift: it floats at its own distance, its lower edge on the row of the ground at this distance (rendered scenes
            alone: in a photograph this looks as `position` does).
        shadow: whether it darkens the ground.
    """

    position: float = 1.0
    size: float = 1.0
    lift: float = 1.0
    shadow: bool = True


@dataclass(frozen=True)
class Shown:
    """An obstacle in a scene.

    Attributes:
        rgb: the picture (3, H, W).
        region: bool (1, H, W), the pixels that show the obstacle.
        depth_m: exact depth (1, H, W) in metres; None where the scene is no rendered one.
        contact: row and column of the middle of its lower edge.
    """

    rgb: Tensor
    region: Tensor
    depth_m: Tensor | None
    contact: tuple[float, float]


class Obstacle(Protocol):
    """Something that can be shown in a scene of the same stage."""

    @property
    def name(self) -> str: ...


class Scene(Protocol):
    """One rendered world or one frame, with nothing put in yet.

    Attributes:
        bare: the picture (3, H, W).
        ground: bool (1, H, W), where the ground is seen.
        anchor: as `Case.anchor`.
        horizon_row: of the true horizon, in rows from the centre of the top left pixel.
        focal_px: in pixels of this picture.
    """

    name: str
    bare: Tensor
    ground: Tensor
    anchor: tuple[Tensor, Tensor]
    horizon_row: float
    focal_px: float

    def show(self, obstacle: Obstacle, poses: Sequence[Pose]) -> Iterator[Shown]:
        """The obstacle in each pose."""

    def check(self, obstacle: Obstacle, poses: Sequence[Pose]) -> Dropped | None:
        """Why the obstacle cannot be shown in these poses, None where it can."""


LineUp = tuple["Scene", list[tuple[Any, bool]]]
"""A scene, and obstacles that can be shown in it one after the other, each with whether its kind is familiar there."""


def first_shown(candidates: Iterable[tuple[Any, Any] | Dropped], poses: Sequence[Pose],
                count: int) -> Iterator[tuple[Any, Any] | Dropped]:
    """The first `count` pairs of a scene and an obstacle that can be shown in all poses; what cannot is `Dropped`."""
    found = 0
    for candidate in candidates:
        refused = candidate if isinstance(candidate, Dropped) else candidate[0].check(candidate[1], poses)
        yield candidate if refused is None else refused
        found += refused is None
        if found == count:
            return


def lined_up(scene: Any, known: Sequence[Any], others: Iterable[tuple[Any, bool]],
             pose: Pose) -> Iterator[LineUp | Dropped]:
    """One line-up of a scene: `known`, familiar obstacles that can be shown, and those of `others` that can.

    Args:
        others: obstacles, each with whether its kind is familiar; those that cannot be shown in the pose are `Dropped`.
    """
    shown: list[tuple[Any, bool]] = [(obstacle, True) for obstacle in known]
    for obstacle, familiar in others:
        refused = scene.check(obstacle, [pose])
        if refused is None:
            shown.append((obstacle, familiar))
        else:
            yield refused
    yield scene, shown


def obstacle_variant(scene: Scene, condition: str, level: float, shown: Shown, **truth: float) -> Variant:
    """A variant that is read on the obstacle. Its mean exact depth, where known, is `depth_m` of its truth."""
    truth = exact_distance(shown) | truth
    same = ~shown.region & ((shown.rgb - scene.bare).abs().amax(0, keepdim=True) < 0.02)
    return Variant(condition, level, shown.rgb, shown.region, same=same, truth=truth)


def exact_distance(shown: Shown) -> dict[str, float]:
    """The obstacle's mean exact depth in metres, where it is known and seen, as `depth_m`."""
    if shown.depth_m is None or not shown.region.any():
        return {}
    return {"depth_m": float(shown.depth_m[shown.region].mean())}


def pixels_of(variant: Variant) -> Tensor:
    """The pixels (H, W) on which an obstacle is read.

    Raises:
        Unreadable: too few of them.
    """
    assert variant.region is not None
    if int(variant.region.sum()) < LEAST_PIXELS:
        raise Unreadable(f"fewer than {LEAST_PIXELS} pixels of the obstacle are seen")
    return variant.region[0]


def distance_of(variant: Variant, answer: Answer) -> float:
    """The mean depth seen on the obstacle, in the unit of the case.

    Raises:
        Unreadable: too few pixels of it, or no finite depth.
    """
    distance = float(answer.depth[pixels_of(variant)].mean())
    if not math.isfinite(distance) or distance >= FAR / 2:
        raise Unreadable("the obstacle is seen at no finite distance")
    return distance


def stands_out(scene: Scene, shown: Shown) -> bool:
    """Whether enough of the obstacle is seen, and it differs from what is behind it."""
    if int(shown.region.sum()) < LEAST_PIXELS:
        return False
    return float((shown.rgb - scene.bare).abs().mean(0, keepdim=True)[shown.region].mean()) >= LEAST_CONTRAST


@dataclass(frozen=True)
class Thing:
    """A prop as an obstacle."""

    kind: str
    scale: float
    seed: int

    @property
    def name(self) -> str:
        return self.kind


class RenderedScene:
    """One staged world (a `Scene`)."""

    def __init__(self, kind: str, seed: int, size: tuple[int, int], device: str | torch.device = "cpu") -> None:
        self.kind, self.seed, self.size, self.device = kind, seed, size, device
        self.name = f"{kind}-{seed}"
        self.nearest_m = NEAREST_M[kind]
        self.camera_height_m = stage_world(kind, seed).camera.position[2]
        self._exposure: Tensor | None = None
        self._shown: dict[tuple[Thing, tuple[tuple[Turn, Pose], ...]], list[Shown]] = {}
        """The last pictures, the oldest first: an experiment shows those that it has checked."""
        rendering = self.render([Show()])
        self._exposure = rendering.exposure.cpu()
        self.bare = rendering.rgb[0].cpu()
        self.depth_m, self.valid = rendering.depth_m[0].cpu(), rendering.valid[0].cpu()
        self.anchor = (self.depth_m, self.valid)
        self.ground = floor_region(rendering)[0].cpu()
        self.horizon_row = float(rendering.horizon_row)
        self.focal_px = float(rendering.focal_px)

    def render(self, shows: Sequence[Show]) -> Rendering:
        """The scene as `shows` have it, with one exposure for all; not more at once than memory is meant for."""
        return photograph(self.kind, self.seed, shows, *self.size, self.device, self._exposure)

    def put(self, thing: Thing, pose: Pose) -> Prop:
        """The prop that shows a thing in a pose."""
        up_m = self.camera_height_m * (1 - 1 / pose.lift)
        return Prop(thing.kind, self.nearest_m * pose.position, up_m=up_m,
                    scale=thing.scale * pose.position / pose.size, shadow=pose.shadow, seed=thing.seed)

    def show(self, obstacle: Any, poses: Sequence[Pose]) -> Iterator[Shown]:
        yield from self.turned(obstacle, [(Turn(), pose) for pose in poses])

    def turned(self, thing: Thing, views: Sequence[tuple[Turn, Pose]]) -> Iterator[Shown]:
        """The thing in each pose, in a scene with each turn."""
        # where the renderer takes frames one by one, pictures are kept one by one, so that more of them are found again
        own = frames_at_once(*self.size, torch.device(self.device))
        together = own if own and _AT_ONCE % own == 0 else _AT_ONCE
        for start in range(0, len(views), together):
            some = tuple(views[start:start + together])
            shown = self._shown.pop((thing, some), None)
            self._shown[thing, some] = shown = self._rendered(thing, some) if shown is None else shown
            while sum(len(kept) for kept in self._shown.values()) > _KEPT:
                self._shown.pop(next(iter(self._shown)))
            yield from shown

    def _rendered(self, thing: Thing, views: Sequence[tuple[Turn, Pose]]) -> list[Shown]:
        rendering = self.render([Show(turn, (self.put(thing, pose),)) for turn, pose in views])
        regions = prop_regions(rendering, self.kind, self.seed).cpu()
        rgb, depth_m = rendering.rgb.cpu(), rendering.depth_m.cpu()
        return [Shown(rgb[row], regions[row], depth_m[row], self.contact_of(pose))
                for row, (_, pose) in enumerate(views)]

    def contact_of(self, pose: Pose) -> tuple[float, float]:
        """Row and column of the middle of the lower edge of an obstacle in the picture that is not turned."""
        below = self.focal_px * self.camera_height_m / (self.nearest_m * pose.position * pose.lift)
        return self.horizon_row + below, self.size[1] / 2 - 0.5

    def check(self, obstacle: Any, poses: Sequence[Pose]) -> Dropped | None:
        """The ground has to be free from the nearest to the farthest contact, and the obstacle visible in each pose.

        In the first pose it must stand out; in the others it must look as high as its pose says, which it does not
        where something hides it or it does not fit under the ceiling.
        """
        name = f"{self.name}, {obstacle.name}"
        for distance in (1.0, 2.0, max(pose.position for pose in poses)):
            row, column = self.contact_of(Pose(position=distance))
            row, column = min(round(row), self.size[0] - 1), round(column)
            expected = self.focal_px * self.camera_height_m / max(row - self.horizon_row, 0.5)
            if abs(float(self.depth_m[0, row, column]) / expected - 1) > 0.06:
                return Dropped(name, "the ground ahead is not flat and free")
        first, *others = self.show(obstacle, poses)
        if not stands_out(self, first):
            return Dropped(name, "the obstacle cannot be told from what is behind it")
        high = _rows(first.region) * poses[0].size
        for pose, shown in zip(poses[1:], others, strict=True):
            if abs(_rows(shown.region) - high / pose.size) > 1.5 + 0.1 * high / pose.size:
                return Dropped(name, "the obstacle is hidden, or does not fit into the scene")
        return None


def _rows(region: Tensor) -> int:
    """Number of rows in which a region (1, H, W) has pixels."""
    return int(region.any(2).sum())


class RenderedStage:
    """The stage: a number of scenes, each with the obstacles that an experiment needs (a `Stage`)."""

    name = RENDERED

    def __init__(self, kind: str, size: tuple[int, int], count: int = SCENES, seed: int = 0,
                 device: str | torch.device = "cpu") -> None:
        self.kind, self.size, self.count, self.seed, self.device = kind, size, count, seed, device
        self._opened: dict[int, RenderedScene] = {}

    @classmethod
    def for_net(cls, net: DepthDescription, kind: str | None, limit: int | None, seed: int,
                device: str | torch.device = "cpu") -> "RenderedStage":
        """Scenes of a kind, by default the one the net's range fits, at the net's working size.

        Raises:
            DepthcueError: an unknown kind.
        """
        if kind is None:
            kind = "road" if net.relative or net.max_depth_m > _ROAD_RANGE_M else "indoor"
        if kind not in KINDS:
            raise DepthcueError(f"--scenes must be one of {', '.join(KINDS)}, got {kind!r}",
                                "Leave it out for what the net's range fits.")
        size = fit_size(*SHAPE[kind], working=(net.height, net.width), multiple=net.multiple)
        return cls(kind, size, limit or SCENES, seed, device)

    def described(self) -> dict[str, Any]:
        """Description of this stage in the results."""
        return {"scenes": self.kind, "size": list(self.size), "cases": self.count, "nearest_m": NEAREST_M[self.kind]}

    def scenes(self) -> Iterator[RenderedScene]:
        """Several scenes for every case, since some are dropped; an experiment stops when it has `count` cases."""
        for number in range(self.count * _TRIES):
            yield self.scene(number)

    def scene(self, number: int) -> RenderedScene:
        """One scene; kept, since every experiment shows it."""
        if number not in self._opened:
            self._opened[number] = RenderedScene(self.kind, FIRST_SEED + self.seed * SEEDS_APART + number, self.size,
                                                 self.device)
        return self._opened[number]

    def cases(self, build: Callable[[RenderedScene, int], Case | Dropped]) -> Iterator[Case | Dropped]:
        """`count` cases, each built from the next scene and its number, and those dropped on the way."""
        found = 0
        for number, scene in enumerate(self.scenes()):
            case = build(scene, number)
            yield case
            found += isinstance(case, Case)
            if found == self.count:
                return

    def pairs_shown(self, kinds: Sequence[str],
                    poses: Sequence[Pose]) -> Iterator[tuple[RenderedScene, Thing] | Dropped]:
        """`count` scenes, each with the next of `kinds` that can be shown in all poses; what cannot is `Dropped`."""
        return first_shown(((scene, self.thing(kinds[number % len(kinds)], number))
                            for number, scene in enumerate(self.scenes())), poses, self.count)

    def familiar(self, poses: Sequence[Pose]) -> Iterator[tuple[RenderedScene, Thing] | Dropped]:
        """Scenes with an obstacle of a kind whose size is known."""
        return self.pairs_shown(FAMILIAR[self.kind], poses)

    def unfamiliar(self, poses: Sequence[Pose]) -> Iterator[tuple[RenderedScene, Thing] | Dropped]:
        """Scenes with an obstacle of a kind that is not met there."""
        return self.pairs_shown(UNFAMILIAR[self.kind], poses)

    def line_up(self, pose: Pose) -> Iterator[LineUp | Dropped]:
        """`count` scenes, each with one familiar obstacle and all unfamiliar ones that are visible in the pose."""
        for candidate in self.familiar([pose]):
            if isinstance(candidate, Dropped):
                yield candidate
                continue
            scene, familiar = candidate
            others = ((self.thing(kind, familiar.seed), False) for kind in UNFAMILIAR[self.kind])
            yield from lined_up(scene, [familiar], others, pose)

    def thing(self, kind: str, seed: int = 0) -> Thing:
        """An obstacle of a kind, large primitives scaled down for rooms."""
        small = self.kind == "indoor" and kind in _LARGE
        return Thing(kind, _SCALE_IN_ROOMS if small else 1.0, self.seed * SEEDS_APART + seed)


@dataclass(frozen=True)
class Figure:
    """A flat figure. `left` and `up` (of its middle, from the middle of the horizon) and `size` (its height) are
    tangents of angles; `seed` is of its shape and colour."""

    seed: int
    left: float
    up: float
    size: float
    distance_m: float

    def prop(self, camera_height_m: float) -> Prop:
        """The figure as a prop without a shadow, so that nothing shows its distance."""
        low = camera_height_m + (self.up - self.size / 2) * self.distance_m
        return Prop("card", self.distance_m, self.left * self.distance_m, low, self.size * self.distance_m,
                    shadow=False, seed=self.seed)


def show_figures(scene: RenderedScene, pairs: Sequence[Sequence[Figure]]) -> tuple[Rendering, list[list[Tensor]]]:
    """Each group of cards in a picture of its own, and where each card is seen, bool (1, H, W)."""
    shows = [Show(props=tuple(card.prop(scene.camera_height_m) for card in cards)) for cards in pairs]
    rendering = scene.render(shows)
    first = len(stage_world(scene.kind, scene.seed).objects)
    regions = [[(rendering.object_id[row] == first + number).cpu() for number in range(len(cards))]
               for row, cards in enumerate(pairs)]
    return rendering, regions


def hidden(scene: RenderedScene, cards: Sequence[Figure], regions: Sequence[Tensor]) -> bool:
    """Whether something of the scene may stand before a card: too little of it is seen."""
    return any(float(region.sum()) < _LEAST_VISIBLE * (card.size * scene.focal_px) ** 2
               for card, region in zip(cards, regions, strict=True))


def alike(rgb: Tensor, regions: Sequence[Tensor], bare: Tensor, each_other: bool = True) -> bool:
    """Whether a figure does not stand out from what is behind it, or, where that matters, from the other one.

    Args:
        rgb, bare: the picture (3, H, W), and that without figures.
        regions: of both figures, bool (1, H, W).
    """
    first, second = (rgb[:, region[0]].mean(1) for region in regions)
    behind = min(float((rgb - bare)[:, region[0]].abs().mean()) for region in regions)
    return behind < _LEAST_APART or (each_other and float((first - second).abs().amax()) < _LEAST_APART)
