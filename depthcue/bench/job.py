"""`depthcue bench`: from specs to a results document with the speed of each candidate on this machine.

Beside the nets alone (see `measure`) whole jobs are timed, from files to masks on disk as in `depthcue mask`, with each
candidate in turn, on a rendered video and a folder of pictures: a camera that glides over rendered scenes.
"""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue import scenes
from depthcue.backends.device import pick_device
from depthcue.backends.session import TOLERANCES
from depthcue.bench.candidates import Candidate, depth_candidates, depth_net_of, mask_candidates, mask_net_of
from depthcue.bench.limits import BYTES, highest, measure_limits, short, work_per_frame
from depthcue.bench.measure import NETWORK, RUNNER, USUAL_BATCH, Entry, Measured, Subject, measure, reason_of
from depthcue.errors import DepthcueError
from depthcue.evaluation.viewing import described
from depthcue.files import write_bytes
from depthcue.frames import ENCODINGS, Frame, Input, VideoSink, find_inputs
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.catalog import spec_from_file
from depthcue.nets.checkpoint import save_net
from depthcue.nets.foreign.onnx_graph import OnnxDepthNet
from depthcue.progress import Progress, Silent
from depthcue.results import Bench, ResultFolder
from depthcue.runtime.jobs import Outcome
from depthcue.runtime.masking import Masking, MaskJob, MaskOptions, Plan, check_size, checked
from depthcue.runtime.opening import torch_threads
from depthcue.scenes.api import rendered_pictures

ROUNDS = 3
_LONG = 1000
"""Frames that a job is announced with, so that backends are chosen as for a long one."""
PIXELS = 640 * 480
"""Pixels of a frame, about as many as webcams and robots give."""
SCENES = 6
RATE = 25
_MARGIN = 1.125
"""Size of a rendered scene over that of a frame; frames glide over the scene."""
_WIDE = 2.0
"""Frames wider than this many times their height are roads."""
BATCH_SIZES = {"cpu": (1, 2, 4, 8), "cuda": (1, 4, 16, 32), "mps": (1, 4, 16)}
SECONDS = 3.0
JOB_SECONDS = 1.2
"""About how long the fastest candidate's job is to take."""
JOB_FRAMES = (12, 240)
"""The fewest and the most frames of a job."""

log = logging.getLogger(__name__)


def masking_by(candidate: Candidate, spec: str, lam: float | None = None, size: tuple[int, int] | None = None,
               keep: float | None = None) -> Masking:
    """The nets of one way of masking, as in `depthcue mask`; not entered.

    Args:
        candidate: one of `in_jobs`.
        spec: of the mask net.
        lam, keep: λ, or the share to keep; None for the net's own.
        size: (height, width) to work at; None for the net's own.

    Raises:
        DepthcueError: the net cannot be opened by this candidate.
    """
    options = checked(MaskOptions(weights=spec, keep=keep, lam=lam, save=("mask",), backend=candidate.backend,
                                  device=candidate.device, precision=candidate.precision, size=size))
    return Masking(options, Plan.for_device(candidate.device, None), _LONG)


def time_masking(masking: Masking, inputs: Sequence[Input]) -> tuple[int, float]:
    """Mask the inputs into a folder that is removed; return the number of frames and the seconds.

    The clock runs from the first file opened to the last mask written.

    Raises:
        DepthcueError: an input that cannot be read, or gives no frames.
    """
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = [MaskJob(masking, each, Path(folder)) for each in inputs]
        start = time.perf_counter()
        masking.run(jobs, outcomes.append)
        seconds = time.perf_counter() - start
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return sum(outcome.frames for outcome in outcomes), seconds


