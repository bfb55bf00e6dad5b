"""Frames of rendered worlds by seed, in memory or on disk in the csv layout of Hu et al. with the truth beside them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from depthcue import files
from depthcue.errors import DepthcueError
from depthcue.files import atomic_path, write_text
from depthcue.progress import Progress, Silent
from depthcue.scenes import indoor, road
from depthcue.scenes.materials import CLASSES
from depthcue.scenes.render import Rendering, camera_axes, render_worlds
from depthcue.scenes.world import Turn, World, turned

KINDS = ("indoor", "road")
SCENE_SIZE = (240, 320)
SCENES_PER_KIND = 4
_STEP = {"indoor": np.array((0.02, 0.012, 0.006, 0.8, 0.4)), "road": np.array((0.6, 0.02, 0.0, 0.3, 0.05))}
"""The largest step between two frames of a flight: metres ahead, aside and up, degrees of yaw and pitch."""


def render(kind: str, seeds: Sequence[int], height: int, width: int, device: str | torch.device = "cpu",
           turn: Turn | Sequence[Turn] | None = None) -> Rendering:
    """Render one frame for each seed; the same seed gives the same frame whatever the batch it is in.

    turn: what to change, the same for every frame or one for each; a seed may stand in `seeds` several times with
    different turns.

    Raises:
        DepthcueError: an unknown kind, a size without pixels, turns that do not fit the seeds or the worlds.
    """
    if height < 1 or width < 1:
        raise DepthcueError(f"both sides of a frame must be at least 1 pixel, got {width}x{height}",
                            "For example 304x228.")
    worlds = [build_world(kind, int(seed)) for seed in seeds]
    if not worlds:
        raise DepthcueError("there are no seeds to render", "Give at least one.")
    focal_px = reference_focal_px(kind, height, width)
    if turn is None:
        return render_worlds(worlds, height, width, focal_px, device)
    turns = [turn] * len(worlds) if isinstance(turn, Turn) else list(turn)
    if len(turns) != len(worlds):
        raise DepthcueError(f"there must be one turn for all seeds or one for each, got {len(turns)} turns for "
                            f"{len(worlds)} seeds", "Give one turn, or one for each seed.")
    # the exposure is that of the frame as it was: a camera must not answer to what is being measured
    distinct = {id(world): world for world in worlds}
    gains = render_worlds(list(distinct.values()), height, width, focal_px, device).exposure
    gain_of = dict(zip(distinct, gains, strict=True))
    exposure = torch.stack([gain_of[id(world)] for world in worlds])
    changed = [turned(world, change) for world, change in zip(worlds, turns, strict=True)]
    return render_worlds(changed, height, width, focal_px, device, exposure)


def render_flight(kind: str, seed: int, frames: int, height: int, width: int, device: str | torch.device = "cpu",
                  ) -> tuple[Rendering, NDArray[np.float64]]:
    """Frames of a camera that moves through the world of a seed, as a hand or a car does at some 25 frames a second.

    Returns:
        The rendering, all frames at the exposure of the first, and the camera-to-world pose of each, (frames, 4, 4) in
        metres; camera axes x right, y down, z forward.
    """
    world, focal_px = build_world(kind, seed), reference_focal_px(kind, height, width)
    drawn = np.random.default_rng(seed)
    ahead_m, aside_m, up_m, yaw_deg, pitch_deg = _STEP[kind] * drawn.uniform((0.3, -1, -1, -1, -1), 1)
    worlds, poses = [], []
    for frame in range(frames):
        camera = world.camera
        axes = camera_axes(camera)
        position = np.array(camera.position) + frame * (ahead_m * axes[:, 2] + aside_m * axes[:, 0])
        position[2] += frame * up_m
        moved = replace(camera, position=(position[0], position[1], position[2]),
                        yaw_deg=camera.yaw_deg + frame * yaw_deg, pitch_deg=camera.pitch_deg + frame * pitch_deg)
        worlds.append(replace(world, camera=moved))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera_axes(moved), position
        poses.append(pose)
    exposure = render_worlds(worlds[:1], height, width, focal_px, device).exposure.expand(frames)
    return render_worlds(worlds, height, width, focal_px, device, exposure), np.stack(poses)


def rendered_pictures(per_kind: int = SCENES_PER_KIND, first: int = 0) -> list[NDArray[np.uint8]]:
    """A few rendered rooms and roads, uint8 (H, W, 3): pictures that are there on every machine."""
    height, width = SCENE_SIZE
    pictures: list[NDArray[np.uint8]] = []
    for kind in KINDS:
        rgb = render(kind, range(first, first + per_kind), height, width).rgb
        pictures += list((rgb.permute(0, 2, 3, 1) * 255.0).round().byte().numpy())
    return pictures


def reference_focal_px(kind: str, height: int, width: int) -> float:
    """Focal length of a kind's camera: NYU-v2's by the height, KITTI's by the width of the frame."""
    check_kind(kind)
    if kind == "indoor":
        return indoor.FOCAL_PX * height / indoor.FOCAL_HEIGHT
    return road.FOCAL_PX * width / road.FOCAL_WIDTH


