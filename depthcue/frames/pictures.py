"""Read any picture file as upright uint8 RGB; single pictures and numbered sequences as frame sources."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from depthcue.errors import DepthcueError
from depthcue.frames.frame import Frame, FrameSource
from depthcue.frames.inputs import sequence_files
from depthcue.frames.nvjpeg import decode_on_gpu
from depthcue.frames.tiffs import is_for_pillow, is_tiff, read_tiff
from depthcue.imaging import BACKGROUND_GREY, Rgb, open_picture


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: uint8 RGB (H, W, 3), upright, and what was done to it that a user would want to know."""

    rgb: Rgb
    notes: tuple[str, ...] = ()


def load_picture(path: Path | str, decoder: str = "cpu") -> Picture:
    """Decode a picture file.

    The EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures are converted (16 bit scaled by 1/257, not
    clipped); transparent ones are shown on mid-grey; of an animation the first picture is taken. Safe to call from
    several threads at once.

    Args:
        decoder: cpu, or gpu, which is for JPEG files.

    Raises:
        DepthcueError: naming the file and the reason: missing, empty, not a picture, cut off, too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise DepthcueError(f"{path} is empty (0 bytes)", "Copy or download it again.")
        notes: list[str] = []
        with path.open("rb") as file, _open(file, path, notes) as image:
            on_gpu = decode_on_gpu(path, image) if decoder == "gpu" else None
            if on_gpu is not None:
                return Picture(on_gpu, tuple(notes))
            image.load()
            return _converted(_upright(image, notes), path, notes)
    except (DepthcueError, MemoryError):
        raise
    except FileNotFoundError:
        raise DepthcueError(f"{path} does not exist", "Check the path.") from None
    except PermissionError:
        raise DepthcueError(f"{path} cannot be read: permission denied", "Change its rights.") from None
    except IsADirectoryError:
        raise DepthcueError(f"{path} is a folder, not a picture", "Name a file.") from None
    except Exception as error:  # decoders raise nearly anything on damaged files: SyntaxError, struct.error, EOFError …
        raise DepthcueError(f"{path} cannot be decoded: {error or type(error).__name__}",
                            "It is damaged or cut off; copy or download it again.") from error


def _open(file: BinaryIO, path: Path, notes: list[str]) -> Image.Image:
    try:
        image = open_picture(file, path)
        if is_for_pillow(image):
            if (count := getattr(image, "n_frames", 1)) > 1:
                notes.append(f"first of {count} pictures")
            return image
    except DepthcueError:
        file.seek(0)
        if not is_tiff(file):
            raise
    file.seek(0)
    return read_tiff(file, path, notes)


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data raise anything; the picture itself is whole
        notes.append("orientation unreadable: shown as stored")
        return image


def _converted(image: Image.Image, path: Path, notes: list[str]) -> Picture:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DepthcueError(f"{path} holds integers from {values.min()} to {values.max()}; 8 and 16 bit are read",
                                "Convert it to 8 or 16 bit.")
        rgb = _from_grey(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # 65535 / 257 = 255
        notes.append("16 bit: scaled to 8")
    elif image.mode == "F":
        real = np.asarray(image)
        if not (np.isfinite(real).all() and real.min() >= 0 and real.max() <= 1):
            raise DepthcueError(f"{path} holds real numbers outside 0 to 1", "Convert it to 8 or 16 bit.")
        rgb = _from_grey((real * 255 + 0.5).astype(np.uint8))
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] == 255:
            rgb = np.array(rgba.convert("RGB"))
        else:
            ground = Image.new("RGBA", rgba.size, (BACKGROUND_GREY,) * 3 + (255,))
            rgb = np.array(Image.alpha_composite(ground, rgba).convert("RGB"))
            notes.append("transparent: shown on mid-grey")
    else:
        rgb = np.array(image.convert("RGB"))  # a copy, which may be written to
    return Picture(rgb, tuple(notes))


def _from_grey(values: Rgb) -> Rgb:
    return np.repeat(values[..., None], 3, axis=2)


class ImageSource(FrameSource):
    """A picture file as a source of one frame."""

    def __init__(self, path: Path, decoder: str = "cpu") -> None:
        super().__init__(path)
        self._decoder = decoder
        self.frame_count = 1

    def _frames(self) -> Iterator[Frame]:
        picture = load_picture(self.path, self._decoder)
        self.notes += picture.notes
        self.size = picture.rgb.shape[:2]
        yield Frame(picture.rgb, 0, None, self.path.stem)


class SequenceSource(FrameSource):
    """Numbered picture files, `frame_%05d.png`, by number; missing numbers are skipped and noted."""

    def __init__(self, path: Path, decoder: str = "cpu") -> None:
        super().__init__(path)
        self._decoder = decoder
        files = sequence_files(path)
        self._files = [file for _, file in files]
        self.frame_count = len(files)
        if gaps := _gaps([number for number, _ in files]):
            self._note(gaps)

    def _frames(self) -> Iterator[Frame]:
        failed: list[DepthcueError] = []
        for index, file in enumerate(self._files):
            try:
                picture = load_picture(file, self._decoder)
            except DepthcueError as error:
                failed.append(error)
                continue
            for note in picture.notes:
                self._note(note)
            self.size = self.size or picture.rgb.shape[:2]
            yield Frame(picture.rgb, index, None, file.stem)
        if failed:
            raise DepthcueError(f"{self.path}: {len(failed)} of {len(self._files)} pictures could not be read; "
                                f"the first: {failed[0].message}", failed[0].hint)


def _gaps(numbers: list[int]) -> str:
    """Which numbers are missing between the first and the last, in words; empty if none."""
    holes = [(a + 1, b - 1) for a, b in zip(numbers, numbers[1:], strict=False) if b > a + 1]
    if not holes:
        return ""
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in holes[:5]]
    missing = sum(last - first + 1 for first, last in holes)
    return f"{missing} frame numbers missing: {', '.join(shown)}{', …' if len(holes) > 5 else ''}"