def time_jobs(candidates: Sequence[Candidate], opened: Callable[[Candidate], Masking], sources: Mapping[str, str],
              progress: Progress) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Mask every source with every candidate, ROUNDS times, in turns, after one round that does not count.

    Nets are open before the clock starts, as they are in all but the first seconds of a long job. Masks alone are
    saved.

    Args:
        sources: paths by their names in the results.

    Returns:
        An entry for each candidate and source that went well: `name`, `source`, `frames`, `frames_per_second` (the
        median) and `all`; and `name`, `source` and `reason` of those that did not.
    """
    taken: dict[tuple[str, str], list[float]] = {}
    frames: dict[str, int] = {}
    failed: dict[tuple[str, str], str] = {}
    progress.start("timing whole jobs", (ROUNDS + 1) * len(sources) * len(candidates))
    with ExitStack() as stack:
        jobs: dict[str, Masking] = {}
        for number in range(ROUNDS + 1):
            for source, path in sources.items():
                for candidate in [*candidates[number:], *candidates[:number]]:
                    key = candidate.name, source
                    progress.advance()
                    if key in failed:
                        continue
                    try:
                        if candidate.name not in jobs:
                            jobs[candidate.name] = stack.enter_context(opened(candidate))
                        frames[source], seconds = time_masking(jobs[candidate.name], _inputs(path))
                    except Exception as error:  # libraries may raise anything
                        failed[key] = reason_of(error)
                        continue
                    if number:
                        taken.setdefault(key, []).append(frames[source] / seconds)
    done = [{"name": name, "source": source, "frames": frames[source], "frames_per_second": short(median(rates)),
             "all": [short(rate) for rate in rates]}
            for (name, source), rates in taken.items() if (name, source) not in failed]
    return done, [{"name": name, "source": source, "reason": reason} for (name, source), reason in failed.items()]


def _inputs(path: str) -> list[Input]:
    inputs = find_inputs([path])
    if any(each.kind == "live" for each in inputs):
        raise DepthcueError(f"{path} is live and has no speed of its own", "Give --source pictures or a video.")
    return inputs


def write_sources(folder: Path, working: tuple[int, int], count: int) -> dict[str, str]:
    """Write FOLDER/video.mp4 and FOLDER/pictures/ (JPEG), `count` frames each; the paths by `video` and `pictures`.

    Args:
        working: (height, width) that the net works at, whose aspect ratio the frames have.

    Raises:
        DepthcueError: the folder cannot be written.
    """
    video, pictures = folder / "video.mp4", folder / "pictures"
    height, width = frame_size(working)
    with VideoSink(video, Fraction(RATE), (height, width)) as sink:
        for number, rgb in enumerate(_frames(height, width, count)):
            sink.write(rgb, Frame(rgb, number, None, f"{number:06d}"))
            write_bytes(pictures / f"{number:06d}.jpg", ENCODINGS["rgb-jpg"].encode(rgb))
    return {"video": str(video), "pictures": str(pictures)}


def frame_size(working: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a frame for a net that works at `working`: the same aspect ratio, even sides."""
    scale = math.sqrt(PIXELS / (working[0] * working[1]))
    height, width = (2 * round(side * scale / 2) for side in working)
    return height, width


