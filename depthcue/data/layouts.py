"""Data sets by spec, and the layouts of NYU-v2 and KITTI with their published protocols of evaluation.

`nyu:PATH`, the csv layout of Hu et al., for NYU-v2 or anything else. A csv without header, `image,depth`, paths
relative to the csv (or to its parent folder, or with the leading `data/` of the published lists taken off). Depth by
the file's bit depth: 8 bits v/255*10 m (the published training files), 16 bits millimetres (the test files); 0 = not
known. Evaluation: shorter side to 240 (image bilinear, depth nearest), centre crop 304x228, depth to 152x114 (nearest).
Hu, Zhang, Okatani: Visualization of CNNs for Monocular Depth Estimation, ICCV 2019, and the authors' code. Deviation: a
picture narrower than 4:3 is scaled to cover 320x240, since the published crop would not fit in it.

`kitti:PATH`, KITTI's depth prediction benchmark in its official layouts, with sparse depth and a `valid` mask:

    ROOT/depth_selection/val_selection_cropped/{image,groundtruth_depth}/*.png     1216x352, for testing
    ROOT/{train,val}/DRIVE/proj_depth/groundtruth/{image_02,image_03}/NUMBER.png   annotated depth
    ROOT/DATE/DRIVE/{image_02,image_03}/data/NUMBER.png                            its raw pictures (both cameras)
    ROOT/DATE/DRIVE/proj_depth/groundtruth/{image_02,image_03}/NUMBER.png          annotated depth as monodepth2 has it

Pictures may be .jpg, to which monodepth2's instructions convert them. Depth kept in the last of these has no split: the
drives of the benchmark's validation are for testing, and all others for training. Depth is a 16-bit png, value/256
metres, 0 = none (Uhrig et al.: Sparsity Invariant CNNs, 3DV 2017, and the benchmark's readme). Raw pictures (about
1242x375) are cut to the lower centre 1216x352, where the laser reaches. Deviation from Hu, Zhang, Okatani (ICCV 2019),
who complete the sparse depth by colourisation: here it stays as measured, and losses and error measures look at the
valid pixels alone.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from depthcue.data.folder import open_folder, open_sequence
from depthcue.data.rendered import RenderedData, RenderedFlights, open_rendered
from depthcue.data.stored import (
    DepthArray,
    EvaluationProtocol,
    KnownMotion,
    Pair,
    RgbdData,
    Size,
    StoredData,
    evenly,
    read_depth_png,
)
from depthcue.errors import DepthcueError, did_you_mean

NYU_FRAME_SIZE: Size = (240, 320)
NYU_PROTOCOL = EvaluationProtocol(frame=NYU_FRAME_SIZE, crop=(228, 304), depth=(114, 152))
NYU_MAX_DEPTH_M = 10.0
NYU_LAYOUT = "A csv without header, one `image,depth` a line, e.g. nyu2/train/00002.jpg,nyu2/train/00002.png"

KITTI_FRAME_SIZE: Size = (352, 1216)
KITTI_PROTOCOL = EvaluationProtocol(KITTI_FRAME_SIZE, KITTI_FRAME_SIZE, KITTI_FRAME_SIZE)
KITTI_MAX_DEPTH_M = 80.0
PICTURES = (".png", ".jpg", ".jpeg")
RAW = (".", "raw", "raw_data", "kitti_data", "..", "../raw", "../raw_data")
"""Folders, from that of the depth, in which the raw pictures' DATE folders may lie."""
VALIDATION = frozenset(f"{drive}_sync" for drive in (
    *(f"2011_09_26_drive_{number}" for number in ("0002", "0005", "0013", "0020", "0023", "0036", "0079", "0095",
                                                  "0113")),
    "2011_09_28_drive_0037", "2011_09_29_drive_0026", "2011_09_30_drive_0016", "2011_10_03_drive_0047"))
