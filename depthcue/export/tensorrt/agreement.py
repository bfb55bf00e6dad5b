"""Whether an engine computes what it was exported from: TensorRT chose its kernels, and may have chosen wrong ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.export.module import DepthGraph, MaskGraph
from depthcue.export.onnx import graph_module
from depthcue.export.parity import Exported, Frames, Maps, measure_parity
from depthcue.export.precision import TOLERANCES
from depthcue.export.running import open_session
from depthcue.export.tensorrt.engine import Compare
from depthcue.export.tensorrt.session import EngineSession
from depthcue.nets import DepthNet, MaskDescription, MaskNet
from depthcue.nets.graph_card import described_depth_net, described_mask_net, dial_input

Pictures = Callable[[], Sequence[NDArray[np.uint8]]]
"""Gives pictures uint8 (H, W, 3) to compare on; called where there is something to compare."""
Judge = Callable[[MaskDescription, str], DepthNet | None]
"""Finds the depth net that a mask net was trained for, or none; see `export.job.depth_net_of`."""


def comparing_with_net(net: MaskNet | DepthNet, pictures: Pictures, judge: Judge) -> Compare:
    """Compare engines with the net in torch, by the limits of the engine's precision."""
    def compare(session: EngineSession) -> dict[str, Any]:
        depth_net = judge(net.description, net.description.name) if isinstance(net, MaskNet) else None
        return _measured(session, graph_module(net), None, pictures(), depth_net)

    return compare


def comparing_with_graph(graph: Path, card: Mapping[str, Any], pictures: Pictures, judge: Judge) -> Compare | None:
    """Compare engines with the exported graph in ONNX Runtime on the CPU; None where that cannot run the graph."""
    if not card.get("runs_in_onnxruntime_on_cpu", True):
        return None

    def compare(session: EngineSession) -> dict[str, Any]:
        # a net without weights, which says what the graph takes and gives
        if card["kind"] == "mask":
            description = described_mask_net(dict(card))
            described: MaskGraph | DepthGraph = MaskGraph(MaskNet(description))
            depth_net = judge(description, str(graph))
        else:
            described, depth_net = DepthGraph(DepthNet(described_depth_net(dict(card)))), None
        return _measured(session, described, _in_onnxruntime(graph, dial_input(card)), pictures(), depth_net)

    return compare


def _in_onnxruntime(graph: Path, name: str | None) -> Exported:
    runtime = open_session(graph)

    def run(frames: Frames, dial: float | None) -> Maps:
        feeds: dict[str, Any] = {"frames": frames}
        if name is not None:
            feeds[name] = np.full(len(frames), dial, np.float32)
        maps: Maps = runtime.run(None, feeds)[0]
        return maps

    return run


def _measured(session: EngineSession, module: MaskGraph | DepthGraph, reference: Exported | None,
              pictures: Sequence[NDArray[np.uint8]], depth_net: DepthNet | None) -> dict[str, Any]:
    making = session.making
    parity = measure_parity(module, session.run, pictures, depth_net, TOLERANCES[making.precision],
                            reference=reference, nearest=making.shapes.nearest)
    if not parity.holds():
        raise DepthcueError(f"the engine of {making.library} {making.version} in {making.precision} does not agree "
                            f"with {'torch' if reference is None else 'its graph'}:\n" + "\n".join(parity.lines()),
                            "Nothing was written. Try another --precision, or another version of the library.")
    return {"provider": f"{making.library} {making.version}", **parity.as_json()}
