"""Masking on one machine, alone or as one of many: options, the opened nets, and the jobs that run inputs through them.

A `Plan` divides the machine's cores among decoding, inference and encoding.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from depthcue.backends.device import resolve_device
from depthcue.backends.session import Frames, Maps, Session, catch_out_of_memory, halving
from depthcue.errors import DepthcueError, check_one_dial, check_share, shown, without_secrets
from depthcue.frames import FrameSource, Input, LiveOptions, LiveSource, open_input
from depthcue.frames.motion import STRENGTH, SteadyMaps
from depthcue.frames.pictures import check_nvjpeg
from depthcue.frames.sinks import SOFTWARE, check_encoder, find_encoder
from depthcue.frames.videos import check_decoder, hardware_decoding
from depthcue.imaging import fit_size, top_pixels
from depthcue.nets import DepthNet, MaskDescription, Setting, depth_from, load_depth_net, load_target_of, whole_depth
from depthcue.nets.catalog import GENERAL, warn_of_other_target
from depthcue.runtime.jobs import Infer, Outcome, Prepared
from depthcue.runtime.opening import open_session, torch_threads
from depthcue.runtime.pipeline import Pipeline
from depthcue.runtime.point_clouds import Recording, check_field_of_view
from depthcue.runtime.saving import (
    DEPTH_KINDS,
    PICTURE_KINDS,
    THRESHOLD,
    USUAL_DRAWING,
    Cut,
    Drawing,
    Kept,
    Rendered,
    Saver,
    check_kinds,
)
from depthcue.runtime.summary import fingerprint

FIRST_GUESS = "a first guess"
"""Note on masks of the general mask net, which was not trained for the depth net."""


@dataclass(frozen=True)
class MaskOptions:
    """Options of masking; the defaults are the command's."""

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
    """Whether ONNX Runtime goes on with the CPU where it cannot use the wanted GPU."""
    compiled: bool = False
    """Let torch compile the net."""
    resume: bool = False
    encoder: str = SOFTWARE.name
    """Encoder of videos: a name of `frames.sinks`, or auto."""
    decoder: str = "cpu"
    """cpu or gpu."""
    duration_s: float | None = None
    """Seconds to read live sources; None: until Ctrl-C."""
    stall_s: float = 10.0
    """After how long without a frame a live source counts as gone."""
    drawing: Drawing = USUAL_DRAWING
    """Styles of overlays, panels and points."""
    steady: bool = False
    """Whether the masks of a video follow its motion, so that they do not flicker (see `frames.motion`)."""
    rerun: Path | None = None
    """A recording for Rerun's viewer to write beside the files."""

    @property
    def needs_depth(self) -> bool:
        """Whether something is to be made that needs the depth net."""
        return self.rerun is not None or any(kind in DEPTH_KINDS for kind in self.save)


def checked(options: MaskOptions) -> MaskOptions:
    """The options, no kind of result twice.

    Raises:
        DepthcueError: one that no machine could follow.
    """
    options = replace(options, save=check_kinds(options.save))
    if not options.save:
        raise DepthcueError("there is nothing to save", "Give --save.")
    if options.threshold is not None and not 0 <= options.threshold < 1:
        raise DepthcueError(f"--threshold must be from 0 to below 1, got {options.threshold:g}",
                            f"The paper uses {THRESHOLD}.")
    if options.keep is not None:
        check_share(options.keep, "--keep")
    check_one_dial(options.keep, options.lam)
    if options.keep is not None and options.threshold is not None:
        raise DepthcueError("--keep and --threshold were both given", "A share says which pixels are kept: leave "
                            "--threshold out.")
    options.drawing.look.checked()
    check_field_of_view(options.drawing.field_of_view_deg)
    check_encoder(options.encoder)
    check_decoder(options.decoder)
    for name, seconds in (("--duration", options.duration_s), ("--stall-timeout", options.stall_s)):
        if seconds is not None and not 0 < seconds < float("inf"):
            raise DepthcueError(f"{name} must be above 0 seconds and finite, got {seconds:g}", "For example 10.")
    return options


def check_codecs(options: MaskOptions, inputs: Sequence[Input]) -> None:
    """Check before the work that this machine has the codecs of the inputs.

    Raises:
        DepthcueError: an encoder or decoder that does not work here.
    """
    moving = [each for each in inputs if each.kind in ("video", "live")]
    if moving:
        find_encoder(options.encoder, (480, 640))
        hardware_decoding(options.decoder)
    if len(moving) < len(inputs) and options.decoder == "gpu":
        check_nvjpeg()


