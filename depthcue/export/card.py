"""The card beside an exported graph: what it takes, what it gives, where it comes from and how well it agrees.

The card is a JSON file with the graph's name (`NAME.onnx`, `NAME.json`). Nothing depthcue needs is hidden in the graph
file itself, so other tools may rewrite that file, and the sha256 tells when they have.
"""

import dataclasses
import hashlib
import json
from typing import Any

import torch

from depthcue.documents import GRAPH_SCHEMA
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.graph_card import Kind

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


def net_identity(net: MaskNet | DepthNet) -> str:
    """Hexadecimal sha256 of what decides a net's answers: its type, description, configuration and tensors."""
    facts = [type(net).__name__, dataclasses.asdict(net.description), getattr(net, "config", None)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
