"""Data sets by name: `scenes:indoor`, `scenes:road`, `nyu:PATH`, `kitti:PATH`, `folder:PATH`."""

from pathlib import Path
from typing import Literal

from depthcue.data.decoding import Size
from depthcue.data.folder import open_folder
from depthcue.data.kitti import open_kitti
from depthcue.data.nyu import open_nyu
from depthcue.data.rendered import open_rendered
from depthcue.data.rgbd import RgbdData
from depthcue.errors import DepthcueError

OPENERS = {"nyu": open_nyu, "kitti": open_kitti, "folder": open_folder}
ALLOWED = ("Data is one of scenes:indoor, scenes:road, scenes:KIND:COUNT, nyu:PATH (csv layout), kitti:PATH (official "
           "layout), folder:PATH (pictures, with or without depth beside them). For example: folder:my_pictures")


def open_data(spec: str, split: Literal["train", "test"] = "test", frame_size: Size | None = None,
              limit: int | None = None, seed: int = 0) -> RgbdData:
    """Open the data set that `spec` names.

    `frame_size` (height, width) is what `frames()` gives, by default the data set's own; evaluation follows the data
    set's protocol whatever it is. `limit` takes that many frames, spread evenly over a list of files. `seed` decides
    which worlds a rendered training set shows; test sets are the same for every seed.

    Raises DepthcueError for a spec that names nothing, and for files that are missing or not what the layout asks for.
    """
    kind, colon, rest = spec.partition(":")
    if kind not in (*OPENERS, "scenes") or not colon or not rest:
        raise DepthcueError(f"unknown data {spec!r}", ALLOWED)
    if limit is not None and limit < 1:
        raise DepthcueError(f"limit {limit}: there must be at least one frame", "Leave the limit out to take all.")
    if kind == "scenes":
        return open_rendered(spec, rest, split, frame_size, limit, seed)
    path = Path(rest).expanduser()
    if not path.exists():
        raise DepthcueError(f"{spec}: there is no file or folder {path}", ALLOWED)
    return OPENERS[kind](spec, path, split, frame_size, limit)