@dataclass(frozen=True)
class Plan:
    """Division of the cores among threads."""

    batch_size: int
    streams: int
    """Batches inferred at the same time."""
    threads: int | None
    """Threads of one operation; None leaves it to the backend."""
    readers: int
    video_readers: int
    writers: int
    renderers: int
    fill: bool = False
    """Whether batches of pictures are filled up, so that a picture's mask is the same to the bit whatever other
    pictures there are, in a resumed run too. On a CPU that costs a frame now and then; a GPU's batches are large."""

    @classmethod
    def for_device(cls, device: str, batch_size: int | None, live: int = 0, cores: int | None = None) -> Self:
        """Divide the cores for files, or for `live` live sources, which a device masks together.

        Args:
            cores: those to share out; None: all of the machine.
        """
        cores = cores or os.cpu_count() or 2
        if live:
            # all cores for one frame: the least delay, not the most frames a second
            return cls(batch_size or live, 1, cores if device == "cpu" else None, 1, 1, live, 0)
        if device != "cpu":
            # the cores are free for decoding and encoding; the second stream copies while the first computes
            half = min(max(cores // 2, 1), 16)
            return cls(batch_size or 32, 2, None, half, min(max(cores // 4, 1), 4), half, half)
        # threads that share one operation wait for each other at its end, and longer when decoding and encoding
        # interrupt one of them; batches side by side do not. More than a few would take much memory.
        streams = min(cores, 4)
        return cls(batch_size or 2, streams, cores // streams, max(cores // 4, 1), 1, max(cores // 4, 1), cores // 8,
                   fill=True)

    def in_order(self) -> Self:
        """The plan with one batch at a time, on all the cores that batches have together."""
        return replace(self, streams=1, threads=None if self.threads is None else self.threads * self.streams)


class MaskJob:
    """One input for the pipeline, as `jobs.Job`."""

    def __init__(self, masking: "Masking", source: Input, out: Path, live: LiveOptions | None = None) -> None:
        """
        Args:
            masking: what it is run by.
            out: folder of the results.
            live: how to read a live source.
        """
        options, recording = masking.options, masking.recording
        self.source = source
        self.is_video = source.kind != "image"
        self.is_live = source.kind == "live"
        self.notes: list[str] = []
        self.live: dict[str, Any] | None = None
        """Dropped frames and reconnects of a live source; None of other sources."""
        self.stamp: dict[str, int] | None = None
        """Fingerprint of the source when it was opened."""
        self.steady = SteadyMaps() if options.steady and self.is_video else None
        self.saver = Saver(source, out, options.save, masking.cut, masking.metres, options.encoder, options.drawing,
                           recording)
        self._live_options = live
        self._decoder = options.decoder
        self._working = masking.working
        self._multiple = masking.multiple
        self._keeps_picture = recording is not None or any(kind in PICTURE_KINDS for kind in options.save)

    @contextmanager
    def read(self) -> Iterator[Iterator[Prepared]]:
        self.stamp = fingerprint(self.source)
        with open_input(self.source, live=self._live_options, decoder=self._decoder) as stream:
            self.saver.stream = stream
            try:
                yield self._prepared(stream)
            finally:
                self.notes = stream.notes
                if self.stamp != fingerprint(self.source):
                    self.notes.append("changed while it was read: --resume masks it again")
                if isinstance(stream, LiveSource):
                    self.live = {"dropped": stream.dropped, "reconnects": stream.reconnects}

    def _prepared(self, stream: FrameSource) -> Iterator[Prepared]:
        for frame in stream:
            height, width = frame.size
            small = frame.resized(*fit_size(height, width, self._working, self._multiple))
            kept = Kept(frame if self._keeps_picture else frame.without_picture(), (height, width))
            yield Prepared(small, kept, small.nbytes + kept.frame.nbytes)

    def render(self, frame: Prepared, maps: tuple[Maps, ...]) -> Rendered:
        return self.saver.render(frame, maps)

    def open_sink(self) -> Saver:
        return self.saver


class DepthThroughMask:
    """A depth net in torch, on whole and on masked pictures; a context manager, as sessions are."""

    def __init__(self, net: DepthNet, device: str = "cpu", keep: float | None = None) -> None:
        """
        Args:
            keep: the share of pixels that is seen, those where a mask is highest; None: all, each as far as its mask
                says.
        """
        self._keep = keep
        self.description = net.description
        self.device = device
        self._net = net

    def __enter__(self) -> Self:
        self._net = self._net.to(self.device).eval()
        return self

    def __exit__(self, *error: object) -> None:
        self._net = self._net.to("cpu")

    def depths(self, frames: Frames, masks: Maps) -> tuple[Maps, Maps]:
        """Depth from frames uint8 (B, H, W, 3), and from the same under masks (B, H, W).

        Raises:
            OutOfDeviceMemory: the batch is too large.
        """
        if self._keep is not None:
            masks = np.stack([top_pixels(mask, self._keep) for mask in masks]).astype(np.float32)
        with catch_out_of_memory(), torch.inference_mode():
            rgb = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255.0
            normalised = self._net.normalise(rgb)
            mask = torch.from_numpy(masks).to(self.device)[:, None]
            whole, units = whole_depth(self._net, normalised)
            masked = depth_from(self._net, normalised, mask, units=units)
        return whole[:, 0].cpu().numpy(), masked[:, 0].cpu().numpy()


class Masking:
    """The nets of a run, on their device inside the context, where `run` works."""

    def __init__(self, options: MaskOptions, plan: Plan, frames: int) -> None:
        """
        Args:
            frames: about how many are to come.

        Raises:
            DepthcueError: weights that do not load, a wrong backend, precision, share, λ or size.
        """
        self.options = options
        # what follows motion needs the batches of a video one after the other
        plan = plan.in_order() if options.steady else plan
        self._plan = replace(plan, fill=plan.fill and frames > 1)
        with torch_threads(plan.threads):
            self._session, self._depth = _open_nets(options, plan, frames)
        description = self._session.description
        assert isinstance(description, MaskDescription)
        setting = Setting.of(description, options.keep, options.lam)
        self.cut = _cut(options, setting, description)
        self.working, self.multiple = _working_size(description, self._depth, options.size)
        self.metres = self._depth is None or not self._depth.description.relative
        self.recording = (None if options.rerun is None
                          else Recording(options.rerun, options.drawing.field_of_view_deg))
        self._inside = ExitStack()
        self.name = self._session.name
        """Name of backend and device; once entered, of those in use."""
        self.record = {
            "weights": options.weights, "weights_identity": self._session.identity, "keep": setting.keep,
            "lambda": setting.lam, "save": list(options.save),
            "threshold": self.cut.threshold if setting.keep is None else None,
            "target": self._depth.description.name if self._depth is not None else None,
            "size": None if options.size is None else list(options.size), "precision": options.precision,
            "drawing": asdict(options.drawing), **({"steady": STRENGTH} if options.steady else {}),
            **({"note": FIRST_GUESS} if options.weights == GENERAL else {}),
        }
        """Options that decide the results, for the summary."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(torch_threads(self._plan.threads))
            stack.enter_context(self._session)
            self.name = self._session.name
            if self._depth is not None:
                stack.enter_context(self._depth)
            if self.recording is not None:
                stack.enter_context(self.recording)
            inference = _steady_inference if self.options.steady else _inference
            self._infer = inference(self._session, self._depth)
            self._inside = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._inside.__exit__(*error)

    def run(self, jobs: Iterable[MaskJob], done: Callable[[Outcome], None],
            poll: Callable[[int], None] = lambda frames: None) -> None:
        """Run jobs to their end, as `Pipeline.run`; several threads may do so at the same time."""
        plan = self._plan
        Pipeline(self._infer, batch_size=plan.batch_size, streams=plan.streams, readers=plan.readers,
                 video_readers=plan.video_readers, writers=plan.writers, renderers=plan.renderers,
                 fill=plan.fill).run(jobs, done, poll)


def entry_of(outcome: Outcome, out: Path) -> dict[str, Any]:
    """Entry in the summary of a MaskJob that has ended, whose results went to the folder `out`.

    `outputs` are relative to `out`, `output_bytes` their sizes. `depth_change` is the root mean square of the
    difference between the depths from all and from the kept pixels, at the size the net works at, in metres or the
    depth net's own unit; None where no depth net ran. `source` is the `fingerprint` of the input when it was opened.
    """
    job: MaskJob = outcome.job
    source, saver, frames, error = job.source, job.saver, outcome.frames, outcome.error
    entry = {
        "path": shown(source.label), "name": source.name, "kind": source.kind, "frames": frames,
        "share_kept": saver.kept_sum / frames if frames else None,
        "mean_mask": saver.mask_sum / frames if frames else None,
        "depth_change": math.sqrt(saver.change_sum / frames) if frames and saver.change_sum else None,
        "seconds": outcome.seconds,
        "outputs": [output.relative_to(out).as_posix() for output in saver.outputs] if outcome.complete else [],
        "output_bytes": list(saver.sizes) if outcome.complete else [], "notes": list(job.notes),
        "error": None if error is None else shown(without_secrets(str(error))), "source": job.stamp, "resumed": False}
    return entry if job.live is None else entry | {"live": {**job.live, "latency_ms": saver.latencies.as_json()}}


def _open_nets(options: MaskOptions, plan: Plan, frames: int) -> tuple[Session, DepthThroughMask | None]:
    device = resolve_device(options.device)
    session = open_session(options.weights, backend=options.backend, device=device, precision=options.precision,
                           keep=options.keep, lam=options.lam, batch_size=plan.batch_size, size=options.size,
                           frames=frames, threads=plan.threads, compiled=options.compiled,
                           cpu_fallback=options.cpu_fallback)
    description = session.description
    assert isinstance(description, MaskDescription)
    if options.target is not None:
        warn_of_other_target(description, options.weights, options.target)
    if not options.needs_depth:
        if options.target is not None:
            load_depth_net(options.target)  # an error here: masks must not pass for those of a net that does not load
        return session, None
    try:
        depth_net = (load_depth_net(options.target) if options.target
                     else load_target_of(description, options.weights))
        keep = Setting.of(description, options.keep, options.lam).keep
    except DepthcueError as error:
        what = [f"--save {kind}" for kind in options.save if kind in DEPTH_KINDS] or ["--rerun"]
        names_one = description.target and not options.target
        another = "Or name another with --target, or save other kinds." if names_one else "Or save other kinds."
        raise error.within(f"{' and '.join(what)} needs the depth net", another) from error
    return session, DepthThroughMask(depth_net, device, keep)


def _cut(options: MaskOptions, setting: Setting, description: MaskDescription) -> Cut:
    if setting.keep is None:
        return Cut(THRESHOLD if options.threshold is None else options.threshold)
    if options.threshold is not None:
        raise DepthcueError(f"{description.name} keeps a share of the pixels, {setting.keep:g}; --threshold is for "
                            "masks of a lambda alone", "Leave --threshold out, and give --keep for another share.")
    return Cut(keep=setting.keep, is_binary=description.keep_range is None)


def _working_size(description: MaskDescription, depth: DepthThroughMask | None,
                  size: tuple[int, int] | None) -> tuple[tuple[int, int], int]:
    """(height, width) to work at, and what sides must be multiples of, so that each net in use can take the frames."""
    multiple = description.multiple if depth is None else lcm(description.multiple, depth.description.multiple)
    if size is not None:
        check_size(size, multiple, description.name)
        return size, multiple
    return _nearest((description.height, description.width), multiple), multiple


def check_size(size: tuple[int, int], multiple: int, name: str) -> None:
    """Check a size (height, width) for the net of this name.

    Raises:
        DepthcueError: its sides are not multiples of `multiple`.
    """
    if size[0] % multiple or size[1] % multiple:
        height, width = _nearest(size, multiple)
        raise DepthcueError(f"--size {size[1]}x{size[0]}: both sides must be multiples of {multiple} for {name}",
                            f"Try --size {width}x{height}.")


def _nearest(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    height, width = (max(round(side / multiple), 1) * multiple for side in size)
    return height, width


def _inference(session: Session, depth: DepthThroughMask | None) -> Infer:
    """Masks of frames and, with a depth net, depth from the whole frames and from the kept pixels."""
    def infer(frames: Frames) -> tuple[Maps, ...]:
        masks = session.run(frames)
        return (masks,) if depth is None else (masks, *depth.depths(frames, masks))

    fitting = halving(infer, session.device)
    return lambda frames, jobs: fitting(frames)


def _steady_inference(session: Session, depth: DepthThroughMask | None) -> Infer:
    """The same with masks that follow the motion of each video; to be called for batches in their order."""
    def infer(frames: Frames, jobs: Sequence[MaskJob]) -> tuple[Maps, ...]:
        masks = np.array(masked(frames)[0])
        for row, job in enumerate(jobs):
            if job.steady is not None:
                masks[row] = job.steady(frames[row], masks[row])
        return (masks,) if depth is None else (masks, *depth.depths(frames, masks))

    masked = halving(lambda frames: (session.run(frames),), session.device)
    return infer
