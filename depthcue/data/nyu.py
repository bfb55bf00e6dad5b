"""NYU-v2 (or anything else) in the csv layout of Hu et al., and the published way to evaluate on it.

A csv without header, `image,depth`, paths relative to the csv (or to its parent folder, or with the leading `data/` of
the published lists taken off). Depth by the file's bit depth: 8 bits v/255*10 m (the published training files), 16 bits
millimetres (the test files); 0 = not known. Evaluation: shorter side to 240 (image bilinear, depth nearest), centre
crop 304x228, depth to 152x114 (nearest). Hu, Zhang, Okatani: Visualization of CNNs for Monocular Depth Estimation,
ICCV 2019, and the authors' code. Deviation: a picture narrower than 4:3 is scaled to cover 320x240, since the published
crop would not fit in it.
"""

import csv
from pathlib import Path
from typing import Literal

from depthcue.data.decoding import DepthArray, Size, read_depth_png
from depthcue.data.stored import EvaluationProtocol, Pair, StoredData, evenly
from depthcue.errors import DepthcueError

FRAME_SIZE: Size = (240, 320)
PROTOCOL = EvaluationProtocol(frame=FRAME_SIZE, crop=(228, 304), depth=(114, 152))
MAX_DEPTH_M = 10.0
LAYOUT = "A csv without header, one `image,depth` a line, e.g. nyu2/train/00002.jpg,nyu2/train/00002.png"


def open_nyu(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
             ) -> StoredData:
    """Open `path`: a csv file, or a folder that holds nyu2_train.csv and nyu2_test.csv (chosen by `split`)."""
    table = path / f"nyu2_{split}.csv" if path.is_dir() else path
    if not table.is_file():
        raise DepthcueError(f"{spec}: there is no file {table}",
                            f"Give a csv file, or a folder that holds nyu2_train.csv and nyu2_test.csv. {LAYOUT}")
    pairs = read_pairs(table)
    return StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or FRAME_SIZE,
                      max_depth_m=MAX_DEPTH_M, read_depth=read_depth, protocol=PROTOCOL)


def read_pairs(table: Path) -> list[Pair]:
    """The pairs a csv names, each checked to be there."""
    pairs: list[Pair] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if not row:
                    continue
                where = f"{table}, line {number}"
                if len(row) != 2:
                    raise DepthcueError(f"{where}: {len(row)} field(s): {','.join(row)[:80]}", f"Expected: {LAYOUT}")
                picture, depth = (_found(table, entry.strip(), where) for entry in row)
                pairs.append(Pair(row[0].strip(), picture, depth, where))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DepthcueError(f"{table} is no csv file: {error}", f"Expected: {LAYOUT}") from error
    if not pairs:
        raise DepthcueError(f"{table} is empty", f"Expected: {LAYOUT}")
    return pairs


def read_depth(path: Path) -> tuple[DepthArray, float]:
    """The depth as stored (h, w) and its metres per unit, by the file's bit depth."""
    stored = read_depth_png(path)
    return stored, MAX_DEPTH_M / 255 if stored.dtype.itemsize == 1 else 0.001


def _found(table: Path, entry: str, where: str) -> Path:
    candidates = [table.parent / entry, table.parent.parent / entry]
    if entry.startswith("data/"):
        candidates.append(table.parent / entry.removeprefix("data/"))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DepthcueError(f"{where}: there is no file {entry}",
                        f"Looked for {', '.join(str(candidate) for candidate in candidates)}. Expected: {LAYOUT}")
