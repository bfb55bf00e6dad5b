"""Nets as files that run without this package: ONNX graphs, each with a card and a proof that it agrees with torch."""

from depthcue.export.onnx import export_onnx, export_spec
from depthcue.nets.exported import described_depth_net, described_mask_net, read_graph_card

__all__ = ["described_depth_net", "described_mask_net", "export_onnx", "export_spec", "read_graph_card"]
