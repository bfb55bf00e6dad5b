"""Data sets by name: `scenes:indoor`, `scenes:road`, `nyu:PATH`, `kitti:PATH`, `folder:PATH`, `sequence:PATH`."""

from pathlib import Path
from typing import Literal

from depthcue.data.folder import open_folder
from depthcue.data.layouts import open_kitti, open_nyu
from depthcue.data.rendered import RenderedData, open_rendered
from depthcue.data.sequence import KnownMotion, RenderedFlights, open_sequence
from depthcue.data.stored import RgbdData, Size
from depthcue.errors import DepthcueError, did_you_mean

OPENERS = {"nyu": open_nyu, "kitti": open_kitti, "folder": open_folder, "sequence": open_sequence}
ALLOWED = ("Data is one of scenes:indoor, scenes:road, scenes:KIND:COUNT, nyu:PATH (csv layout), kitti:PATH (official "
           "layout), folder:PATH (pictures, with or without depth beside them), sequence:PATH (a walk with depth and "
           "poses). For example: folder:my_pictures")


def open_data(spec: str, split: Literal["train", "test"] = "test", frame_size: Size | None = None,
              limit: int | None = None, seed: int = 0) -> RgbdData:
    """Open the data set that `spec` names.

    `frame_size` (height, width) is what `frames()` gives, by default the data set's own; evaluation follows the data
    set's protocol whatever it is. `limit` takes that many frames, spread evenly over a list of files. `seed` decides
    which worlds a rendered training set shows; test sets are the same for every seed.

    Raises DepthcueError for a spec that names nothing, and for files that are missing or not what the layout asks for.
    """
    if spec.lower().endswith(".csv") and Path(spec).expanduser().is_file():
        spec = f"nyu:{spec}"
    kind, colon, rest = spec.partition(":")
    if kind not in (*OPENERS, "scenes") or not colon or not rest:
        folder = f"Did you mean folder:{spec}? " if Path(spec).expanduser().is_dir() else ""
        near = folder or did_you_mean(kind, [*OPENERS, "scenes"]).replace("? ", f":{rest or 'PATH'}? ")
        raise DepthcueError(f"unknown data {spec!r}", near + ALLOWED)
    if limit is not None and limit < 1:
        raise DepthcueError(f"--limit must be at least 1, got {limit}", "Leave it out to take all.")
    if kind == "scenes":
        return open_rendered(spec, rest, split, frame_size, limit, seed)
    path = Path(rest).expanduser()
    if not path.exists():
        raise DepthcueError(f"{spec}: there is no file or folder {path}", ALLOWED)
    return OPENERS[kind](spec, path, split, frame_size, limit)


def open_motion(spec: str, limit: int | None = None) -> KnownMotion:
    """Open frames of a camera whose motion is known: `sequence:PATH`, or rendered flights, `scenes:KIND[:COUNT]`.

    Raises:
        DepthcueError: besides what `open_data` raises: data without poses.
    """
    data = open_data(spec, limit=limit)
    if isinstance(data, RenderedData):
        return RenderedFlights(spec, data.kind, len(data))
    if not isinstance(data, KnownMotion):
        raise DepthcueError(f"{spec} does not say how the camera moved",
                            "Give sequence:PATH, a walk with depth and poses, or scenes:indoor, scenes:road.")
    return data
