"""How to mask: what `depthcue mask` can be told, and what of it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from depthcue.errors import DepthcueError
from depthcue.frames import Input
from depthcue.frames.encoders import SOFTWARE, check_encoder, find_encoder
from depthcue.frames.hardware import check_decoder, hardware_decoding
from depthcue.frames.nvjpeg import check_nvjpeg
from depthcue.runtime.saving import THRESHOLD, check_kinds


@dataclass(frozen=True)
class MaskOptions:
    """How to mask; the defaults are the command's."""

    weights: str = "compact-indoor"
    keep: float | None = None
    """Share of the pixels to keep; None as λ or the net's own default has it."""
    lam: float | None = None
    save: tuple[str, ...] = ("mask", "overlay")
    threshold: float | None = None
    """A pixel is kept where its mask is above this; None: THRESHOLD. Not where there is a share to keep."""
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
    if options.threshold is not None and not 0 <= options.threshold < 1:
        raise DepthcueError(f"--threshold {options.threshold:g} is outside 0 to 1", f"The paper uses {THRESHOLD}.")
    if options.keep is not None and not 0 < options.keep < 1:
        raise DepthcueError(f"--keep must be above 0 and below 1, got {options.keep:g}", "For example --keep 0.2.")
    if options.keep is not None and options.lam is not None:
        raise DepthcueError("a share to keep and a lambda were both given", "Give either --keep or --lambda.")
    if options.keep is not None and options.threshold is not None:
        raise DepthcueError("--keep and --threshold were both given", "A share says which pixels are kept: leave "
                            "--threshold out.")
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
