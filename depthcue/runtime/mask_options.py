"""How to mask: what `depthcue mask` can be told, and what of it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from depthcue.errors import DepthcueError
from depthcue.frames import Input
from depthcue.frames.encoders import SOFTWARE, check_encoder, find_encoder
from depthcue.frames.hardware import check_decoder, hardware_decoding
from depthcue.frames.nvjpeg import check_nvjpeg
from depthcue.runtime.saving import check_kinds

THRESHOLD = 0.025
"""A pixel is kept where its mask is above this (Hu et al. 2019, sec. 4.2)."""


@dataclass(frozen=True)
class MaskOptions:
    """How to mask; the defaults are the command's."""

    weights: str = "compact-indoor"
    lam: float | None = None
    save: tuple[str, ...] = ("mask", "overlay")
    threshold: float = THRESHOLD
    target: str | None = None
    """Depth net for the kinds that show depth; None: the one the mask net was trained for."""
    backend: str = "auto"
    device: str = "auto"
    precision: str = "fp32"
    batch_size: int | None = None
    """None: 2 on a CPU, 32 elsewhere."""
    size: tuple[int, int] | None = None
    """(height, width) to work at in place of the net's own; other aspect ratios get about as many pixels."""
    cpu_fallback: bool = False
    """Where ONNX Runtime cannot use the GPU that was asked for, let it go on with the CPU."""
    compiled: bool = False
    """Let torch compile the net."""
    resume: bool = False
    encoder: str = SOFTWARE.name
    """Of videos: a name of `frames.encoders`, or auto."""
    decoder: str = "cpu"
    """cpu or gpu."""
    duration_s: float | None = None
    """How long to read live sources; None: until Ctrl-C."""
    stall_s: float = 10.0
    """After how long without a frame a live source counts as gone."""


def checked(options: MaskOptions) -> MaskOptions:
    """The options, no kind of result twice.

    Raises:
        DepthcueError: one that no machine could follow.
    """
    options = replace(options, save=check_kinds(options.save))
    if not options.save:
        raise DepthcueError("there is nothing to save", "Give --save.")
    if not 0 <= options.threshold < 1:
        raise DepthcueError(f"--threshold {options.threshold:g} is outside 0 to 1", "The paper uses 0.025.")
    check_encoder(options.encoder)
    check_decoder(options.decoder)
    for name, seconds in (("--duration", options.duration_s), ("--stall-timeout", options.stall_s)):
        if seconds is not None and not 0 < seconds < float("inf"):
            raise DepthcueError(f"{name} {seconds:g} is no length of time", "Give seconds above 0.")
    return options


def check_codecs(options: MaskOptions, inputs: Sequence[Input]) -> None:
    """Tell before the work what would fail on this machine at the first picture or video.

    Raises:
        DepthcueError: an encoder or decoder that does not work here.
    """
    moving = [each for each in inputs if each.kind in ("video", "live")]
    if moving:
        find_encoder(options.encoder, (480, 640))
        hardware_decoding(options.decoder)
    if len(moving) < len(inputs) and options.decoder == "gpu":
        check_nvjpeg()
