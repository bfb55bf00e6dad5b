"""Picture files as upright uint8 RGB, and single pictures and numbered sequences as sources of frames.

Pillow decodes most files, an NVIDIA GPU JPEG files on request, several times as fast as a core. Of a TIFF, Pillow reads
few tags: it takes 12 bits for 16, white for black in deep grey pictures, signed numbers for unsigned ones, and the
separate planes of 16-bit colour for noise, kinds that scanners, sensors and microscopes write. Only the kinds that it
reads rightly are left to it. All others go to tifffile, whose values are brought to 8 bits here, or are refused. High
dynamic range (PQ or HLG in PNG, AVIF and HEIC) is tone-mapped as in videos (`frame.Display`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from depthcue.errors import DepthcueError
from depthcue.frames.frame import HIGH_RANGE, UNSPECIFIED, Frame, FrameSource, shown_still
from depthcue.frames.inputs import sequence_files
from depthcue.frames.kinds import opening
from depthcue.frames.videos import open_file
from depthcue.imaging import BACKGROUND_GREY, Rgb, check_pixels, open_picture

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 258, 262, 274, 277, 284, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_UNSIGNED, _REAL = 1, 3
_ASSOCIATED_ALPHA = 1
_HINT = "Convert it to an 8-bit TIFF, or to PNG."
_PNG_MAGIC, _CHECKSUM = b"\x89PNG\r\n\x1a\n", 4
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 1024
"""Bytes at the end of a file that must hold the end marker; some cameras write a little behind it."""


def is_tiff(file: IO[bytes]) -> bool:
    """Whether an open file is a TIFF of any kind; it is at its beginning before and after."""
    begin = file.read(4)
    file.seek(0)
    return begin in _MAGIC


def is_for_pillow(image: Image.Image) -> bool:
    """Whether Pillow reads this kind of TIFF rightly; True for pictures of other formats."""
    if image.format != "TIFF":
        return True
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = set(_numbers(tags.get(_BITS, 1)))
    samples, photometric = tags.get(_SAMPLES, 1), tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
    formats = set(_numbers(tags.get(_SAMPLE_FORMAT, _UNSIGNED)))
    if formats == {_REAL}:
        return bits == {32} and samples == 1 and photometric == _BLACK_IS_ZERO
    if formats != {_UNSIGNED}:
        return False
    if tags.get(_PLANAR, 1) != 1 and samples > 1:
        return bits == {8} and photometric == _RGB and samples == 3
    if samples == 1:
        return (bits <= {1, 2, 4, 8} and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE)
                or bits <= {16, 32} and photometric == _BLACK_IS_ZERO)
    return (bits == {8} and photometric in (_BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR)
            or bits == {16} and photometric == _RGB)


def read_tiff(file: IO[bytes], path: Path, notes: list[str]) -> Image.Image:
    """The first picture of a TIFF as an 8-bit image with its orientation; adds notes on changes to `notes`.

    Raises:
        DepthcueError: tifffile is not installed, or the kind is not known.
    """
    try:
        import tifffile
    except ImportError:
        raise DepthcueError(f"{path} is a kind of TIFF that Pillow does not read rightly",
                            "Install what does: pip install 'depthcue[tiff]', or convert it to 8 bit.") from None
    with tifffile.TiffFile(file) as opened:
        page: Any = opened.pages[0]
        check_pixels(page.imagewidth, page.imagelength, path)
        if len(opened.pages) > 1:
            notes.append(f"first of {len(opened.pages)} pictures")
        try:
            values = page.asarray()
        except (ValueError, NotImplementedError, RuntimeError, ImportError) as error:
            raise DepthcueError(f"{path} is a kind of TIFF that is not read: {error}", _HINT) from error
        levels = _levels(values, page, path)  # in [0, 1]
        if page.bitspersample > 8:
            notes.append(f"{page.bitspersample} bit: scaled to 8")
        image = _image(levels, page, path)
        image.getexif()[_ORIENTATION] = page.tags.valueof(_ORIENTATION, 1)
        return image


def _levels(values: NDArray[Any], page: Any, path: Path) -> NDArray[np.float32]:
    """The values (H, W) or (H, W, samples) as shares of the full range, dark to light."""
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)  # (samples, H, W) to (H, W, samples)
    kind = np.dtype(values.dtype).kind
    if kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise DepthcueError(f"{path} holds real numbers outside 0 to 1", "Convert it to 8 or 16 bit.")
        levels = values.astype(np.float32)
    elif kind in "bu" and page.bitspersample <= 16:
        levels = values.astype(np.float32) / np.float32(2 ** page.bitspersample - 1)
    else:
        sign = "signed " if kind == "i" else ""
        raise DepthcueError(f"{path} holds {sign}numbers of {page.bitspersample} bits, from "
                            f"{values.min()} to {values.max()}; unsigned ones of up to 16 bits are read", _HINT)
    return 1 - levels if page.photometric == _WHITE_IS_ZERO else levels


def _image(levels: NDArray[np.float32], page: Any, path: Path) -> Image.Image:
    photometric, samples = page.photometric, 1 if levels.ndim == 2 else levels.shape[2]
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}.get(photometric)
    if colours is None or levels.ndim not in (2, 3) or samples < colours or (colours == 1 and samples > 2):
        name = getattr(photometric, "name", photometric)
        raise DepthcueError(f"{path} is a kind of TIFF that is not read: {name} of {samples} samples", _HINT)
    bytes8 = (levels * 255 + 0.5).astype(np.uint8)
    if colours == 1:
        bytes8 = np.repeat(bytes8.reshape(*levels.shape[:2], samples)[..., :1], 3, axis=2)
    if colours == 4:
        return Image.fromarray(np.ascontiguousarray(bytes8[..., :4]), "CMYK")
    alpha = next((kind for kind in page.extrasamples if kind), None)
    if alpha is None or samples <= colours:
        return Image.fromarray(np.ascontiguousarray(bytes8[..., :3]), "RGB")
    opacity = (levels[..., colours:colours + 1] * 255 + 0.5).astype(np.uint8)
    rgba = np.ascontiguousarray(np.concatenate((bytes8[..., :3], opacity), axis=2))
    return Image.fromarray(rgba, "RGBa" if alpha == _ASSOCIATED_ALPHA else "RGBA")


def _numbers(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def check_nvjpeg() -> None:
    """Refuse to decode on a GPU where there is none.

    Raises:
        DepthcueError: there is no GPU that decodes JPEG files here.
    """
    import torch  # loaded here alone: decoding on a CPU needs no torch

    if not torch.cuda.is_available():
        raise DepthcueError("no GPU here decodes JPEG files (torch sees no CUDA device)",
                            "Leave --decoder out; depthcue doctor tells what this machine has.")


def decode_on_gpu(path: Path, opened: Image.Image) -> Rgb | None:
    """The upright picture uint8 (H, W, 3); None where the CPU should decode it: other formats, unusual or damaged JPEG.

    Colours differ by a level or two from the CPU's: the transform is rounded otherwise.

    Args:
        opened: the file's header.
    """
    if opened.format != "JPEG" or opened.mode not in ("RGB", "L"):
        return None
    if opened.getexif().get(_ORIENTATION, 1) != 1:
        return None
    content = np.fromfile(path, np.uint8)
    if _END_OF_IMAGE not in content[-_TAIL_BYTES:].tobytes():
        return None  # cut off: the CPU's decoder says so, the GPU's fills in grey
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    try:
        planes = decode_jpeg(torch.from_numpy(content), ImageReadMode.RGB, device="cuda")  # (3, H, W)
        rgb: Rgb = planes.permute(1, 2, 0).contiguous().cpu().numpy()
    except RuntimeError:  # an arithmetic or progressive kind it does not know, or no memory left
        return None
    return rgb


@dataclass(frozen=True, eq=False)
class StillPicture:
    """A decoded picture, uint8 RGB (H, W, 3), upright, and notes for the user on how it was changed."""

    rgb: Rgb
    notes: tuple[str, ...] = ()


def load_picture(path: Path | str, decoder: str = "cpu") -> StillPicture:
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
        notes: list[str] = []
        with opening(path), path.open("rb") as file, _open(file, path, notes) as image:
            on_gpu = decode_on_gpu(path, image) if decoder == "gpu" else None
            if on_gpu is not None:
                return StillPicture(on_gpu, tuple(notes))
            image.load()
            picture = _converted(_upright(image, notes), path, notes)
            return StillPicture(_in_usual_range(picture.rgb, image, path, notes), tuple(notes))
    except (DepthcueError, MemoryError):
        raise
    except IsADirectoryError:
        raise DepthcueError(f"{path} is a folder, not a picture", "Name a file.") from None
    except Exception as error:  # decoders raise nearly anything on damaged files: SyntaxError, struct.error, EOFError …
        raise DepthcueError(f"{path} cannot be decoded: {error or type(error).__name__}",
                            "It is damaged or cut off; copy or download it again.") from error


def rgb_of(image: Image.Image) -> Rgb:
    """An image in memory as uint8 RGB (H, W, 3), upright; converted as `load_picture` converts a file.

    Raises:
        DepthcueError: it is damaged, or of a kind that has no 8 bits.
    """
    try:
        return _converted(_upright(image, []), Path(getattr(image, "filename", "") or "the image"), []).rgb
    except (OSError, SyntaxError) as error:  # its file is read now
        raise DepthcueError(f"a PIL image cannot be decoded: {error}", "It is damaged or cut off.") from error


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


def _converted(image: Image.Image, path: Path, notes: list[str]) -> StillPicture:
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
    return StillPicture(rgb, tuple(notes))


def _in_usual_range(rgb: Rgb, image: Image.Image, path: Path, notes: list[str]) -> Rgb:
    """A decoded picture in the usual range: high dynamic range tone-mapped to BT.709, others as they are."""
    primaries, transfer = _colours(image, path)
    if transfer not in HIGH_RANGE:
        return rgb
    return shown_still(rgb, primaries, transfer, notes.append)


def _colours(image: Image.Image, path: Path) -> tuple[int, int]:
    """Primaries and transfer characteristics (ITU-T H.273) that the file states; 2 where it states none."""
    if image.format == "PNG":
        with path.open("rb") as file:
            file.seek(len(_PNG_MAGIC))
            while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
                length = int.from_bytes(head[:4], "big")
                if head[4:] == b"cICP" and len(code := file.read(4)) == 4:
                    return code[0], code[1]
                file.seek(length + _CHECKSUM, 1)
    if image.format == "HEIF":
        profile = image.info.get("nclx_profile") or {}
        return profile.get("color_primaries", UNSPECIFIED), profile.get("transfer_characteristics", UNSPECIFIED)
    if image.format == "AVIF":
        try:
            with open_file(path) as container:
                context = container.streams.video[0].codec_context
                return int(context.color_primaries), int(context.color_trc)
        except (av.error.FFmpegError, OSError, IndexError, DepthcueError):  # Pillow's decoder is more patient
            pass
    return UNSPECIFIED, UNSPECIFIED


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
    """Numbers missing between the first and the last, in words; empty if none."""
    holes = [(a + 1, b - 1) for a, b in zip(numbers, numbers[1:], strict=False) if b > a + 1]
    if not holes:
        return ""
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in holes[:5]]
    missing = sum(last - first + 1 for first, last in holes)
    return f"{missing} frame numbers missing: {', '.join(shown)}{', …' if len(holes) > 5 else ''}"
