"""A traced float32 graph in the precision asked for: the versions to try, best first, until one passes the gate."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from depthcue.backends.onnx_backend import Feeds, feeds, open_cpu_session
from depthcue.backends.precision import FP32, INT8
from depthcue.errors import DepthcueError
from depthcue.export.quantise import Quantisation, count_products, largest_values, quantisable, quantise, rounding
from depthcue.export.sixteen_bit import lower
from depthcue.nets import DepthDescription, MaskDescription

LEAST_CALIBRATION = 8
"""Pictures below which ranges say more about the pictures than about the net."""

_RANKED_ON = 4
"""Pictures on which the cost of every single product is measured."""
_MOST_KEPT = 0.5
"""Share of the products that may stay in float32 before int8 is called unsuitable."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """One way to write the graph."""

    model: onnx.ModelProto
    """What goes into the file."""
    emulated: onnx.ModelProto | None
    """For 16 bit, a graph that gives on a CPU what `model` gives where 16 bit is computed in 16 bit."""
    facts: dict[str, Any] | None
    """For the card; None in fp32."""


def versions(model: onnx.ModelProto, precision: str, description: MaskDescription | DepthDescription,
             calibration: Sequence[NDArray[np.uint8]]) -> Iterator[Version]:
    """Yield ways to write `model` in `precision`.

    There is one, but for int8: there every further one leaves more of the products that cost most in float32.

    Args:
        calibration: pictures uint8 (H, W, 3) that ranges are measured on; not used in fp32.

    Raises:
        DepthcueError: too few pictures for int8, or nothing that could multiply in int8.
    """
    if precision == FP32:
        yield Version(model, None, None)
        return
    if precision == INT8 and len(calibration) < LEAST_CALIBRATION:
        raise DepthcueError(f"int8 needs at least {LEAST_CALIBRATION} calibration pictures, not {len(calibration)}",
                            "Give --data a folder with more pictures, of the kind that the net will see.")
    runs = list(feeds(description, calibration))
    largest = largest_values(model, runs)
    if precision == INT8:
        yield from _in_int8(model, largest, runs)
        return
    lowered, lowering = lower(model, precision, largest, gives_scores=description.dial_name == "keep")
    yield Version(lowered, rounding(lowered), lowering.as_json())


def _in_int8(model: onnx.ModelProto, largest: dict[str, float], runs: Sequence[Feeds]) -> Iterator[Version]:
    weights = quantisable(model)
    if not weights:
        raise DepthcueError("the net has no convolution that could compute in int8", "Use --precision fp16.")

    def without(kept: Sequence[str]) -> Version:
        chosen = [weight for weight in weights if weight not in kept]
        facts = Quantisation(len(runs), count_products(model, chosen), tuple(kept))
        return Version(quantise(model, largest, chosen), None, facts.as_json())

    yield without([])
    costliest = _by_cost(model, largest, runs[:_RANKED_ON], weights)
    count = 1
    while count <= _MOST_KEPT * len(weights):
        log.info("int8 costs too much; leaving %d of %d products in float32", count, len(weights))
        yield without(costliest[:count])
        count *= 2


def _by_cost(model: onnx.ModelProto, largest: dict[str, float], runs: Sequence[Feeds],
             weights: Sequence[str]) -> list[str]:
    """The weights, those first that change the answers most when they alone multiply in int8."""
    wanted = _answers(model, runs)
    costs: dict[str, float] = {}
    for weight in weights:
        got = _answers(quantise(model, largest, [weight]), runs)
        costs[weight] = float(np.mean([np.abs(one - other).mean() for one, other in zip(got, wanted, strict=True)]))
    return sorted(weights, key=lambda weight: -costs[weight])


def _answers(model: onnx.ModelProto, runs: Sequence[Feeds]) -> list[NDArray[np.float32]]:
    session = open_cpu_session(model.SerializeToString())
    return [session.run(None, run)[0] for run in runs]
