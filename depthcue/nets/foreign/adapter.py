"""A borrowed function as a depth net: what it takes made from the normalised picture, its answer made a depth map."""

import dataclasses
import hashlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet
from depthcue.nets.foreign.statement import NORMALISED, RGB255, Statement

USUAL_NAMES = ("predicted_depth", "depth", "disparity", "disp", "out")
"""Names that the depth has among several outputs, the first that is there counting."""


class ForeignDepthNet(DepthNet):
    """A module or function of others behind the contract of every depth net.

    The picture arrives normalised, because that is what masks are laid on; a body that wants plain colours gets them
    back from it. A body that takes one size alone gets the picture stretched to that size.
    """

    def __init__(self, body: Callable[[Tensor], Any], said: Statement, **card: Any) -> None:
        super().__init__(said.description)
        self.body = body
        self.said = said
        self.card = {"kind": "depth", "name": said.description.name, **card}

    @property
    def fixed(self) -> bool:
        """Whether the answer is always of one size, whatever the picture's."""
        return self.said.fixed

    def for_export(self) -> DepthNet:
        """The same net at its working size alone, to which its graph will stretch any picture.

        Code of others seldom traces for every size: positions in a vision transformer are worked out in plain Python.
        """
        if self.fixed:
            return self
        description = dataclasses.replace(self.description, multiple=1)
        net = type(self)(self.body, dataclasses.replace(self.said, description=description, fixed=True))
        net.card = self.card
        return net.to(self._mean.device).eval()

    def forward(self, normalised: Tensor) -> Tensor:
        return depth_map(self.body(self._as_taken(normalised)), self.description.name, self.said.output)

    def _as_taken(self, normalised: Tensor) -> Tensor:
        taken = normalised
        if self.said.takes != NORMALISED:
            taken = taken * self._std + self._mean  # what `normalise` did, undone
        if self.said.takes == RGB255:
            taken = taken * 255.0
        if self.said.fixed:
            size = (self.description.height, self.description.width)
            # a graph written from this must do it for every size
            if torch.compiler.is_exporting() or taken.shape[-2:] != size:
                taken = F.interpolate(taken, size=size, mode="bilinear", align_corners=False)
        return taken


def depth_map(answer: Any, name: str, output: str | int | None = None) -> Tensor:
    """The depth in whatever a net answers, as (B, 1, h, w) float32.

    Args:
        answer: a tensor (B, h, w) or (B, 1, h, w), or a dictionary, sequence or object that holds one.
        name: of the net, for messages.
        output: key or place of the depth where there are several.

    Raises:
        DepthcueError: no tensor, or one of another rank.
    """
    found = _chosen(answer, name, output)
    if not isinstance(found, Tensor):
        raise DepthcueError(f"{name} answers with {_shape_of(found)}, not with a depth map", "It has to give a tensor "
                            "(B, h, w) or (B, 1, h, w). Where it gives several, name one: ,output=KEY behind the spec.")
    if found.ndim == 3:
        found = found[:, None]
    if found.ndim != 4 or found.shape[1] != 1:
        raise DepthcueError(f"{name} answers with a tensor of shape {tuple(found.shape)}",
                            "A depth map is (B, h, w) or (B, 1, h, w).")
    return found.float()


def state_sha256(module: nn.Module) -> str | None:
    """Hexadecimal sha256 of a module's tensors by name; None where it has none."""
    state = module.state_dict()
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if state else None


def failed(what: str, error: Exception, hint: str) -> DepthcueError:
    """What to tell a user whose own code raised: the error and the line it came from."""
    if isinstance(error, DepthcueError):
        return error.within(f"{what} raised DepthcueError", hint)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return DepthcueError(f"{what} raised {type(error).__name__}: {error} ({last.filename}, line {last.lineno})", hint)


def _chosen(answer: Any, name: str, output: str | int | None) -> Any:
    if output is not None:
        try:
            return answer[output] if not isinstance(output, str) or isinstance(answer, Mapping) else getattr(
                answer, output)
        except (LookupError, TypeError, AttributeError):
            raise DepthcueError(f"{name} gives no output {output!r}: it gives {_shape_of(answer)}",
                                "Name another with ,output=KEY behind the spec.") from None
    if isinstance(answer, Mapping):
        named = [key for key in USUAL_NAMES if key in answer]
        return answer[named[0]] if named else next(iter(answer.values())) if len(answer) == 1 else answer
    if isinstance(answer, list | tuple):
        return answer[0] if len(answer) == 1 else answer
    return answer


def _shape_of(answer: Any) -> str:
    if isinstance(answer, Tensor):
        return f"a tensor {tuple(answer.shape)}"
    if isinstance(answer, Mapping):
        return f"a dictionary of {', '.join(map(str, answer))}"
    if isinstance(answer, list | tuple):
        return f"{len(answer)} outputs ({', '.join(_shape_of(each) for each in answer[:4])})"
    return f"a {type(answer).__name__}"