def check_kind(kind: str) -> None:
    """Raise DepthcueError unless there are scenes of this kind."""
    if kind not in KINDS:
        raise DepthcueError(f"there are no scenes of kind {kind!r}", f"Kinds: {', '.join(KINDS)}.")


@lru_cache(maxsize=512)
def build_world(kind: str, seed: int) -> World:
    """The world of a seed; not to be changed, since it is kept."""
    check_kind(kind)
    return indoor.build(seed) if kind == "indoor" else road.build(seed)


DEFAULT_SIZE = {"indoor": (240, 320), "road": (192, 640)}
"""Height and width of a frame where none is given."""

_AT_ONCE = {"cpu": 8, "cuda": 64}
_MILLIMETRES_AT_MOST = 65535


def write_scenes(kind: str, out: Path, count: int, size: tuple[int, int] | None = None, seed: int = 0,
                 truth: bool = False, device: str = "cpu", progress: Progress | None = None) -> dict[str, Any]:
    """Render `count` worlds, of seeds `seed`, `seed` + 1, ..., into the folder `out`.

    KIND/NUMBER.png is the picture, KIND/NUMBER_depth.png its depth (16 bits, millimetres; 0: sky, or beyond 65.535 m),
    KIND.csv lists them (`image,depth`, no header: open it as nyu:OUT/KIND.csv, or OUT/KIND as a folder), scenes.json
    says how they were made. With `truth`, KIND/NUMBER_truth.npz holds depth_m, normal, object_id, object_names,
    material_id, material_names, edge_occlusion, edge_crease, edge_texture, edge_shadow, horizon_row,
    vanishing_point and focal_px (see Rendering). Every file is whole or absent; the list is written last.

    Returns the content of scenes.json.

    Raises:
        DepthcueError: an unknown kind, a count below 1, a folder that cannot be written, a full disk.
    """
    check_kind(kind)
    if count < 1:
        raise DepthcueError(f"--count must be at least 1, got {count}", "For example --count 100.")
    height, width = size or DEFAULT_SIZE[kind]
    progress = progress or Silent()
    progress.start(f"rendering {kind} scenes", count)
    at_once = _AT_ONCE["cpu" if torch.device(device).type == "cpu" else "cuda"]
    entries = []
    for start in range(seed, seed + count, at_once):
        seeds = range(start, min(start + at_once, seed + count))
        entries += _write_batch(render(kind, seeds, height, width, device), seeds, out / kind, truth)
        progress.advance(len(seeds))
    made = files.document("scenes", kind=kind, count=count, first_seed=seed, width=width, height=height,
                           list=f"{kind}.csv", truth=truth)
    files.write_json(out / "scenes.json", made)
    write_text(out / f"{kind}.csv", "".join(f"{kind}/{name}.png,{kind}/{name}_depth.png\n" for name in entries))
    return made


def _write_batch(rendering: Rendering, seeds: Sequence[int], folder: Path, truth: bool) -> list[str]:
    rgb = (rendering.rgb * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rounded = (rendering.depth_m[:, 0] * 1000).round()
    depth_mm = torch.where(rounded <= _MILLIMETRES_AT_MOST, rounded, 0).cpu().numpy().astype(np.uint16)
    names = [f"{seed:06d}" for seed in seeds]
    for position, name in enumerate(names):
        for suffix, pixels in (("", rgb[position]), ("_depth", depth_mm[position])):
            with atomic_path(folder / f"{name}{suffix}.png") as partial:
                Image.fromarray(pixels).save(partial, compress_level=4)
        if truth:
            with atomic_path(folder / f"{name}_truth.npz") as partial, partial.open("wb") as file:
                np.savez_compressed(file, **_truth_of(rendering, position))
    return names


def _truth_of(rendering: Rendering, position: int) -> dict[str, Any]:
    def plane(values: torch.Tensor) -> Any:
        return values[position].squeeze(0).cpu().numpy()

    return {
        "depth_m": plane(rendering.depth_m), "normal": plane(rendering.normal),
        "object_id": plane(rendering.object_id).astype(np.int16),
        "object_names": np.array([item.name for item in rendering.objects[position]]),
        "material_id": plane(rendering.material_id).astype(np.uint8), "material_names": np.array(CLASSES),
        **{f"edge_{name}": plane(edge) for name, edge in rendering.edges.items()},
        "horizon_row": plane(rendering.horizon_row), "vanishing_point": plane(rendering.vanishing_point),
        "focal_px": plane(rendering.focal_px),
    }
