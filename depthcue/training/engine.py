"""The engine of both training loops: processes and precision (Accelerate), optimiser, schedule, averaging, resuming.

A run that was killed and resumed goes through the same numbers as one that was not, to the bit on a CPU: the batch of a
step and what is drawn by chance in it are functions of (seed, step, process), and the checkpoint holds all other state.
"""

import ctypes
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from depthcue.data import BatchLoader, RgbdBatch
from depthcue.errors import DepthcueError, first_line, must_be_one_of
from depthcue.nets import exchanging
from depthcue.nets.encoders import encoder_of
from depthcue.progress import Progress
from depthcue.training.run import SCHEDULES, Optimisation, RunFolder

TRACKERS = ("tensorboard", "wandb", "trackio")
"""Programs in which `--log` can show a training beside metrics.jsonl; Accelerate knows how."""
_LOG_EVERY = 20
# of glibc's malloc.h, with the values that a process starts with
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _MMAP_MAX = -4, 65536
_NEVER = 2**31 - 1


class Engine:
    """Drives `net` through its steps; the loops compute the loss of each."""

    def __init__(self, net: nn.Module, how: Optimisation, run: RunFolder, accelerator: Accelerator,
                 progress: Progress, frozen: nn.Module | None = None, shows_losses: bool = True) -> None:
        """
        Args:
            frozen: part of the net that stays as it is, its batch statistics too.
            shows_losses: whether the progress shows the figures of `update`; metrics.jsonl always has them.
        """
        self.shows_losses = shows_losses
        self.frozen = frozen.requires_grad_(False) if frozen is not None else None
        self.how, self.run, self.accelerator, self.progress = how, run, accelerator, progress
        self.bare = net.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(_groups(net, how), lr=how.learning_rate, weight_decay=how.weight_decay)
        self.steps = how.steps
        """Steps of the whole training; `replan` changes them."""
        self._anchor = (0, 0.0)
        """A step, and how far the training was then, from 0 to 1; from there it goes evenly to the last step."""
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)
        self.averaged = AveragedModel(net, multi_avg_fn=_moving_average(how.average), use_buffers=True) \
            if how.average else None
        self.step = 0
        self._sums: dict[str, Tensor] = {}
        self.extra: Callable[[], dict[str, Any]] = dict
        """Values that a loop adds to checkpoints; `resumed` holds those of the checkpoint that was resumed."""
        self.resumed: dict[str, Any] = {}
        self._restored = False
        """Whether there was a checkpoint to go on from."""
        if run.resume:
            self._restore()
        prepared: Callable[..., Tensor] = accelerator.prepare_model(net)
        self.net = torch.compile(prepared) if how.compile else prepared

    def batches(self, loader: BatchLoader) -> Iterator[RgbdBatch]:
        """The batches from the run's next step to its last; saves now and then, and on a request to stop.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM came; the checkpoint is written.
        """
        if self.accelerator.is_main_process:
            if not self.run.resume:
                self.run.begin()
            # a run that was killed before its first checkpoint begins anew, with what it measures before a step
            self.run.keep_metrics_before(self.step if self._restored else -1)
        self._open_trackers()
        self.progress.start("training", self.steps)
        self.progress.advance(self.step)
        if self.step >= self.steps:
            return self._save()
        self.bare.train()
        if self.frozen is not None:
            self.frozen.eval()
        saved_at = time.monotonic()
        with _stop_requests() as stop, exchanging(self.bare), \
                keeping_freed_memory(self.accelerator.device.type), \
                closing(loader.batches(self.step)) as batches:
            for batch in batches:
                yield batch
                if stop.is_set():
                    self._save()
                    raise KeyboardInterrupt
                if self.step >= self.steps:
                    break
                if time.monotonic() - saved_at > self.how.checkpoint_every_s:
                    self._save()
                    saved_at = time.monotonic()
        self._save()
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which convolutions run in the run's precision; losses are taken outside of it, in float32."""
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.how.precision == "bf16")

    def generator(self) -> torch.Generator:
        """A generator for what is drawn in this step of this process."""
        seed = (self.how.seed * 1_000_003 + self.step) * 4_099 + self.accelerator.process_index
        return torch.Generator().manual_seed(seed)

    def update(self, loss: Tensor, **figures: Tensor) -> None:
        """One optimiser step along the gradient of `loss`; `figures` are averaged into metrics.jsonl.

        Raises:
            DepthcueError: the loss is not finite.
        """
        self.optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.optimiser.step()
        self.schedule.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.bare)
        self.step += 1
        measured: dict[str, Tensor] = {"loss": loss, **figures}
        for name, value in measured.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.detach()
        shown: dict[str, float] = {}
        if self.step % _LOG_EVERY == 0 or self.step == self.steps:
            shown = self._log()
        self.progress.advance(1, **(shown if self.shows_losses else {}))

    @property
    def position(self) -> float:
        """Progress of the training, from 0 to 1."""
        return self._position(self.step)

    def replan(self, steps: int) -> None:
        """Let the training end after `steps`; the schedule goes on from where it is, and ends with it.

        All processes have to call it after the same step, with the same number (see `agreed`).
        """
        steps = max(steps, self.step)
        if steps == self.steps:
            return
        self._anchor, self.steps = (self.step, self.position), steps
        if self.step == steps and self._sums:
            self._log()
        self.progress.change(steps)

    def agreed(self, value: float) -> float:
        """The main process's `value`, for all processes: their clocks differ, and they have to act alike."""
        if self.accelerator.num_processes == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.accelerator.device)
        return float(broadcast(shared)[0])

    def newest(self) -> nn.Module:
        """The net with the weights that would be kept now, to be measured and not trained."""
        return self.bare if self.averaged is None else self.averaged.module

    def trained(self, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
        """The net with the weights to keep, in eval mode: `weights`, or the newest."""
        if weights is not None:
            self.bare.load_state_dict(weights)
            self.averaged = None
        elif self.averaged is not None:
            self.bare.load_state_dict(self.averaged.module.state_dict())
        return self.bare.eval()

    def _position(self, step: int) -> float:
        since, done = self._anchor
        return min(1.0, done + (1 - done) * (step - since) / max(self.steps - since, 1))

    def _rate(self, step: int) -> float:
        """Factor of the learning rate at a step."""
        if self.how.schedule == "constant":
            return 1.0
        if self.how.schedule == "step":
            return 0.1 ** min(3, math.floor(4 * self._position(step) + 1e-9))
        if self.how.schedule == "cosine":
            warm = max(1, round(0.03 * self.steps))
            return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * self._position(step)))
        raise must_be_one_of("--schedule", SCHEDULES, self.how.schedule)

    def _open_trackers(self) -> None:
        if self.accelerator.log_with:
            # trackers take plain values alone
            settings = {name: value if isinstance(value, (bool, int, float, str)) else str(value)
                        for name, value in self.run.config.items()}
            self.accelerator.init_trackers("depthcue", config=settings)

    def _log(self) -> dict[str, float]:
        count = (self.step - 1) % _LOG_EVERY + 1
        means = {name: float(value) / count for name, value in self._sums.items()}
        self._sums.clear()
        if not math.isfinite(means["loss"]):
            raise DepthcueError(f"the loss is not finite at step {self.step}",
                                "Lower --learning-rate, or train with --precision fp32.")
        figures = {**means, "learning_rate": float(self.schedule.get_last_lr()[0])}
        if self.accelerator.is_main_process:
            self.run.log(self.step, figures)
        self.accelerator.log(figures, step=self.step)
        return means

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.run.save_checkpoint({
            "step": self.step,
            "net": self.bare.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "averaged": self.averaged.state_dict() if self.averaged is not None else {},
            "sums": self._sums,
            "plan": (self.steps, *self._anchor),
            "extra": self.extra(),
        })

    def _restore(self) -> None:
        state = self.run.load_checkpoint()
        if state is None:
            return
        try:
            self._take(state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise DepthcueError(f"{self.run.checkpoint_file} is not a checkpoint of this training: "
                                f"{first_line(error)}",
                                "Start the run anew with another --out.") from error

    def _take(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.steps, *since = state["plan"]
        self._anchor = (since[0], since[1])
        self.bare.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]
        for group, base in zip(self.optimiser.param_groups, self.schedule.base_lrs, strict=True):
            group["lr"] = base * self._rate(self.schedule.last_epoch)
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self._sums = state["sums"]
        self.resumed = state["extra"]
        self._restored = True


def accelerator_for(device: str, tracker: str | None = None, folder: str | Path | None = None) -> Accelerator:
    """The Accelerator of this process: `auto` takes a GPU where there is one; several processes come from the launcher.

    Accelerate holds one device and one precision for the whole process. So `Engine.autocast` sets the precision, and
    trainings of any precision can follow one another.

    Args:
        tracker: one of TRACKERS, which gets every line of metrics.jsonl too; None for none.
        folder: where a tracker keeps its files.

    Raises:
        DepthcueError: the device is not there, a training before it in this process ran on another kind, or there is no
            such tracker here.
    """
    if tracker is not None and tracker not in TRACKERS:
        raise must_be_one_of("--log", TRACKERS, tracker)
    if tracker is not None and tracker not in [str(each) for each in get_available_trackers()]:
        raise DepthcueError(f"--log {tracker} needs a package that is not installed", f"pip install {tracker}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DepthcueError(f"--device {device}: there is no CUDA device here", "Use --device cpu, or see depthcue "
                            "doctor.")
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise DepthcueError(f"--device {device} is not known for training", "Use auto, cpu, cuda or mps; choose one "
                            "GPU of several with CUDA_VISIBLE_DEVICES.")
    wanted = None if device == "auto" else device
    try:
        accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no", log_with=tracker, project_dir=folder)
    except ValueError as error:
        raise _other_device(device) from error
    if wanted is not None and accelerator.device.type != wanted:
        raise _other_device(device)
    return accelerator


def _other_device(device: str) -> DepthcueError:
    return DepthcueError(f"--device {device}: this process has already trained on another kind of device",
                         "Train in a process of its own.")


def _groups(net: nn.Module, how: Optimisation) -> list[dict[str, Any]]:
    """The net's parameters, those of its encoder apart where they learn at a rate of their own."""
    if how.encoder_rate == 1.0:
        return [{"params": list(net.parameters())}]
    encoder = {id(parameter) for parameter in encoder_of(net).parameters()}
    parts: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in net.parameters():
        parts[id(parameter) in encoder].append(parameter)
    return [{"params": parts[0]}, {"params": parts[1], "lr": how.learning_rate * how.encoder_rate}]


def channels_last(rgb: Tensor) -> Tensor:
    """The memory layout in which convolutions are fastest."""
    return rgb.contiguous(memory_format=torch.channels_last)


def _moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average whose memory grows with the run, so that the first random weights are soon forgotten.

    With a fixed decay of 0.999 they would still weigh a third after a thousand steps.
    """
    @torch.no_grad()
    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int) -> None:
        updates = float(count)
        keep = min(decay, (1 + updates) / (10 + updates))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, 1 - keep)
            else:
                average.copy_(weight)

    return update


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event set by Ctrl-C or SIGTERM, so that a run ends between two steps and not within one."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def keeping_freed_memory(device: str) -> Iterator[None]:
    """Context in which freed memory stays with the process; without effect on a GPU or another C library than glibc.

    A step frees and allocates the same large tensors as the one before. glibc maps each afresh and gives it back, so
    the kernel zeroes all of their pages in every step: about a quarter of the time of a step of the paper's nets. A
    process that keeps freed memory uses no more of it at its peak.
    """
    mallopt = _mallopt() if device == "cpu" else None
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_M_MMAP_MAX, _MMAP_MAX)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)


def _mallopt() -> "ctypes._NamedFuncPointer | None":
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - raises where the C library is not glibc
        return library.mallopt
    except (AttributeError, OSError, TypeError):
        return None
