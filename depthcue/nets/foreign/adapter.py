"""Functions and modules of others as depth nets: `python:package.module:factory` and `hub:REPO_OR_DIR:ENTRY`.

`ForeignDepthNet` makes what a function takes from the normalised picture, and a depth map of its answer. A `Statement`
holds what is known of the net: units, size, colours, and which output is the depth. It has the same properties
everywhere: keywords of a dictionary `depth_description` on a Python object, keys of a JSON file beside an ONNX graph,
or `,key=value` behind a spec. The user's words in the spec count most, then the net's own, then what its kind is known
for.

A factory is called without arguments and returns a module, or any function from pictures to depth. It is imported from
the current directory too. Its `depth_description`, a DepthDescription or a dictionary, stands on the factory or on what
it returns. An entry of a hubconf.py, in a folder here or in a GitHub repository, is loaded by torch.hub: naming a
repository is taken as trust in its code, which is run.
"""

import contextlib
import dataclasses
import importlib
import logging
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.documents import MAX_PIXELS, MAX_SIDE
from depthcue.errors import DepthcueError
from depthcue.nets.base import DISPARITY, INVERSE_DEPTH, METRIC_DEPTH, DepthDescription, DepthNet
from depthcue.nets.checkpoint import tensors_sha256

NORMALISED, RGB, RGB255 = "normalised", "rgb", "rgb255"
TAKES = (NORMALISED, RGB, RGB255)
"""Forms of a net's picture: z-scored, RGB in [0, 1], or RGB in [0, 255]."""
_PREDICTS = {"metric": METRIC_DEPTH, "inverse": INVERSE_DEPTH, "disparity": DISPARITY}
USUAL_NAMES = ("predicted_depth", "depth", "disparity", "disp", "out")
"""Names that the depth has among several outputs; the first of them counts."""
OBJECT_FORM = "python:package.module:factory"
HUB_FORM = "hub:OWNER/REPO:ENTRY, or hub:FOLDER:ENTRY for a folder with a hubconf.py"
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statement:
    """Statements about a foreign net.

    Attributes:
        takes: one of TAKES.
        output: key or index of the depth among several outputs; None where there is one, or a usual name.
        fixed: whether it takes pictures of its working size alone; others are then stretched to that size.
    """

    description: DepthDescription
    takes: str = NORMALISED
    output: str | int | None = None
    fixed: bool = False


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """`hf:DIR,predicts=metric,size=640x480` as `hf:DIR` and {"predicts": "metric", "size": "640x480"}.

    Only words of the form key=value are taken off the end, and none of what is the path of a file or folder that is
    there, so that a path may hold commas and equals signs.

    Raises:
        DepthcueError: a key that no network has.
    """
    given: dict[str, str] = {}
    while not names_path(spec):
        bare, comma, last = spec.rpartition(",")
        key, equals, value = last.partition("=")
        if not (comma and equals and key.isidentifier()):
            break
        if key not in _READ:
            if "/" in value or "\\" in value:  # a folder of a path that is not there
                break
            raise DepthcueError(f"a network has no property called {key!r}", f"Known: {', '.join(_READ)}.")
        given.setdefault(key, value)
        spec = bare
    return spec, given


def names_path(spec: str) -> bool:
    """Whether a spec, or the part behind its KIND: or NAME:, is the path of an existing file or folder."""
    location = spec.partition(":")[2]
    folder, _, entry = location.rpartition(":")  # of hub:FOLDER:ENTRY
    return any(text and Path(text).exists() for text in (spec, location, folder if "," not in entry else ""))


def statement(name: str, known: Mapping[str, Any], stated: DepthDescription | Mapping[str, Any] | None,
              given: Mapping[str, Any]) -> Statement:
    """Put together what is known of a net called `name`.

    Args:
        known: properties of its kind.
        stated: the net's own description.
        given: the user's words.

    Raises:
        DepthcueError: an unknown property, or a value out of range.
    """
    if isinstance(stated, DepthDescription):
        stated = {field.name: getattr(stated, field.name) for field in dataclasses.fields(stated)}
    elif stated is not None and not isinstance(stated, Mapping):
        raise DepthcueError(f"the depth_description of {name} is a {type(stated).__name__}",
                            "Give a DepthDescription or a dictionary of its fields.")
    words: dict[str, Any] = {}
    for source in (known, stated or {}, given):
        words |= _read(name, source)
    if "predicts" not in words:
        log.warning("%s does not say what it predicts; taken as metric depth. Behind the spec: ,predicts=inverse", name)
    if "height" not in words:
        log.warning("%s does not say its working size; taken as 384x384. Behind the spec: ,size=WxH", name)
    words = {"name": name, "height": 384, "width": 384, "multiple": 1 if words.get("fixed") else 32, **words}
    own = {key: words.pop(key) for key in ("takes", "output", "fixed") if key in words}
    description = DepthDescription(**words)
    if description.height * description.width > MAX_PIXELS:
        raise DepthcueError(f"{name} cannot work at {description.width}x{description.height}: that is more than "
                            f"{MAX_PIXELS:,} pixels", "Choose a smaller size.")
    if not own.get("fixed") and (description.height % description.multiple or description.width % description.multiple):
        raise DepthcueError(f"{name} cannot work at {description.width}x{description.height}: it wants multiples of "
                            f"{description.multiple}", "Choose another size or multiple.")
    return Statement(description, **own)


