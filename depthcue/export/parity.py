"""The gate an exported graph must pass: the same answers as torch, in numbers and in what they are used for.

A graph can agree to five digits and still be useless (a mask that is black everywhere differs little from a sparse
one), so two things are measured. Numbers: largest and mean difference over real and random frames of several sizes and
batch sizes. Task: for a mask net the share of pixels that change side, and by how much the depth net's error under the
mask changes; for a depth net the error between the two depths. Masks of a share count as what is used of them, exactly
that share of the pixels, kept or hidden; other masks change side at the paper's threshold. `backends.session` says how
much is allowed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.backends.session import Frames, Maps, Tolerance
from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size, resize_rgb, top_pixels
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet, NetOnFrames, depth_from, whole_depth
from depthcue.nets.guard import fit, resize
from depthcue.nets.units import own_units
from depthcue.scorers import THRESHOLD

Exported = Callable[[Frames, float | None], Maps]
"""Runs the exported graph: frames, and the share or λ (None where it takes neither), to maps."""
Nearest = Callable[[int, int], tuple[int, int]]
"""Takes and gives (height, width)."""

_NEAR = 0.1
"""Share of the largest depth of random frames; below it, differences are taken as a share of that depth."""


def _any(height: int, width: int) -> tuple[int, int]:
    return height, width


@dataclass(frozen=True)
class Parity:
    """Measured differences and the number of pictures."""

    frames: int
    cases: int
    max_abs: float
    mean_abs: float
    changed_side: float | None
    """None for a depth net."""
    task_rmse_m: float | None
    """None for a mask net whose depth net is not at hand."""
    task_change_m: float | None
    """Error under the exported mask less that under torch's, in metres; None as above, and for a depth net."""
    tolerance: Tolerance

    def as_json(self) -> dict[str, Any]:
        """The numbers for the card and for --json."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Lines with the measured and the allowed values."""
        return [f"  {name} {value:.3g}, allowed {allowed:.3g}" for name, value, allowed in self._judged()]

    def holds(self) -> bool:
        """Whether all of it is within the tolerance."""
        # not "greater than": a NaN must fail too
        return all(value <= allowed for _, value, allowed in self._judged())

    def _judged(self) -> list[tuple[str, float, float]]:
        tolerance = self.tolerance
        change = None if self.task_change_m is None else abs(self.task_change_m)
        measured = (
            ("largest difference", self.max_abs, tolerance.max_abs),
            ("mean difference", self.mean_abs, tolerance.mean_abs),
            ("share of pixels that change side", self.changed_side, tolerance.changed_side),
            ("task RMSE in metres", self.task_rmse_m, tolerance.task_rmse_m),
            ("change of the task error in metres", change, tolerance.task_change_m),
        )
        return [(name, value, allowed) for name, value, allowed in measured if value is not None]


def measure_parity(module: NetOnFrames, exported: Exported, pictures: Sequence[NDArray[np.uint8]],
                   depth_net: DepthNet | None = None, tolerance: Tolerance | None = None, seed: int = 0, *,
                   reference: Exported | None = None, nearest: Nearest = _any) -> Parity:
    """Compare the exported graph with torch on `pictures` and on random frames.

    Args:
        module: the graph in torch, on the CPU, in eval mode.
        exported: runs the exported file.
        pictures: real pictures uint8 (H, W, 3), of any sizes.
        depth_net: for a mask net, the depth net it was trained for, to measure the change of its error.
        tolerance: by default that of fp32.
        seed: of the random frames.
        reference: what to compare with; by default the module. Only what describes its net is used of it then.
        nearest: the size nearest to one that the exported file takes.

    Raises:
        DepthcueError: no pictures, a wrong shape, or answers that are no numbers.
    """
    if not pictures:
        raise DepthcueError("no pictures to compare the exported graph on", "Give --data with some pictures.")
    tolerance = tolerance or Tolerance()
    if isinstance(module.net, MaskNet) and module.net.keeps_shares:
        tolerance = tolerance.for_shares()
    if isinstance(module.net, DepthNet):
        tolerance = tolerance.for_depths().for_range(module.net.description.depth_range)
    elif depth_net is not None:
        tolerance = tolerance.for_range(depth_net.description.depth_range)
    frames = cases = 0
    largest = 0.0
    means: list[float] = []
    sides: list[float] = []
    squares: list[float] = []
    errors: list[tuple[float, float]] = []
    for batch, dial, real in _cases(module, pictures, seed, nearest):
        wanted = _in_torch(module, batch, dial) if reference is None else reference(batch, dial)
        got = exported(batch, dial)
        _check_sound(got, wanted, batch)
        frames += len(batch)
        cases += 1
        if not real and not tolerance.on_noise:
            continue
        if isinstance(module.net, DepthNet):
            got, wanted = _comparable(module.net.description, got, wanted)
        difference = np.abs(got - wanted)
        if isinstance(module.net, DepthNet):
            # on noise a net may predict depths far outside of its range; rounding would count most at small depths
            far = 1.0 if real else _NEAR * float(wanted.max())
            difference = difference / np.maximum(wanted, max(far, 1.0))
        largest = max(largest, float(difference.max()))
        means.append(float(difference.mean()))
        if isinstance(module.net, DepthNet):
            squares.append(float(np.mean(np.square(got - wanted, dtype=np.float64))))
        elif real:
            keep = dial if module.net.keeps_shares else None
            kept = kept_pixels(got, keep), kept_pixels(wanted, keep)
            sides.append(float(np.mean(kept[0] != kept[1])))
            if depth_net is not None:
                seen = (got, wanted) if keep is None else (kept[0].astype(np.float32), kept[1].astype(np.float32))
                between, *of_each = _depth_squares(depth_net, batch, *seen)
                squares.append(between)
                errors.append((of_each[0], of_each[1]))
    change = _root_mean([got for got, _ in errors]) - _root_mean([wanted for _, wanted in errors]) if errors else None
    return Parity(frames, cases, largest, float(np.mean(means)), float(np.mean(sides)) if sides else None,
                  _root_mean(squares) if squares else None, change, tolerance)


