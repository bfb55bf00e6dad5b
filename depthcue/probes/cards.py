"""Flat figures of unknown size that hang in the air before a scene, placed by where and how large they are seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from depthcue.probes.rendered import RenderedScene
from depthcue.scenes.render import Rendering
from depthcue.scenes.staging import Prop, Show, stage_world

_LEAST_SEEN = 0.4
"""Of the square of its height: a narrow card fills 0.75 of it, and another one may cover some."""
_LEAST_APART = 0.08


@dataclass(frozen=True)
class Card:
    """A figure as it is seen: left, up: of its middle, from the middle of the horizon, and size: its height, all as
    tangents of angles; distance_m: where it hangs; seed: of its shape and colour."""

    seed: int
    left: float
    up: float
    size: float
    distance_m: float

    def prop(self, camera_height_m: float) -> Prop:
        """It without a shadow, so that nothing tells its distance."""
        low = camera_height_m + (self.up - self.size / 2) * self.distance_m
        return Prop("card", self.distance_m, self.left * self.distance_m, low, self.size * self.distance_m,
                    shadow=False, seed=self.seed)


def hang(scene: RenderedScene, pairs: Sequence[Sequence[Card]]) -> tuple[Rendering, list[list[Tensor]]]:
    """Each group of cards in a picture of its own, and where each card is seen, bool (1, H, W)."""
    shows = [Show(props=tuple(card.prop(scene.camera_height_m) for card in cards)) for cards in pairs]
    rendering = scene.render(shows)
    first = len(stage_world(scene.kind, scene.seed).objects)
    regions = [[(rendering.object_id[row] == first + number).cpu() for number in range(len(cards))]
               for row, cards in enumerate(pairs)]
    return rendering, regions


def hidden(scene: RenderedScene, cards: Sequence[Card], regions: Sequence[Tensor]) -> bool:
    """Whether something of the scene may stand before a card: too little of it is seen."""
    return any(float(region.sum()) < _LEAST_SEEN * (card.size * scene.focal_px) ** 2
               for card, region in zip(cards, regions, strict=True))


def alike(rgb: Tensor, regions: Sequence[Tensor], bare: Tensor, each_other: bool = True) -> bool:
    """Whether a figure cannot be told from what is behind it, or, where that matters, from the other one.

    Args:
        rgb, bare: the picture (3, H, W), and that without figures.
        regions: of both figures, bool (1, H, W).
    """
    first, second = (rgb[:, region[0]].mean(1) for region in regions)
    behind = min(float((rgb - bare)[:, region[0]].abs().mean()) for region in regions)
    return behind < _LEAST_APART or (each_other and float((first - second).abs().amax()) < _LEAST_APART)