def _frames(height: int, width: int, count: int) -> Iterator[NDArray[np.uint8]]:
    kind = "road" if width > _WIDE * height else "indoor"
    tall, wide = round(height * _MARGIN), round(width * _MARGIN)
    each = math.ceil(count / SCENES)
    for number in range(count):
        scene, step = divmod(number, each)
        if step == 0:
            rgb = scenes.render(kind, [scene], tall, wide).rgb[0].permute(1, 2, 0)
            picture: NDArray[np.uint8] = (rgb * 255).round().byte().contiguous().numpy()
        top, left = ((side * step) // each for side in (tall - height, wide - width))
        yield np.ascontiguousarray(picture[top:top + height, left:left + width])


@dataclass(frozen=True)
class Settings:
    """Settings of a measurement; the defaults take about a minute and a half for the shipped nets on two cores."""

    keep: float | None = None
    """The share of pixels to keep; None, where λ is None too, for the mask net's own."""
    lam: float | None = None
    size: tuple[int, int] | None = None
    """(height, width) of the frames; None for each net's own working size."""
    batch_sizes: tuple[int, ...] | None = None
    """None for BATCH_SIZES of the device."""
    seconds: float = SECONDS
    """Seconds for each batch size of each net, in each scope."""
    threads: int | None = None
    """CPU threads of one call; None for as many as torch takes."""
    source: str | None = None
    """A picture, video or folder to time whole jobs on; None renders a video and pictures."""


def bench_specs(weights: str, target: str | None, out: Path | None = None, settings: Settings | None = None,
                device: str = "auto", progress: Progress | None = None) -> Bench:
    """Measure every way of running a mask net and a depth net that works here.

    Args:
        weights: spec of a mask net, or the name of an architecture: then untrained. Of an exported graph that very file
            is measured, in its own precision, by every backend that runs it.
        target: likewise of a depth net; None takes the one the mask net was trained for, if it is at hand.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result; `_document` says what is in it.

    Raises:
        DepthcueError: a wrong spec, device or setting; nowhere to write.
    """
    settings, progress = settings or Settings(), progress or Silent()
    device = str(pick_device(device))
    pictures = rendered_pictures()
    mask_net, trained = mask_net_of(weights, _as_batch(pictures))
    mask_net.dial_value(settings.keep, settings.lam)
    depth_net, without_depth = _depth_net(target, mask_net, pictures)
    for net in (mask_net, depth_net):
        if net is not None and settings.size is not None:
            check_size(settings.size, net.description.multiple, net.description.name)
    home = ResultFolder(out)  # now, and not when the work is done
    with tempfile.TemporaryDirectory() as folder, torch_threads(settings.threads):
        work = _Work(settings, device, pictures, Path(folder), progress)
        spec = weights if trained else _stored(mask_net, weights, Path(folder))
        results = work.run(mask_net, spec, depth_net)
    return home.finish(_document(results, mask_net, depth_net, without_depth, trained, settings, device))


class _Work:
    """One run: its settings, device, pictures and folder."""

    def __init__(self, settings: Settings, device: str, pictures: Sequence[NDArray[np.uint8]], folder: Path,
                 progress: Progress) -> None:
        self.settings = settings
        self.device = device
        self.batch_sizes = _batch_sizes(settings, device)
        self.pictures = pictures
        self.folder = folder
        self.progress = progress
        self.threads = torch.get_num_threads()

    def run(self, mask_net: MaskNet, spec: str, depth_net: DepthNet | None) -> dict[str, Any]:
        """The parts of the document that are measured."""
        largest, size = max(self.batch_sizes), self.settings.size
        candidates = mask_candidates(mask_net, spec, self.settings.lam, self.device, self.threads, largest, size,
                                     self.settings.keep)
        precisions = tuple(dict.fromkeys(candidate.precision for candidate in candidates))
        limits = self._limits(precisions)
        of_masks = self._measure(mask_net, candidates)
        limits = highest(limits, self._limits(precisions))
        of_depths = None
        if depth_net is not None:
            of_depths = self._measure(depth_net, depth_candidates(depth_net, self.device, self.threads, largest, size))
            limits = highest(limits, self._limits(precisions))
        nets = [self._net_part("mask", mask_net, of_masks, limits)]
        if depth_net is not None and of_depths is not None:
            nets.append(self._net_part("depth", depth_net, of_depths, limits))
        return {"threads": self.threads, "limits": limits, "measured": nets,
                "end_to_end": self._jobs(mask_net, spec, of_masks.entries)}

    def _limits(self, precisions: Sequence[str]) -> dict[str, Any]:
        self.progress.start("measuring what the hardware can do")
        return measure_limits(self.device, precisions)

    def _measure(self, net: MaskNet | DepthNet, candidates: Sequence[Candidate]) -> Measured:
        dial = net.dial_value(self.settings.keep, self.settings.lam) if isinstance(net, MaskNet) else None
        subject = Subject(net, _size(net, self.settings), dial, self.pictures)
        return measure(subject, candidates, self.batch_sizes, self.settings.seconds, self.progress)

    def _net_part(self, kind: str, net: MaskNet | DepthNet, measured: Measured,
                  limits: dict[str, Any]) -> dict[str, Any]:
        size = _size(net, self.settings)
        work = {name: work_per_frame(net, size, rewrite=rewrite)
                for name, rewrite in (("as_given", False), ("rewritten", True))}
        for entry in measured.entries:
            done = work["rewritten" if entry.candidate.rewritten else "as_given"]
            precision = entry.candidate.precision
            arithmetic = limits["matmul_tflops"].get(precision)
            for timing in entry.timings:
                rate = timing["frames_per_second"]
                timing["share_of_limit"] = None if done.flops is None or arithmetic is None else short(
                    done.flops * rate / (1e12 * arithmetic))
                timing["share_of_memory"] = None if done.values is None else short(
                    done.values * BYTES[precision] * rate / (1e9 * limits["memory_gb_s"]))
        ranked = sorted((entry for entry in measured.entries if entry.agreement.right and entry.best() is not None),
                        key=_frames_per_second, reverse=True)
        return {"kind": kind, "name": net.description.name, "height": size[0], "width": size[1],
                "file": None if net.graph_file is None else net.graph_file.name, "reference": measured.reference,
                "parameters": sum(parameter.numel() for parameter in net.parameters()) or None,
                "flops_per_frame": {name: each.flops for name, each in work.items()},
                "values_per_frame": {name: each.values for name, each in work.items()},
                "ranking": [entry.candidate.name for entry in ranked],
                "contenders": [entry.as_json() for entry in measured.entries], "failed": measured.failed,
                "left_out": measured.left_out}

    def _jobs(self, mask_net: MaskNet, spec: str, entries: Sequence[Entry]) -> dict[str, Any]:
        jobs = [entry for entry in entries
                if entry.candidate.in_jobs and entry.agreement.right and entry.best() is not None]
        bare = {entry.candidate.name: _frames_per_second(entry) for entry in jobs}
        if not jobs:
            return {"jobs": [], "failed": []}
        if self.settings.source is not None:
            sources = {"source": self.settings.source}
        else:
            self.progress.start("rendering a video and pictures")
            count = int(np.clip(JOB_SECONDS * max(bare.values()), *JOB_FRAMES))
            sources = write_sources(self.folder / "sources", _size(mask_net, self.settings), count)

        def opened(candidate: Candidate) -> Masking:
            return masking_by(candidate, spec, self.settings.lam, self.settings.size, self.settings.keep)

        done, failed = time_jobs([entry.candidate for entry in jobs], opened, sources, self.progress)
        for job in done:
            job["share_of_runner"] = float(f"{job['frames_per_second'] / bare[job['name']]:.3g}")
        return {"jobs": done, "failed": failed}


def _depth_net(target: str | None, mask_net: MaskNet,
               pictures: Sequence[NDArray[np.uint8]]) -> tuple[DepthNet | None, str | None]:
    """The depth net to measure too, or why there is none."""
    spec = target or mask_net.description.target
    if not spec:
        return None, f"{mask_net.description.name} does not say which depth net it is for; --target names one"
    try:
        named = spec if target else spec_from_file(spec, mask_net.description.name)
        net = depth_net_of(named, _as_batch(pictures))[0]
        if isinstance(net, OnnxDepthNet) and net.graph_file is None:
            raise DepthcueError(f"{spec} is a graph that others wrote, and bench runs those that depthcue export wrote",
                                "Leave it to evaluate, compare-edges and probe, or give the network itself.")
        return net, None
    except DepthcueError as error:
        if target is not None:
            raise
        log.warning("the depth net %r is not measured: %s", spec, error.message)
        return None, error.message


def _stored(net: MaskNet, architecture: str, folder: Path) -> str:
    """An untrained net as a file, so that it has a spec as any other."""
    path = folder / f"untrained-{architecture}.safetensors"
    save_net(net, path, architecture=architecture, trained=False)
    return str(path)


def _batch_sizes(settings: Settings, device: str) -> tuple[int, ...]:
    return settings.batch_sizes or BATCH_SIZES[device.partition(":")[0]]


def _size(net: MaskNet | DepthNet, settings: Settings) -> tuple[int, int]:
    return settings.size or (net.description.height, net.description.width)


def _frames_per_second(entry: Entry) -> float:
    best = entry.best()
    assert best is not None  # callers have looked
    return float(best["frames_per_second"])


def _as_batch(pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """The first two pictures as RGB in [0, 1], (2, 3, H, W)."""
    return torch.from_numpy(np.stack(pictures[:2])).permute(0, 3, 1, 2) / 255.0


def _document(measured: dict[str, Any], mask_net: MaskNet, depth_net: DepthNet | None, without_depth: str | None,
              trained: bool, settings: Settings, device: str) -> Bench:
    """The results document, schema 1.

    Beside the fields every document has: `weights` and `target_net` (None where there is none, then `without_target`
    says why), `trained`, `device`, `settings`, `threads`, `scopes` (what each scope is), `memory_batch`, `tolerances`
    by precision, `limits` (see `limits.measure_limits`); `measured`, for each net: its size and arithmetic, the `file`
    where it is an exported graph, `reference` (the candidate that ratios are to), `ranking` (names with right answers,
    fastest first), `contenders` with agreement, memory and `timings` (a batch size and scope each, see
    `measure.Timed.as_json`, and `share_of_limit`: arithmetic done a second over the matrix-product rate), `failed` and
    `left_out` with reasons; and `end_to_end`, see `time_jobs`, where `share_of_runner` is over the runner's
    best batch.
    """
    return Bench.made(
        weights=described(mask_net), target_net=None if depth_net is None else described(depth_net),
        without_target=without_depth, trained=trained, device=device,
        settings=asdict(settings) | {"batch_sizes": list(_batch_sizes(settings, device)),
                                     "size": None if settings.size is None else list(settings.size)},
        memory_batch=USUAL_BATCH[device.partition(":")[0]],
        scopes={NETWORK: "the net alone, its frames on the device already, until it is done",
                RUNNER: "a runner's whole call: frames as an array in, maps as an array out"},
        tolerances={precision: {field: getattr(limit, field)
                                for field in ("max_abs", "max_share", "mean_abs", "mean_share", "changed_side")}
                    for precision, limit in TOLERANCES.items()},
        **measured)
