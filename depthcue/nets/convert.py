"""What `depthcue convert` does: a checkpoint as others released it to safetensors with a card.

What a state dict is, told by its keys and shapes: which architecture, and whether a depth net or a mask net.

File names cannot be relied on: some copies of the released files hold N under the mask net's name. A layout is known by
a few tensors that no other one has together.

Checkpoints as others released them, without a card: what they are and how such a net must be built.

Hu et al.: one pickled state dict a net, trained with torch 0.3, whose bilinear upsampling aligned corners. monodepth2:
a folder with encoder.pth and depth.pth; the former also says its size and whether it was trained on stereo pairs.
"""

import dataclasses
from pathlib import Path
from typing import Any

from depthcue.errors import DepthcueError
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS, net_of
from depthcue.nets.checkpoint import (
    card_path,
    save_net,
)
from depthcue.nets.released import digest, files_of, read_released


def convert(checkpoint: str, out: Path, *, name: str | None = None, licence: str | None = None,
            target: str | None = None, lam: float | None = None, half: bool = False) -> dict[str, Any]:
    """Write a checkpoint to `out` (.safetensors) with a card beside it; return the card.

    Args:
        checkpoint: a file or a folder of monodepth2, `NAME:PATH` where its keys do not tell the architecture.
        name: what the card calls the net; the architecture where None.
        licence: of the weights; `unknown` where nobody says.
        target: of a mask net, the spec of the depth net it explains.
        lam: of a mask net, the λ it was trained for.
        half: store the weights in 16 bit.

    Raises:
        DepthcueError: no such checkpoint, an unknown or another architecture, a file that has its card already, an
            `out` of another suffix or equal to the checkpoint, a target or λ for a depth net.
    """
    architecture, path = _parted(checkpoint)
    wanted = [kind for kind, registry in (("depth", DEPTH_NETS), ("mask", MASK_NETS)) if architecture in registry]
    if out.suffix != ".safetensors":
        raise DepthcueError(f"{out} does not end in .safetensors", f"Give --out {out.with_suffix('.safetensors')}.")
    if out.resolve() == path.resolve():
        raise DepthcueError(f"{out} is the checkpoint itself", "Give another --out.")
    if path.suffix == ".safetensors" and card_path(path).exists():
        raise DepthcueError(f"{path} has its card already", f"Use it as it is: {path}.")
    net = net_of(read_released(path, wanted[0] if len(wanted) == 1 else None, architecture), path)
    kind, architecture = net.card["kind"], net.card["architecture"]
    fields: dict[str, Any] = {"licence": licence, "target": target, "default_lambda": lam}
    if kind == "depth" and (target is not None or lam is not None):
        raise DepthcueError(f"{path} holds a depth net ({architecture})", "--target and --lambda are for mask nets.")
    net.description = dataclasses.replace(
        net.description, name=name or architecture, **{key: value for key,
                                                       value in fields.items() if value is not None})
    sources = [{"file": file.name, "sha256": digest(file)} for file in files_of(path)]
    return save_net(net, out, architecture=architecture, half=half, converted_from=sources)


def _parted(checkpoint: str) -> tuple[str | None, Path]:
    name, colon, rest = checkpoint.partition(":")
    if colon and (name in DEPTH_NETS or name in MASK_NETS):
        return name, Path(rest)
    return None, Path(checkpoint)