def _read(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for key, value in source.items():
        if key not in _READ:
            raise DepthcueError(f"{name} is described with the unknown property {key!r}", f"Known: {', '.join(_READ)}.")
        try:
            read = _READ[key](value)
        except (ValueError, TypeError, OverflowError) as error:
            raise DepthcueError(f"{name} is described with {key}={str(value)[:200]!r}: {error}",
                                "Put it right in the spec or in what the network says of itself.") from error
        words |= {"height": read[0], "width": read[1]} if key == "size" else {key: read}
    return words


def _predicts(value: Any) -> str:
    word = str(value)
    if word in _PREDICTS.values():
        return word
    if word not in _PREDICTS:
        raise ValueError(f"one of {', '.join(_PREDICTS)}")
    return _PREDICTS[word]


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word not in (*_YES, *_NO):
        raise ValueError("yes or no")
    return word in _YES


def _count(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("a whole number of at least 1")
    if number > MAX_SIDE:
        raise ValueError(f"a whole number of at most {MAX_SIDE}")
    return number


def _metres(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError("a number of metres above 0")
    return number


def _size(value: Any) -> tuple[int, int]:
    """WxH, or (height, width)."""
    if not isinstance(value, str):
        height, width = value
        return _count(height), _count(width)
    width, cross, height = value.lower().partition("x")
    if not cross:
        raise ValueError("WIDTHxHEIGHT, as in 640x480")
    return _count(height), _count(width)


def _three(value: Any) -> tuple[float, float, float]:
    """Three numbers, as 0.5/0.5/0.5 in a spec."""
    parts = value.split("/") if isinstance(value, str) else value
    red, green, blue = (float(part) for part in parts)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError("three numbers")
    return red, green, blue


def _deviations(value: Any) -> tuple[float, float, float]:
    read = _three(value)
    if min(read) <= 0:
        raise ValueError("three numbers above 0")
    return read


def _takes(value: Any) -> str:
    if value not in TAKES:
        raise ValueError(f"one of {', '.join(TAKES)}")
    return str(value)


def _output(value: Any) -> str | int:
    return int(value) if str(value).isdigit() else str(value)


_READ: dict[str, Callable[[Any], Any]] = {
    "predicts": _predicts, "relative": _flag, "shift_unknown": _flag, "size": _size, "height": _count,
    "width": _count, "multiple": _count, "fixed": _flag, "max_depth_m": _metres, "takes": _takes, "output": _output,
    "mean": _three, "std": _deviations, "name": str, "licence": str, "source": str,
}
"""Readers of the properties, by name."""


class ForeignDepthNet(DepthNet):
    """A module or function of others behind the contract of every depth net.

    The picture arrives normalised, because masks are applied to the normalised picture; a body that takes plain colours
    gets them back from it. A body that takes one size alone gets the picture stretched to that size.
    """

    def __init__(self, body: Callable[[Tensor], Any], stated: Statement, **card: Any) -> None:
        super().__init__(stated.description)
        self.body = body
        self.stated = stated
        self.card = {"kind": "depth", "name": stated.description.name, **card}

    @property
    def fixed(self) -> bool:
        """Whether the answer is always of one size, whatever the picture's."""
        return self.stated.fixed

    def for_export(self) -> DepthNet:
        """The same net at its working size alone, to which its graph will stretch any picture.

        Code of others seldom traces for every size: a vision transformer computes positions in plain Python.
        """
        if self.fixed:
            return self
        description = dataclasses.replace(self.description, multiple=1)
        net = type(self)(self.body, dataclasses.replace(self.stated, description=description, fixed=True))
        net.card = self.card
        return net.to(self._mean.device).eval()

    def forward(self, normalised: Tensor) -> Tensor:
        return depth_map(self.body(self._as_taken(normalised)), self.description.name, self.stated.output)

    def _as_taken(self, normalised: Tensor) -> Tensor:
        taken = normalised
        if self.stated.takes != NORMALISED:
            taken = taken * self._std + self._mean  # what `normalise` did, undone
        if self.stated.takes == RGB255:
            taken = taken * 255.0
        if self.stated.fixed:
            size = (self.description.height, self.description.width)
            # a graph written from this must do it for every size
            if torch.compiler.is_exporting() or taken.shape[-2:] != size:
                taken = F.interpolate(taken, size=size, mode="bilinear", align_corners=False)
        return taken


def depth_map(answer: Any, name: str, output: str | int | None = None) -> Tensor:
    """The depth in a net's answer, as (B, 1, h, w) float32.

    Args:
        answer: a tensor (B, h, w) or (B, 1, h, w), or a dictionary, sequence or object that holds one.
        name: of the net, for messages.
        output: key or index of the depth where there are several.

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
    return tensors_sha256(state) if state else None


def failed(what: str, error: Exception, hint: str) -> DepthcueError:
    """The error for a user whose own code raised, with the exception and its line."""
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


def open_object(location: str, given: Mapping[str, str]) -> DepthNet:
    """The net that `package.module:factory` returns."""
    factory = _find(location)
    try:
        made = factory()
    except Exception as error:
        raise failed(f"{location}()", error, "The factory is called without arguments.") from error
    return as_depth_net(made, f"python:{location}", given, getattr(factory, "depth_description", None))


def as_depth_net(made: Any, name: str, given: Mapping[str, str], stated: Any = None) -> DepthNet:
    """Make a depth net of a factory's result; its own statements count before `stated`.

    Raises:
        DepthcueError: it is neither a module nor a function, or describes itself wrongly.
    """
    if isinstance(made, DepthNet):
        if given:
            raise DepthcueError(f"{name} is a depth net that describes itself; {', '.join(given)} cannot be given",
                                "Leave them out.")
        made.card = {"kind": "depth", "name": name, "sha256": state_sha256(made), **made.card}
        return made
    if not callable(made):
        raise DepthcueError(f"{name} returned a {type(made).__name__}",
                            "It has to return a torch module, or a function from pictures (B, 3, H, W) to depth.")
    stated = getattr(made, "depth_description", stated)
    return ForeignDepthNet(made, statement(name, {}, stated, given),
                           sha256=state_sha256(made) if isinstance(made, nn.Module) else None)


def _find(location: str) -> Any:
    module_name, colon, attribute = location.partition(":")
    if not (colon and module_name and attribute):
        raise DepthcueError(f"python:{location} does not say which function", f"Write {OBJECT_FORM}.")
    here = os.getcwd()
    if here not in sys.path:
        # a console script does not search the current folder, where a user's code lies; the entry stays, since that
        # code may import more later
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise DepthcueError(f"there is no module {module_name} (looked in {here} and where Python's packages are)",
                                f"Write {OBJECT_FORM}.") from None
        raise failed(f"importing {module_name}", error, "Install what it needs.") from error
    except Exception as error:
        raise failed(f"importing {module_name}", error, "Put it right there.") from error
    if not callable(getattr(module, attribute, None)):
        raise DepthcueError(f"{module_name} has no function {attribute}", f"Write {OBJECT_FORM}.")
    return getattr(module, attribute)


def open_hub_net(location: str, given: Mapping[str, str]) -> DepthNet:
    """The net of a torch.hub entry.

    Raises:
        DepthcueError: no such repository or entry, or what it makes is no depth net.
    """
    repository, colon, entry = location.rpartition(":")
    if not (colon and repository and entry):
        raise DepthcueError(f"hub:{location} does not say which entry of torch.hub gives the depth net",
                            f"Write {HUB_FORM}. A published mask net, hub:OWNER/NAME, is for --weights.")
    local = Path(repository).is_dir()
    if local and not (Path(repository) / "hubconf.py").is_file():
        raise DepthcueError(f"{repository} has no hubconf.py", f"Write {HUB_FORM}.")
    if not local and repository.partition(":")[0].count("/") != 1:
        raise DepthcueError(f"there is no folder {repository}, nor is it OWNER/REPO", f"Write {HUB_FORM}.")
    try:
        # prints of such code belong to the log: stdout is for results
        with contextlib.redirect_stdout(sys.stderr):
            made = torch.hub.load(repository, entry, source="local" if local else "github", trust_repo=True,
                                  verbose=False)
    except Exception as error:
        hint = ("The entry is called without arguments." if local else
                "A repository is downloaded once, which needs internet; the entry is called without arguments.")
        raise failed(f"torch.hub entry {entry} of {repository}", error, hint) from error
    return as_depth_net(made, f"hub:{location}", given)
