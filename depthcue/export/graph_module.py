"""What goes into an exported file: a net with its preprocessing, raw frames in, masks or metres out.

Whoever runs the file in C++ or on a server feeds the bytes of a picture as they are; mean, deviation and layout
cannot be got wrong there because they are part of the graph.

The card beside an exported graph: what it takes, what it gives, where it comes from and how well it agrees.

The card is a JSON file with the graph's name (`NAME.onnx`, `NAME.json`). Nothing depthcue needs is hidden in the graph
file itself, so other tools may rewrite that file, and the sha256 tells when they have.
"""

import dataclasses
from typing import Any

from torch import Tensor, nn

from depthcue.documents import GRAPH_SCHEMA
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.exported import Kind


class MaskGraph(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB, and what the net takes beside it, float32 (B,), to mask float32 (B, H, W)."""

    def __init__(self, net: MaskNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor, dial: Tensor | None = None) -> Tensor:
        mask: Tensor = self.net(self.net.normalise(_to_rgb(frames)), dial)
        return mask[:, 0].float()  # (B, H, W)


class DepthGraph(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB to depth float32 (B, h, w) in metres."""

    def __init__(self, net: DepthNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor) -> Tensor:
        depth_m = self.net.to_depth_m(self.net(self.net.normalise(_to_rgb(frames))))
        return depth_m[:, 0].float()  # (B, h, w)


def _to_rgb(frames: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]."""
    # the cast must be the graph's first node: TensorRT takes uint8 into a cast and nothing else
    return frames.float().permute(0, 3, 1, 2) / 255.0


DIALS = {"keep": "share of the pixels to keep, above 0 and below 1; the net was trained for",
         "lambda": "weight of sparseness,"}


def graph_card(kind: Kind, description: MaskDescription | DepthDescription, **fields: Any) -> dict[str, Any]:
    """A card: inputs and outputs with their names, types, shapes and ranges, then `fields` as they are."""
    dial = description.dial_name
    lambda_range: Any = getattr(description, "lambda_range", None)
    keep_range: Any = getattr(description, "keep_range", None)
    inputs = [{"name": "frames", "dtype": "uint8", "shape": ["batch", "height", "width", 3],
               "meaning": "RGB, upright; mean and deviation are applied inside"}]
    if dial is not None:
        low, high = lambda_range if keep_range is None else keep_range
        inputs.append({"name": dial, "dtype": "float32", "shape": ["batch"],
                       "meaning": f"{DIALS[dial]} {low:g} to {high:g}"})
    if kind == "mask":
        output = {"name": "mask", "dtype": "float32", "shape": ["batch", "height", "width"],
                  "meaning": "share of each pixel kept, 0 to 1" + ("; its mean is keep" if dial == "keep" else "")}
    else:
        output = {"name": "depth", "dtype": "float32", "shape": ["batch", "depth_height", "depth_width"],
                  "meaning": _depth_unit(description)}
    return {
        "graph_schema": GRAPH_SCHEMA,
        "kind": kind,
        "name": description.name,
        "inputs": inputs,
        "outputs": [output],
        "height_and_width_are_multiples_of": description.multiple,
        "working_size": {"height": description.height, "width": description.width},
        "keep_range": None if keep_range is None else list(keep_range),
        "default_keep": None if keep_range is None else getattr(description, "default_keep", None),
        "lambda_range": None if lambda_range is None else list(lambda_range),
        "default_lambda": getattr(description, "default_lambda", None),
        "target": getattr(description, "target", None),
        "licence": description.licence,
        "source": description.source,
        "description": dataclasses.asdict(description),
        **fields,
    }


def _depth_unit(description: MaskDescription | DepthDescription) -> str:
    if not getattr(description, "relative", False):
        return "metres"
    assert isinstance(description, DepthDescription)
    unknown = "a scale and a shift" if description.shift_unknown else "a scale"
    return f"{description.predicts} up to {unknown}, as the net predicts it"
