"""A first look, for a newcomer: rendered rooms and a short drive, masked, compared with edges, and explained on a page.

Everything is made here and now from rendered scenes and the shipped nets: no internet, no data set, no GPU.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue import scenes
from depthcue.backends.device import pick_device
from depthcue.errors import DepthcueError
from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_specs
from depthcue.evaluation.images import Step, picture_of, save_still
from depthcue.evaluation.viewing import inputs_of, load_pair, setting_of
from depthcue.files import make_folder, write_bytes
from depthcue.frames import ENCODINGS, Frame, VideoSink, find_inputs, open_input
from depthcue.imaging import Rgb
from depthcue.nets import MaskNet, Setting, depth_from, fit
from depthcue.progress import Progress, Silent
from depthcue.report.page import START_MEAN, write_page
from depthcue.results import Demo
from depthcue.runtime.mask_job import mask_sources
from depthcue.runtime.masking import MaskOptions
from depthcue.scorers import Pictures, build_scorer, sobel_edges

FIRST_SEED = 1_500_000_000
"""Worlds from here on are in no training or test set."""
SHARES = (0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
"""Shares on the slider for a net of shares."""
_AT_ONCE = 10
"""Frames of the drive rendered together."""

TITLES = {"indoor": "Rooms", "road": "Roads"}
LABELS = {"indoor": "room", "road": "road"}
HEADLINE = "What does a network look at when it sees depth?"


@dataclass(frozen=True)
class Tour:
    """Contents and size of the demo; the defaults take about a minute on two cores."""

    weights: Mapping[str, str] = field(default_factory=lambda: {"indoor": "compact-indoor", "road": "compact-road"})
    """The mask net for each kind of scene."""
    stills: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"indoor": (0, 9, 15, 20), "road": (5, 6)})
    """Worlds of the pictures with a dial: added to FIRST_SEED."""
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"indoor": (360, 480), "road": (192, 640)})
    """Height and width of pictures and video."""
    dial_steps: int = 9
    compared: Mapping[str, int] = field(default_factory=lambda: {"indoor": 24, "road": 12})
    """Number of pictures on which the mask is compared with edges."""
    comparison: CompareEdgesSettings = CompareEdgesSettings(shares=(0.1, 0.2, 0.3, 0.5, 0.7), soft_maps=False,
                                                            sweep_steps=12, sweep_images=8,
                                                            examples=2, gallery=False)
    drive_frames: int = 50
    drive_rate: int = 10
    drive_metres_a_frame: float = 0.9
    mean: float = START_MEAN
    """The mean of M with which the drive is masked."""


def demo(out: Path, tour: Tour | None = None, progress: Progress | None = None) -> Path:
    """Leave a page with everything it shows in the folder `out`.

    Returns:
        The page, OUT/index.html.

    Raises:
        DepthcueError: shipped weights are missing, or the folder cannot be written.
    """
    tour, progress = tour or Tour(), progress or Silent()
    start = time.perf_counter()
    make_folder(out)
    gallery: list[dict[str, Any]] = []
    pictures: dict[str, list[Path]] = {}
    chosen: dict[str, Setting] = {}
    for kind, worlds in tour.stills.items():
        progress.start(f"rendering {TITLES[kind].lower()}", len(worlds))
        stills, pictures[kind], chosen[kind] = _stills(kind, worlds, tour, out, progress)
        gallery += stills
    progress.start("rendering a drive", tour.drive_frames)
    drive = _render_drive(tour, out / "pictures" / "drive.mp4", progress)
    masked = [_masked(kind, pictures[kind] + [drive] * (kind == "road"), tour, chosen[kind], out, progress)
              for kind in tour.stills]
    video = next(entry for inputs in masked for entry in inputs if entry["kind"] == "video")
    comparisons = []
    for kind, count in tour.compared.items():
        folder = f"compare/{TITLES[kind].lower()}"
        compare_specs(tour.weights[kind], None, f"scenes:{kind}", out / folder, tour.comparison, count,
                      progress=progress)
        comparisons.append({"title": TITLES[kind], "folder": folder})
    Demo.made(
        gallery=gallery,
        video={"mean": video["mean_mask"], **{kind: f"masks/roads/drive_{kind}.mp4" for kind in ("overlay", "panel")},
               "poster": _poster(out), "where": _where(out)},
        comparisons=comparisons, seconds=round(time.perf_counter() - start, 1)).save(out)
    page = out / "index.html"
    write_page([out, *(out / comparison["folder"] for comparison in comparisons)], page, HEADLINE,
               mixed=True)
    return page


def _stills(kind: str, worlds: Sequence[int], tour: Tour, out: Path,
            progress: Progress) -> tuple[list[dict[str, Any]], list[Path], Setting]:
    """Stills of one kind for the gallery, their pictures as files, and the setting with masks of about `tour.mean`."""
    device = pick_device("auto")
    mask_net, depth_net = load_pair(tour.weights[kind], None, device)
    rendering = scenes.render(kind, [FIRST_SEED + world for world in worlds], *tour.sizes[kind], device=device)
    rgb = fit(rendering.rgb, depth_net.description)
    with torch.inference_mode():
        normalised = depth_net.normalise(rgb)
        whole_m = depth_from(depth_net, normalised)
        masks = {one: _mask(mask_net, rgb, one) for one in _dial(mask_net, rgb, tour.dial_steps)}
        kept_m = {one: depth_from(depth_net, normalised, mask) for one, mask in masks.items()}
    edges = sobel_edges(rgb)
    entries, pictures = [], []
    for row in range(len(worlds)):
        name = f"{kind}-{row + 1}"
        pictures.append(out / "pictures" / f"{name}.png")
        write_bytes(pictures[-1], ENCODINGS["rgb-png"].encode(picture_of(rendering.rgb[row])))
        entries.append(save_still(
            out, name, f"{LABELS[kind]} {row + 1}", rendering.rgb[row], edges[row], whole_m[row],
            [Step(one.entry(), mask[row], kept_m[one][row]) for one, mask in masks.items()],
            (rendering.depth_m[row], rendering.valid[row])))
        progress.advance()
    return entries, pictures, min(masks, key=lambda one: abs(float(masks[one].mean()) - tour.mean))


def _render_drive(tour: Tour, path: Path, progress: Progress) -> Path:
    """Write the video of a camera that goes down a rendered road."""
    height, width = tour.sizes["road"]
    seed = clear_road(tour)
    with VideoSink(path, Fraction(tour.drive_rate), (height, width)) as sink:
        for start in range(0, tour.drive_frames, _AT_ONCE):
            indices = range(start, min(start + _AT_ONCE, tour.drive_frames))
            turns = [scenes.Turn(forward_m=index * tour.drive_metres_a_frame) for index in indices]
            rendering = scenes.render("road", [seed] * len(turns), height, width, pick_device("auto"), turns)
            for index, rgb in zip(indices, rendering.rgb, strict=True):
                picture = picture_of(rgb)
                sink.write(picture, Frame(picture, index, None, f"{index:06d}"))
            progress.advance(len(turns))
    return path


def clear_road(tour: Tour) -> int:
    """The first road down which the camera can drive without going through anything: the others on it stand still."""
    turns = [scenes.Turn(forward_m=index * tour.drive_metres_a_frame) for index in range(0, tour.drive_frames, 3)]
    for seed in range(FIRST_SEED, FIRST_SEED + 200):
        # a small picture is enough to see what comes near; the road itself is seen from about 2.5 m on
        if scenes.render("road", [seed] * len(turns), 24, 80, turn=turns).depth_m.min() > 2.2:
            return seed
    return FIRST_SEED


def _masked(kind: str, sources: Sequence[Path], tour: Tour, setting: Setting, out: Path,
            progress: Progress) -> list[dict[str, Any]]:
    """Mask pictures and video of one kind as `depthcue mask` does, into OUT/masks; the summary of each."""
    # torch, because exporting the net would take longer than these few frames
    options = MaskOptions(tour.weights[kind], lam=setting.lam if setting.keep is None else None, keep=setting.keep,
                          save=("mask", "overlay", "panel"), backend="torch")
    folder = out / "masks" / TITLES[kind].lower()
    summary = mask_sources([str(source) for source in sources], folder, options, progress)
    for entry in summary["inputs"]:
        if entry["error"] is not None:
            raise DepthcueError(f"{entry['path']} could not be masked: {entry['error']}", "See depthcue doctor.")
    inputs: list[dict[str, Any]] = summary["inputs"]
    return inputs


def _frames(out: Path, kind: str) -> list[Rgb]:
    """The frames of a video of the masked drive."""
    with open_input(*find_inputs([str(out / "masks" / TITLES["road"].lower() / f"drive_{kind}.mp4")])) as video:
        return [frame.rgb for frame in video]


def _poster(out: Path) -> str:
    """Write the middle frame of the masked drive, which stands for it until it plays; its path, relative to `out`."""
    path = out / "pictures" / "drive_poster.png"
    frames = _frames(out, "overlay")
    write_bytes(path, ENCODINGS["rgb-png"].encode(frames[len(frames) // 2]))
    return path.relative_to(out).as_posix()


def _where(out: Path) -> list[float]:
    """The shares of the drive's mask in the upper, middle and lower third of the picture; they add up to 1."""
    mean = np.mean([frame[..., 0] for frame in _frames(out, "mask")], axis=0)  # (H, W)
    sums = np.array([float(third.sum()) for third in np.array_split(mean, 3)])
    return [round(float(share), 3) for share in sums / max(float(sums.sum()), 1e-9)]


def _dial(mask_net: MaskNet, rgb: Tensor, steps: int) -> list[Setting]:
    """Up to `steps` settings, those that keep most first; of λ those whose masks' means are about evenly apart."""
    if mask_net.keeps_shares:
        return [setting_of(mask_net, keep) for keep in SHARES]
    span = mask_net.description.lambda_range
    if span is None:
        return [setting_of(mask_net)]
    lams = [Setting(lam) for lam in np.geomspace(*span, 24).clip(*span).tolist()]
    means = np.array([float(_mask(mask_net, rgb, lam).mean()) for lam in lams])
    wanted = np.linspace(means[0], means[-1], steps)
    return [lams[position] for position in sorted({int(np.abs(means - mean).argmin()) for mean in wanted})]


def _mask(mask_net: MaskNet, rgb: Tensor, setting: Setting) -> Tensor:
    return build_scorer("mask", inputs_of(mask_net, setting))(Pictures(rgb, range(len(rgb))))  # (B, 1, H, W)