"""The drives whose annotated depth the benchmark has under `val`."""
_ANNOTATED = "proj_depth/groundtruth/image_0[23]"
KITTI_LAYOUT = ("Expected in it depth_selection/val_selection_cropped/{image,groundtruth_depth}/*.png (testing), or "
                "train/DRIVE/proj_depth/groundtruth/image_02/*.png with raw pictures DATE/DRIVE/image_02/data/*.png or "
                ".jpg; the depth may lie in DATE/DRIVE/proj_depth as well.")
ALLOWED = ("Data is one of scenes:indoor, scenes:road, scenes:KIND:COUNT, nyu:PATH (csv layout), kitti:PATH (official "
           "layout), folder:PATH (pictures, with or without depth beside them), sequence:PATH (a walk with depth and "
           "poses). For example: folder:my_pictures")

log = logging.getLogger(__name__)


def open_nyu(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
             ) -> StoredData:
    """Open `path`: a csv file, or a folder that holds nyu2_train.csv and nyu2_test.csv (chosen by `split`).

    Raises:
        DepthcueError: there is no such file, or it lists no pairs.
    """
    table = path / f"nyu2_{split}.csv" if path.is_dir() else path
    if not table.is_file():
        raise DepthcueError(f"{spec}: there is no file {table}",
                            f"Give a csv file, or a folder that holds nyu2_train.csv and nyu2_test.csv. {NYU_LAYOUT}")
    pairs = read_pairs(table)
    return StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or NYU_FRAME_SIZE,
                      max_depth_m=NYU_MAX_DEPTH_M, read_depth=read_nyu_depth, protocol=NYU_PROTOCOL)


def read_pairs(table: Path) -> list[Pair]:
    """The pairs a csv names, each checked to be there.

    Raises:
        DepthcueError: it is no csv file of two columns, is empty, or names a file that is not there.
    """
    pairs: list[Pair] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if not row:
                    continue
                where = f"{table}, line {number}"
                if len(row) != 2:
                    raise DepthcueError(f"{where}: {len(row)} field(s): {','.join(row)[:80]}",
                                        f"Expected: {NYU_LAYOUT}")
                picture, depth = (_found(table, entry.strip(), where) for entry in row)
                pairs.append(Pair(row[0].strip(), picture, depth, where))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DepthcueError(f"{table} is no csv file: {error}", f"Expected: {NYU_LAYOUT}") from error
    if not pairs:
        raise DepthcueError(f"{table} is empty", f"Expected: {NYU_LAYOUT}")
    return pairs


def read_nyu_depth(path: Path) -> tuple[DepthArray, float]:
    """The depth as stored (h, w) and its metres per unit, by the file's bit depth.

    Raises:
        DepthcueError: the file cannot be read as a depth map.
    """
    stored = read_depth_png(path)
    return stored, NYU_MAX_DEPTH_M / 255 if stored.dtype.itemsize == 1 else 0.001


def _found(table: Path, entry: str, where: str) -> Path:
    candidates = [table.parent / entry, table.parent.parent / entry]
    if entry.startswith("data/"):
        candidates.append(table.parent / entry.removeprefix("data/"))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DepthcueError(f"{where}: there is no file {entry}",
                        f"Looked for {', '.join(str(candidate) for candidate in candidates)}. Expected: {NYU_LAYOUT}")


def open_kitti(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
               ) -> StoredData:
    """Open a KITTI folder. Testing takes the cropped selection, or the drives of `val` where there is no selection.

    Raises:
        DepthcueError: no folder, or not laid out as KITTI is.
    """
    if not path.is_dir():
        raise DepthcueError(f"{spec}: {path} is not a folder", KITTI_LAYOUT)
    if split == "train":
        pairs = drive_pairs(path, "train")
    else:
        pairs = selection_pairs(path) or drive_pairs(path, "val")
    if not pairs:
        if any(_below(path, ".jpg")):
            raise DepthcueError(f"{spec}: the depth maps in {path} are .jpg, which keeps neither their 16 bits nor "
                                "which pixels are known", "Unpack KITTI's annotated depth again; only the raw pictures "
                                "may be converted.")
        raise DepthcueError(f"{spec}: no {split}ing frames found in {path}", KITTI_LAYOUT)
    return StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or KITTI_FRAME_SIZE,
                      max_depth_m=KITTI_MAX_DEPTH_M, read_depth=read_kitti_depth, protocol=KITTI_PROTOCOL,
                      anchor="bottom")


