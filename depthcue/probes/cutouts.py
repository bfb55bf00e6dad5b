"""Cut-out objects: read from a folder, freed of the colours behind them, and pasted into pictures.

A folder holds RGBA pictures, or RGB pictures with `NAME_mask.png` beside them. `NAME_mask.png` beside an RGBA picture
marks the part on which depth is read, as in the release of van Dijk and de Croon. `objects.csv`, where there is one,
says where the ground contact is in the cut-out and in the 1242 x 375 frame it belongs to: `#filename,[source_img,]
sprite_x,sprite_y,image_x,image_y`. Without it an object stands on the lower edge of its opaque pixels. Objects are
pasted at any position and size, with soft borders, and with a shadow where they touch the ground.
"""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.imaging import open_picture
from depthcue.probes.contract import Dropped
from depthcue.scorers.edges import gaussian_blur

FRAME_WIDTH, FRAME_CENTRE_X, FRAME_HORIZON = 1242, 609.6, 172.9
"""Width and principal point of the frames that objects.csv describes; the horizon lies at that point's height."""
KNOWN_KINDS = ("car", "van", "truck", "bus", "tram", "pedestrian", "person", "cyclist", "bicycle", "motorcycle", "sign",
               "trafficlight")
"""An object whose file name begins with one of these is of a kind that is met, and whose size is known, on roads."""
_CSV = "objects.csv"
_SOLID = 0.99
"""Alpha of a pixel that holds nothing of what was behind."""
_READ_HALF = 0.5
"""Alpha from which a pixel belongs to the object."""
_SHADOWED = "_with_shadow"
"""Ending of the names of objects with a shadow of their own in the release of van Dijk and de Croon."""
BORDER_PX = 0.6
"""Deviation of the blur on the border of a pasted object: no lens draws an edge as sharp as a cut."""
SHADOW_DARKNESS, SHADOW_FLATNESS = 0.75, 0.09
"""Share of light that the middle of a contact shadow takes; its height over the object's width."""


@dataclass(frozen=True)
class CutOut:
    """One object.

    Attributes:
        rgba: (4, h, w) in [0, 1], colours not multiplied by alpha and free of what was behind.
        read: bool (1, h, w), where depth is read.
        contact: x, y of its ground contact in the cut-out.
        contact_offset: x, y of its ground contact from the principal point of a frame 1242 pixels wide; None where that
            is not known.
    """

    name: str
    rgba: Tensor
    read: Tensor
    contact: tuple[float, float]
    contact_offset: tuple[float, float] | None

    @property
    def familiar(self) -> bool:
        """Whether it is of a kind whose size is known on roads."""
        return self.name.startswith(KNOWN_KINDS)


def read_cutouts(folder: Path) -> tuple[list[CutOut], list[Dropped]]:
    """The cut-outs of a folder and of the folders in it, by name, and those that cannot be used.

    Raises:
        DepthcueError: no such folder, no cut-out in it, an objects.csv that cannot be read.
    """
    if not folder.is_dir():
        raise DepthcueError(f"there is no folder {folder}", "Give --objects a folder of cut-out pictures.")
    found: list[CutOut] = []
    dropped: list[Dropped] = []
    named: Counter[str] = Counter()
    for inner in sorted({path.parent for path in folder.rglob("*.png")}):
        positions = _read_positions(inner / _CSV)
        for path in sorted(inner.glob("*.png")):
            # where a list says which files are objects, the others are something else
            if path.stem.endswith("_mask") or (positions and path.name not in positions):
                continue
            try:
                cutout = _read(path, positions.get(path.name))
                named[cutout.name] += 1  # folders may each have their dog
                again = f" ({named[cutout.name]})" if named[cutout.name] > 1 else ""
                found.append(replace(cutout, name=cutout.name + again))
            except (_NoCutOut, OSError, DepthcueError) as reason:
                dropped.append(Dropped(path.stem, reason.message if isinstance(reason, DepthcueError) else str(reason)))
    if not found:
        raise DepthcueError(f"{folder} holds no cut-outs", "A cut-out is a PNG with transparency, or a PNG with "
                            "NAME_mask.png of the same size beside it.")
    return found, dropped


class _NoCutOut(Exception):
    pass


