"""Exported graphs run by ONNX Runtime on the CPU; that of a mask net as a mask net again, a black box."""

from pathlib import Path
from typing import Any, Self

import onnxruntime
import torch
from torch import Tensor

from depthcue.documents import refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import MaskNet
from depthcue.nets.graph_card import check_runs_on_cpu, described_mask_net, dial_input, read_graph_card


class GraphOnCpu:
    """A graph that is open; it keeps nothing from one run to the next, so copies of a net share it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DepthcueError: ONNX Runtime cannot load it.
        """
        refuse_placeholder(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # threads that spin while they wait take the cores from whatever works beside them
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot load {path}: {error}", "Export it again.") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class ExportedMaskNet(MaskNet):
    """A mask graph that `depthcue export` wrote, to be asked like the net it was written from.

    It takes frames of 8 bits: a picture is rounded to 1/255, which gives a file's picture back as it was.
    """

    trainable = False

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DepthcueError: no graph, no card or one of another kind, or ONNX Runtime cannot run it on a CPU.
        """
        card = read_graph_card(path, "mask")
        check_runs_on_cpu(card, path)
        super().__init__(described_mask_net(card))
        self.card = {"kind": "mask", "name": self.description.name, "sha256": card["sha256"]}
        self.graph_file = path
        self._dial_input = dial_input(card)
        self._graph = GraphOnCpu(path)

    def for_export(self) -> MaskNet:
        raise DepthcueError(f"{self.graph_file} is an ONNX graph already", "Copy the file, with its .json.")

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        rgb = normalised.detach().float() * self._std + self._mean  # what `normalise` did, undone
        frames = (rgb * 255.0).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()  # (B, H, W, 3)
        feeds: dict[str, Any] = {"frames": frames.cpu().numpy()}
        if self._dial_input is not None:
            feeds[self._dial_input] = self.dial_of(normalised, dial).detach().cpu().numpy()
        mask = torch.from_numpy(self._graph.session.run(None, feeds)[0])
        return mask[:, None].to(normalised.device)  # (B, 1, H, W)
