"""Depth nets that others made, behind one contract: transformers, Ultralytics, torch.hub, Python, ONNX graphs.

A spec is KIND:LOCATION and, behind it, properties of the net that the user knows: `,predicts=inverse,size=384x384` (see
`adapter.statement`). KINDS names for each kind a module of this package and its function that makes a
DepthNet of LOCATION and these properties. The module is imported when a net of that kind is opened.
"""

from importlib import import_module

from depthcue.nets.base import DepthNet
from depthcue.nets.foreign.adapter import names_path, split_spec

KINDS = {
    "hf": ("transformers_model", "open_net"), "python": ("adapter", "open_object"), "hub": ("adapter", "open_hub_net"),
    "onnx": ("onnx_graph", "open_net"), "ultralytics": ("ultralytics_model", "open_net"),
}
SPECS = "hf:REPO_OR_DIR, ultralytics:FILE.pt, python:package.module:factory, hub:REPO_OR_DIR:ENTRY or onnx:FILE"


def is_foreign(spec: str) -> bool:
    """Whether a spec names a net that others made; an exported `.onnx` needs no KIND before it."""
    if spec.partition(":")[0] in KINDS or spec.endswith(".onnx"):
        return True
    _, graph, words = spec.rpartition(".onnx,")
    return bool(graph) and all(word.partition("=")[1] for word in words.split(",")) and not names_path(spec)


def open_foreign(spec: str) -> DepthNet:
    """The net that a foreign spec names, on the CPU and in eval mode; not tried out yet (see `nets.guard`).

    Raises:
        DepthcueError: nothing there, a package that is not installed, code of the net's own that fails, or a wrong
            description.
    """
    bare, given = split_spec(spec)
    kind, _, location = bare.partition(":")
    if kind not in KINDS:
        kind, location = "onnx", bare
    module, function = KINDS[kind]
    net: DepthNet = getattr(import_module(f"{__name__}.{module}"), function)(location, given)
    return net.eval()
