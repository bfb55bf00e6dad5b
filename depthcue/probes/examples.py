"""A few pictures of an experiment and the depth seen in them, left beside the results."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from depthcue.atomic import atomic_path
from depthcue.evaluation.tiles import depth_scale, depth_tile, picture_of
from depthcue.imaging import Rgb, resize_rgb
from depthcue.probes.contract import Seen, Variant

_SHOWN_WIDTH = 320
_MOST = 10


class ExampleKeeper:
    """Keeps the first case of each experiment: its reference, and the last level of each condition."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._case = ""
        self._kept: dict[str, tuple[float, Rgb, Rgb]] = {}
        self._scale = (1.0, 2.0)

    def offer(self, case: str, variant: Variant, seen: Seen) -> None:
        """Keep a variant if it is one to be shown."""
        if not self._case:
            self._case = case
            self._scale = depth_scale(seen.reference.numpy())
        if case != self._case:
            return
        height, width = variant.rgb.shape[1:]
        size = (round(height * _SHOWN_WIDTH / width), _SHOWN_WIDTH)
        self._kept[variant.condition] = (variant.level, resize_rgb(picture_of(variant.rgb), *size),
                                         depth_tile(seen.depth.numpy().astype(np.float32), size, self._scale))

    def save(self, name: str) -> list[dict[str, Any]]:
        """Write what was kept as OUT/examples/NAME-*.png and begin anew; paths in the entries are relative to OUT."""
        entries = []
        for number, (condition, (level, picture, depth)) in enumerate(list(self._kept.items())[:_MOST]):
            paths = {"shown": f"examples/{name}-{number}-picture.png", "seen": f"examples/{name}-{number}-depth.png"}
            for path, tile in zip(paths.values(), (picture, depth), strict=True):
                with atomic_path(self.out / path) as partial:
                    Image.fromarray(tile).save(partial)
            entries.append({"case": self._case, "condition": condition, "level": level, **paths})
        self._case, self._kept = "", {}
        return entries