def _read_positions(path: Path) -> dict[str, tuple[float, float, float, float]]:
    """File name to contact in the cut-out and in the frame; the last four columns."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.reader(lines) if row and not row[0].startswith("#")]
        positions = {}
        for row in rows:
            sprite_x, sprite_y, image_x, image_y = (float(cell) for cell in row[-4:])
            positions[row[0]] = (sprite_x, sprite_y, image_x, image_y)
        return positions
    except (ValueError, UnicodeDecodeError) as error:
        raise DepthcueError(f"{path} cannot be read: {error}",
                            "Its lines are filename,[source,]sprite_x,sprite_y,image_x,image_y.") from error


def _read(path: Path, at: tuple[float, float, float, float] | None) -> CutOut:
    with open_picture(path, path) as image:
        picture = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255
    transparent = bool((picture[:, :, 3] < _READ_HALF).any())
    mask = _mask_beside(path, picture.shape[:2])
    if not transparent:
        if mask is None:
            raise _NoCutOut("neither transparency nor a mask")
        picture[:, :, 3] = mask
    alpha = picture[:, :, 3]
    if not (alpha > _READ_HALF).any():
        raise _NoCutOut("nothing in it is opaque")
    if path.stem.endswith(_SHADOWED):
        raise _NoCutOut("it brings a shadow of its own; experiments put one under it")
    read = alpha > _READ_HALF if mask is None else mask > _READ_HALF
    rows, columns = np.nonzero(alpha > _READ_HALF)
    contact = (float(columns.mean()), float(rows.max())) if at is None else at[:2]
    contact_offset = None if at is None else (at[2] - FRAME_CENTRE_X, at[3] - FRAME_HORIZON)
    rgba = _without_background(torch.from_numpy(picture).permute(2, 0, 1))
    return CutOut(path.stem, rgba, torch.from_numpy(read)[None], contact, contact_offset)


def _mask_beside(path: Path, size: tuple[int, ...]) -> NDArray[np.float32] | None:
    """The mask (H, W) in [0, 1] that lies beside a picture of `size` (H, W); its transparency, or else its grey."""
    beside = path.with_name(f"{path.stem}_mask.png")
    if not beside.is_file():
        return None
    with open_picture(beside, beside) as image:
        channel = image.getchannel("A") if "A" in image.getbands() else image.convert("L")
        mask: NDArray[np.float32] = np.asarray(channel, dtype=np.float32) / np.float32(255)
    if mask.shape != size:
        raise _NoCutOut("its mask is of another size")
    if not (mask > _READ_HALF).any():
        raise _NoCutOut("its mask is empty")
    return mask


def _without_background(rgba: Tensor) -> Tensor:
    """Give pixels at the border of (4, h, w) the colour of the nearest inner ones: theirs is mixed with what was
    behind.

    A light seam round a dark object would be a cue of its own.
    """
    rgb, alpha = rgba[None, :3], rgba[None, 3:]
    inner = -functional.max_pool2d(-(alpha > _SOLID).float(), 3, 1, 1)  # solid with solid neighbours
    if not inner.any():
        return rgba
    known, colour = inner, rgb * inner
    filled = rgb * inner
    while not bool((known > 0).all()):
        near = functional.avg_pool2d(known, 3, 1, 1)
        spread = functional.avg_pool2d(colour, 3, 1, 1) / near.clamp_min(1e-6)
        fresh = ((known == 0) & (near > 0)).float()
        filled = filled + spread * fresh
        known = known + fresh
        colour = filled
    return torch.cat((filled, alpha), 1)[0]


def layer(cutout: CutOut, contact: tuple[float, float], scale: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A cut-out laid on an empty picture: RGBA (4, H, W) with colours multiplied by alpha, and its reading region.

    Args:
        contact: x, y in the picture at which its ground contact comes to lie; fractions of a pixel count.
        scale: of the cut-out, its pixels over the picture's.
        size: (H, W) of the picture.

    Returns:
        The layer, and bool (1, H, W), where at least half of a pixel belongs to the region on which depth is read.
    """
    alpha = cutout.rgba[3:]
    stack = torch.cat((cutout.rgba[:3] * alpha, alpha, cutout.read.float()))[None]  # (1, 5, h, w)
    # a margin, so that borders can be soft on all sides
    stack = functional.pad(stack, (4, 4, 4, 4))
    height, width = stack.shape[2:]
    if scale < 1:
        shrunk = (max(1, round(height * scale)), max(1, round(width * scale)))
        stack = functional.interpolate(stack, size=shrunk, mode="bilinear", align_corners=False, antialias=True)
    # picture point p shows the cut-out's point cutout.contact + (p - contact) / scale, in pixels of the padded cut-out
    rows = (torch.arange(size[0]) - contact[1]) / scale + cutout.contact[1] + 4
    columns = (torch.arange(size[1]) - contact[0]) / scale + cutout.contact[0] + 4
    grid_y, grid_x = torch.meshgrid(2 * (rows + 0.5) / height - 1, 2 * (columns + 0.5) / width - 1, indexing="ij")
    laid = functional.grid_sample(stack, torch.stack((grid_x, grid_y), -1)[None], mode="bilinear",
                                  padding_mode="zeros", align_corners=False)
    soft = gaussian_blur(laid[:, :4], BORDER_PX)[0]
    return soft, laid[0, 4:] >= 0.5


def paste(picture: Tensor, over: Tensor) -> Tensor:
    """A layer (4, H, W) with colours multiplied by alpha over a picture (3, H, W)."""
    return (over[:3] + picture * (1 - over[3:])).clamp(0, 1)


def contact_shadow(picture: Tensor, contact: tuple[float, float], width_px: float) -> Tensor:
    """The picture (3, H, W) with the soft dark ellipse that an object `width_px` wide leaves where it stands."""
    height, width = picture.shape[1:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    half = max(width_px / 2, 1.0)
    low = max(width_px * SHADOW_FLATNESS, 1.0)
    radius = ((columns - contact[0]) / half) ** 2 + ((rows - contact[1] + 0.3 * low) / low) ** 2
    dark = SHADOW_DARKNESS * torch.exp(-(radius**2) / 2)
    return picture * (1 - dark[None])
