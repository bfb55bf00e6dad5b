"""KITTI's depth prediction benchmark in its official layouts; sparse depth with a `valid` mask.

    ROOT/depth_selection/val_selection_cropped/{image,groundtruth_depth}/*.png     1216x352, for testing
    ROOT/{train,val}/DRIVE/proj_depth/groundtruth/{image_02,image_03}/NUMBER.png   annotated depth
    ROOT/DATE/DRIVE/{image_02,image_03}/data/NUMBER.png                            its raw pictures (both cameras)

Depth is a 16-bit png, value/256 metres, 0 = none. The benchmark's own readme describes it (Uhrig et al.: Sparsity
Invariant CNNs, 3DV 2017). Raw pictures (about 1242x375) are cut to the lower centre 1216x352, where the laser reaches.
Deviation from Hu, Zhang, Okatani (ICCV 2019), who complete the sparse depth by colourisation: here it stays as
measured, and losses and error measures look at the valid pixels alone.
"""

from pathlib import Path
from typing import Literal

from depthcue.data.decoding import DepthArray, Size, read_depth_png
from depthcue.data.stored import EvaluationProtocol, Pair, StoredData, evenly
from depthcue.errors import DepthcueError

FRAME_SIZE: Size = (352, 1216)
PROTOCOL = EvaluationProtocol(FRAME_SIZE, FRAME_SIZE, FRAME_SIZE)
MAX_DEPTH_M = 80.0
CAMERAS = ("image_02", "image_03")
LAYOUT = ("Expected in it depth_selection/val_selection_cropped/{image,groundtruth_depth}/*.png (testing), or "
          "train/DRIVE/proj_depth/groundtruth/image_02/*.png with raw pictures DATE/DRIVE/image_02/data/*.png.")


def open_kitti(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
               ) -> StoredData:
    """Open a KITTI folder. Testing takes the cropped selection, or the drives of `val` where there is no selection."""
    if not path.is_dir():
        raise DepthcueError(f"{spec}: {path} is not a folder", LAYOUT)
    if split == "train":
        pairs = drive_pairs(path, "train")
    else:
        pairs = selection_pairs(path) or drive_pairs(path, "val")
    if not pairs:
        raise DepthcueError(f"{spec}: no {split}ing frames found in {path}", LAYOUT)
    return StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or FRAME_SIZE,
                      max_depth_m=MAX_DEPTH_M, read_depth=read_depth, protocol=PROTOCOL, anchor="bottom")


def selection_pairs(root: Path) -> list[Pair]:
    """The pairs of the official cropped selection at `root`, above it or itself; none where it is not there."""
    for folder in (root / "depth_selection" / "val_selection_cropped", root / "val_selection_cropped", root):
        depths = sorted((folder / "groundtruth_depth").glob("*.png"))
        if depths:
            return [_selected(folder, depth) for depth in depths]
    return []


def drive_pairs(root: Path, part: Literal["train", "val"]) -> list[Pair]:
    """The annotated frames of all drives of one part, each with its raw picture."""
    pairs = []
    for depth in sorted((root / part).glob("*/proj_depth/groundtruth/image_0[23]/*.png")):
        drive, camera = depth.parents[3].name, depth.parent.name
        inner = Path(drive, camera, "data", depth.name)
        candidates = [root / drive[:10] / inner, root / "raw" / drive[:10] / inner, root / part / inner]
        picture = next((candidate for candidate in candidates if candidate.is_file()), None)
        if picture is None:
            raise DepthcueError(f"the depth map {depth} has no picture",
                                f"Looked for {', '.join(map(str, candidates))}. {LAYOUT}")
        pairs.append(Pair(str(inner), picture, depth))
    return pairs


def read_depth(path: Path) -> tuple[DepthArray, float]:
    """The depth as stored, uint16 (h, w), and its metres per unit, 1/256."""
    stored = read_depth_png(path)
    if stored.dtype.itemsize != 2:
        raise DepthcueError(f"the depth map {path} has 8 bits", "KITTI depth is a 16-bit png, value/256 metres.")
    return stored, 1 / 256


def _selected(folder: Path, depth: Path) -> Pair:
    picture = folder / "image" / depth.name.replace("_groundtruth_depth_", "_image_")
    if not picture.is_file():
        raise DepthcueError(f"the depth map {depth} has no picture", f"Expected {picture}.")
    return Pair(picture.stem, picture, depth)
