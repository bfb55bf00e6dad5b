"""The gate an exported graph must pass: the same answers as torch, in numbers and in what they are used for.

A graph can agree to five digits and still be useless (a mask that is black everywhere differs little from a sparse
one), so two things are measured. Numbers: largest and mean difference over real and random frames of several sizes and
batch sizes. Task: for a mask net the share of pixels that change side at the threshold, and by how much the depth net's
error under the mask changes; for a depth net the error between the two depths.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.export.module import DepthGraph, MaskGraph
from depthcue.imaging import fit_size, resize_rgb
from depthcue.nets import DepthNet, MaskDescription, depth_from
from depthcue.nets.units import own_units

Frames = NDArray[np.uint8]
"""uint8 (B, H, W, 3)."""
Maps = NDArray[np.float32]
"""float32 (B, H, W)."""
Exported = Callable[[Frames, float | None], Maps]
"""Runs the exported graph: frames and λ (None where it takes none) to maps."""

THRESHOLD = 0.025
"""A pixel is kept where the mask is above this (Hu et al. 2019, sec. 4.2)."""


@dataclass(frozen=True)
class Tolerance:
    """How far an exported float32 graph may be from torch. Both compute in float32 and only sum in another order."""

    max_abs: float = 2e-3
    """Largest difference: of a mask (0 to 1); of a depth, as a share of the depth (of 1 m where it is less)."""
    mean_abs: float = 1e-4
    changed_side: float = 1e-3
    """Share of the pixels of real frames that change side at the threshold."""
    task_rmse_m: float = 2e-3
    """RMSE between N's depths under the two masks, or between the two N's depths, in metres."""


@dataclass(frozen=True)
class Parity:
    """What was measured, on how much."""

    frames: int
    cases: int
    max_abs: float
    mean_abs: float
    changed_side: float | None
    """None for a depth net."""
    task_rmse_m: float | None
    """None for a mask net whose depth net is not at hand."""
    tolerance: Tolerance

    def as_json(self) -> dict[str, Any]:
        """For the card and for --json."""
        return asdict(self)


def check_parity(module: MaskGraph | DepthGraph, exported: Exported, pictures: Sequence[NDArray[np.uint8]],
                 depth_net: DepthNet | None = None, tolerance: Tolerance | None = None, seed: int = 0) -> Parity:
    """Compare the exported graph with torch on `pictures` and on random frames.

    Args:
        module: the graph in torch, on the CPU, in eval mode.
        exported: runs the exported file.
        pictures: real pictures uint8 (H, W, 3), of any sizes.
        depth_net: for a mask net, the depth net it was trained for, to measure the change of its error.
        seed: of the random frames.

    Raises:
        DepthcueError: they do not agree; the message has the numbers.
    """
    if not pictures:
        raise DepthcueError("no pictures to compare the exported graph on", "Give --data with some pictures.")
    tolerance = tolerance or Tolerance()
    frames = cases = 0
    largest = 0.0
    sums: list[float] = []
    sides: list[float] = []
    squares: list[float] = []
    for batch, lam, real in _cases(module, pictures, seed):
        wanted = _in_torch(module, batch, lam)
        got = exported(batch, lam)
        _check_sound(got, wanted, batch)
        if isinstance(module, DepthGraph):
            got, wanted = _comparable(module, got, wanted)
        difference = np.abs(got - wanted)
        if isinstance(module, DepthGraph):
            difference = difference / np.maximum(wanted, 1.0)
        largest = max(largest, float(difference.max()))
        sums.append(float(difference.mean()))
        frames += len(batch)
        cases += 1
        if isinstance(module, DepthGraph):
            squares.append(float(np.mean(np.square(got - wanted, dtype=np.float64))))
        elif real:
            sides.append(float(np.mean((got > THRESHOLD) != (wanted > THRESHOLD))))
            if depth_net is not None:
                squares.append(_depth_change(depth_net, batch, got, wanted))
    parity = Parity(frames, cases, largest, float(np.mean(sums)), float(np.mean(sides)) if sides else None,
                    float(np.sqrt(np.mean(squares))) if squares else None, tolerance)
    _judge(parity)
    return parity


def _cases(module: MaskGraph | DepthGraph, pictures: Sequence[NDArray[np.uint8]],
           seed: int) -> Iterator[tuple[Frames, float | None, bool]]:
    """Batches of 1, 2, 3 … frames with their λ; the flag says whether they are real pictures."""
    description = module.net.description
    working, multiple = (description.height, description.width), description.multiple
    lams: list[float | None] = [None]
    if isinstance(description, MaskDescription) and description.lambda_range is not None:
        low, high = description.lambda_range
        lams = [description.default_lambda, low, high]
    sized: dict[tuple[int, int], list[NDArray[np.uint8]]] = {}
    for picture in pictures:
        size = fit_size(picture.shape[0], picture.shape[1], working, multiple)
        sized.setdefault(size, []).append(resize_rgb(picture, *size))
    turn = 0
    for same_size in sized.values():
        start, count = 0, 1
        while start < len(same_size):
            yield np.stack(same_size[start:start + count]), lams[turn % len(lams)], True
            start, count, turn = start + count, count % 4 + 1, turn + 1
    generator = np.random.default_rng(seed)
    height, width = working
    # a size no picture had, taller than wide, and one that is small: shapes that were baked in would show
    odd_sizes = [(height, width), (width, height), (_whole(height // 2, multiple), _whole(width // 3, multiple))]
    for turn, (h, w) in enumerate(odd_sizes):
        batch = generator.integers(0, 256, (turn + 1, h, w, 3), dtype=np.uint8)
        yield batch, lams[turn % len(lams)], False


def _whole(side: int, multiple: int) -> int:
    return max(side // multiple, 2) * multiple


def _in_torch(module: MaskGraph | DepthGraph, batch: Frames, lam: float | None) -> Maps:
    frames = torch.from_numpy(batch)
    with torch.inference_mode():
        if isinstance(module, DepthGraph):
            return module(frames).numpy()
        return module(frames, None if lam is None else torch.full((len(batch),), lam)).numpy()


def _comparable(module: DepthGraph, got: Maps, wanted: Maps) -> tuple[Maps, Maps]:
    """Depths that tolerances in metres fit: those of a relative net in the units of what torch predicts."""
    if not module.net.description.relative:
        return got, wanted
    units = own_units(module.net.description, torch.from_numpy(wanted)[:, None])
    depths = [units.to_depth(torch.from_numpy(maps)[:, None])[:, 0].numpy() for maps in (got, wanted)]
    return depths[0], depths[1]


def _depth_change(depth_net: DepthNet, batch: Frames, got: Maps, wanted: Maps) -> float:
    """Mean square, in m², between the depths seen under the two masks."""
    multiple = depth_net.description.multiple
    if batch.shape[1] % multiple or batch.shape[2] % multiple:
        raise ValueError(f"the depth net takes multiples of {multiple}, the frames are {batch.shape[1:3]}")
    with torch.inference_mode():
        normalised = depth_net.normalise(torch.from_numpy(batch).float().permute(0, 3, 1, 2) / 255.0)
        depths = [depth_from(depth_net, normalised, torch.from_numpy(mask)[:, None]) for mask in (got, wanted)]
        return float((depths[0] - depths[1]).double().square().mean())


def _check_sound(got: Maps, wanted: Maps, batch: Frames) -> None:
    if got.shape != wanted.shape:
        raise DepthcueError(f"for frames {batch.shape} the exported graph gives {got.shape}, torch {wanted.shape}",
                            "Nothing was written.")
    if not np.isfinite(got).all():
        raise DepthcueError(f"the exported graph gives NaN or infinity for frames {batch.shape}",
                            "Nothing was written.")


def _judge(parity: Parity) -> None:
    tolerance = parity.tolerance
    measured = (
        ("largest difference", parity.max_abs, tolerance.max_abs),
        ("mean difference", parity.mean_abs, tolerance.mean_abs),
        ("share of pixels that change side", parity.changed_side, tolerance.changed_side),
        ("task RMSE in metres", parity.task_rmse_m, tolerance.task_rmse_m),
    )
    lines = [f"  {name} {value:.3g}, allowed {allowed:.3g}" for name, value, allowed in measured if value is not None]
    # not "greater than": a NaN must fail too
    if not all(value <= allowed for _, value, allowed in measured if value is not None):
        raise DepthcueError("the exported graph does not agree with torch:\n" + "\n".join(lines),
                            "Nothing was written.")