def selection_pairs(root: Path) -> list[Pair]:
    """The pairs of the official cropped selection at `root`, above it or itself; none where it is not there."""
    for folder in (root / "depth_selection" / "val_selection_cropped", root / "val_selection_cropped", root):
        depths = sorted((folder / "groundtruth_depth").glob("*.png"))
        if depths:
            return [_selected(folder, depth) for depth in depths]
    return []


def drive_pairs(root: Path, part: Literal["train", "val"]) -> list[Pair]:
    """The annotated frames of all drives of one part, each with its raw picture."""
    depths = sorted(depth for folder in (root / part, root / "data_depth_annotated" / part)
                    for depth in folder.glob(f"*/{_ANNOTATED}/*.png"))
    if not depths:
        depths = [depth for depth in _below(root, ".png") if (_drive(depth) in VALIDATION) == (part == "val")]
        if not depths and part == "val" and (depths := list(_below(root, ".png"))):
            log.warning("none of the drives in %s is one of KITTI's validation; all are tested on", root)
    return [_driven(root, part, depth) for depth in depths]


def _below(root: Path, suffix: str) -> Iterator[Path]:
    """Annotated depth maps beside the raw pictures of their drives."""
    for raw in RAW[:4]:
        yield from sorted((root / raw).glob(f"*/*/{_ANNOTATED}/*{suffix}"))


def _drive(depth: Path) -> str:
    return depth.parents[3].name


def _driven(root: Path, part: str, depth: Path) -> Pair:
    drive = _drive(depth)
    inner = Path(drive, depth.parent.name, "data", depth.stem)
    folders = [depth.parents[4], *(root / raw / drive[:10] for raw in RAW), root / part]
    found = next((picture for folder in folders if (picture := _picture(folder / inner)) is not None), None)
    if found is None:
        raise DepthcueError(f"the depth map {depth} has no picture", f"Looked for {inner}.png and .jpg in "
                            f"{', '.join(dict.fromkeys(str(folder) for folder in folders))}. {KITTI_LAYOUT}")
    return Pair(str(inner.with_suffix(".png")), found, depth)


def _picture(stem: Path) -> Path | None:
    return next((path for suffix in PICTURES if (path := stem.with_name(stem.name + suffix)).is_file()), None)


def read_kitti_depth(path: Path) -> tuple[DepthArray, float]:
    """The depth as stored, uint16 (h, w), and its metres per unit, 1/256.

    Raises:
        DepthcueError: the file cannot be read, or has 8 bits.
    """
    stored = read_depth_png(path)
    if stored.dtype.itemsize != 2:
        raise DepthcueError(f"the depth map {path} has 8 bits", "KITTI depth is a 16-bit png, value/256 metres.")
    return stored, 1 / 256


def _selected(folder: Path, depth: Path) -> Pair:
    stem = folder / "image" / depth.stem.replace("_groundtruth_depth_", "_image_")
    picture = _picture(stem)
    if picture is None:
        raise DepthcueError(f"the depth map {depth} has no picture", f"Expected {stem}.png or .jpg.")
    return Pair(picture.stem, picture, depth)


OPENERS = {"nyu": open_nyu, "kitti": open_kitti, "folder": open_folder, "sequence": open_sequence}


def open_data(spec: str, split: Literal["train", "test"] = "test", frame_size: Size | None = None,
              limit: int | None = None, seed: int = 0) -> RgbdData:
    """Open the data set that `spec` names.

    `frame_size` (height, width) is what `frames()` gives, by default the data set's own; evaluation follows the data
    set's protocol whatever it is. `limit` takes that many frames, spread evenly over a list of files. `seed` decides
    which worlds a rendered training set shows; test sets are the same for every seed.

    Raises:
        DepthcueError: a spec that names nothing, or files that are missing or not in the layout.
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
