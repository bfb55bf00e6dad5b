"""A gallery for a page: stills with everything inlined, and the colours that the page gives to masks.

The page thresholds and colours masks itself, so that its sliders answer at once; it therefore gets masks and edges as
8 bit greys and the colours as tables. Depth comes in colours: seeing it anew would need the net.
"""

import re
from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np

from depthcue.imaging import Rgb, colourise_depth, colourise_mask, overlay
from depthcue.report.embed import picture_uri
from depthcue.report.results import Results

START_MEAN = 0.2
"""The mean of M near which a gallery opens: sparse, as the paper shows its masks."""
_SHORT = 14
"""Characters that fit under a thumbnail."""


def page_gallery(stills: Sequence[Results], folder: Path) -> dict[str, Any]:
    """What the page's script needs of the stills of a results document that lies in `folder`.

    Raises:
        DepthcueError: a picture of a still is missing.
    """
    labels = short_names([still["name"] for still in stills])
    shown = []
    for label, still in zip(labels, stills, strict=True):
        alike = [other for other in stills if _settings(other) == _settings(still)]
        shown.append({"label": label, "start": start_step(alike), **_still(still, folder)})
    return {"stills": shown}


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin or end with, where one is too long for the space under a thumbnail."""
    words = [[word for word in re.split(r"[/_\s.-]+", name) if word] for name in names]
    if len(names) < 2 or max(map(len, names)) <= _SHORT or min(map(len, words)) < 2:
        return list(names)
    before = len(commonprefix(words))
    after = len(commonprefix([each[before:][::-1] for each in words]))
    return [" ".join(each[before:len(each) - after]) or name for each, name in zip(words, names, strict=True)]


def start_step(stills: Sequence[Results]) -> int:
    """The step at which the masks of stills with the same settings have a mean of about START_MEAN.

    Means, and not shares of pixels above a small threshold: soft masks have long tails, and nearly all of their pixels
    are above it when nearly nothing can be seen through them.
    """
    means = np.array([[step["mean"] for step in still["steps"]] for still in stills])  # (stills, steps)
    return int(np.abs(means.mean(axis=0) - START_MEAN).argmin())


def colour_tables() -> dict[str, list[list[int]]]:
    """Red, green and blue by level: of a mask, and of the light of a picture where a mask hides and where it keeps it.

    Between hidden and kept an overlay is linear in the mask.
    """
    levels = np.arange(256, dtype=np.uint8)[None]  # (1, 256)
    light: Rgb = np.repeat(levels[..., None], 3, axis=2)
    tables = {"mask": colourise_mask(levels), "hidden": overlay(light, np.zeros_like(levels)),
              "kept": overlay(light, np.full_like(levels, 255))}
    return {name: table[0].tolist() for name, table in tables.items()}


def depth_gradient(stops: int = 12) -> str:
    """The colours of depth from near to far as CSS has them."""
    depths: Any = np.geomspace(1, 10, stops, dtype=np.float32)[None]
    return ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in colourise_depth(depths, 1, 10)[0])


def _settings(still: Results) -> list[str]:
    return [step_name(step) for step in still["steps"]]


def step_name(step: Results) -> str:
    """What a step of a gallery is called beside its slider."""
    return f"{100 * step['keep']:.3g}% kept" if "keep" in step else f"λ = {step['lambda']:.3g}"


def _still(still: Results, folder: Path) -> dict[str, Any]:
    parts = ["picture", "edges", "depth", *(["depth_truth"] if "depth_truth" in still else [])]
    shown = {part: picture_uri(folder, still[part]) for part in parts}
    steps = [{"setting": step_name(step), "mean": step["mean"], "above_half": step["above_half"],
              "difference_m": step["difference_m"],
              **{part: picture_uri(folder, step[part]) for part in ("mask", "depth")}} for step in still["steps"]]
    return {"name": still["name"], "near_m": still["near_m"], "far_m": still["far_m"], **shown, "steps": steps}