def kept_pixels(masks: Maps, keep: float | None) -> NDArray[np.bool_]:
    """Pixels that masks (B, H, W) keep: exactly that share of each, or those above THRESHOLD where it is None."""
    return masks > THRESHOLD if keep is None else np.stack([top_pixels(mask, keep) for mask in masks])


def _cases(module: NetOnFrames, pictures: Sequence[NDArray[np.uint8]],
           seed: int, nearest: Nearest) -> Iterator[tuple[Frames, float | None, bool]]:
    """Batches of 1, 2, 3 … frames with their share or λ; the flag says whether they are real pictures."""
    description = module.net.description
    working, multiple = (description.height, description.width), description.multiple
    dials: list[float | None] = [None]
    if isinstance(description, MaskDescription) and description.dial_range is not None:
        dials = [description.default_dial, *description.dial_range]
    sized: dict[tuple[int, int], list[NDArray[np.uint8]]] = {}
    for picture in pictures:
        size = nearest(*fit_size(picture.shape[0], picture.shape[1], working, multiple))
        sized.setdefault(size, []).append(resize_rgb(picture, *size))
    turn = 0
    for same_size in sized.values():
        start, count = 0, 1
        while start < len(same_size):
            yield np.stack(same_size[start:start + count]), dials[turn % len(dials)], True
            start, count, turn = start + count, count % 4 + 1, turn + 1
    generator = np.random.default_rng(seed)
    height, width = working
    # a size no picture had, taller than wide, and one that is small: shapes that were baked in would show
    odd_sizes = [(height, width), (width, height), (_whole(height // 2, multiple), _whole(width // 3, multiple))]
    for turn, size in enumerate(odd_sizes):
        batch = generator.integers(0, 256, (turn + 1, *nearest(*size), 3), dtype=np.uint8)
        yield batch, dials[turn % len(dials)], False


def _whole(side: int, multiple: int) -> int:
    return max(side // multiple, 2) * multiple


def _in_torch(module: NetOnFrames, batch: Frames, dial: float | None) -> Maps:
    with torch.inference_mode():
        maps: Maps = module(torch.from_numpy(batch), None if dial is None else torch.full((len(batch),), dial)).numpy()
    return maps


def _comparable(description: DepthDescription, got: Maps, wanted: Maps) -> tuple[Maps, Maps]:
    """Depths that tolerances in metres fit: those of a relative net in the units of what torch predicts."""
    if not description.relative:
        return got, wanted
    units = own_units(description, torch.from_numpy(wanted)[:, None])
    depths = [units.to_depth(torch.from_numpy(maps)[:, None])[:, 0].numpy() for maps in (got, wanted)]
    return depths[0], depths[1]


def _depth_squares(depth_net: DepthNet, batch: Frames, got: Maps, wanted: Maps) -> tuple[float, float, float]:
    """Mean squares, in m²: between the depths under the two masks, and between each and that of the whole picture.

    Frames of a size that only the mask net takes are brought, with the masks, to one that the depth net takes.
    """
    multiple = depth_net.description.multiple
    with torch.inference_mode():
        rgb = torch.from_numpy(batch).float().permute(0, 3, 1, 2) / 255.0
        if rgb.shape[2] % multiple or rgb.shape[3] % multiple:
            rgb = fit(rgb, depth_net.description)
        normalised = depth_net.normalise(rgb)
        whole, units = whole_depth(depth_net, normalised)
        masks = [resize(torch.from_numpy(mask)[:, None], (rgb.shape[2], rgb.shape[3])) for mask in (got, wanted)]
        under = [depth_from(depth_net, normalised, mask, units=units) for mask in masks]
        pairs = ((under[0], under[1]), (under[0], whole), (under[1], whole))
        between, of_got, of_wanted = (float((one - other).double().square().mean()) for one, other in pairs)
    return between, of_got, of_wanted


def _root_mean(squares: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(squares)))


def _check_sound(got: Maps, wanted: Maps, batch: Frames) -> None:
    if got.shape != wanted.shape:
        raise DepthcueError(f"for frames {batch.shape} the exported graph gives {got.shape}, torch {wanted.shape}",
                            "Nothing was written.")
    if not np.isfinite(got).all():
        raise DepthcueError(f"the exported graph gives NaN or infinity for frames {batch.shape}",
                            "Nothing was written.")
