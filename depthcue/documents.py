"""Documents from outside: cards, results, summaries, settings of runs. Each is read once, here, within limits.

Such a file may be hostile, or edited by hand. JSON is read up to a size and depth, without NaN, repeated keys, endless
numbers or text that no file name and no terminal can take; then a model checks the types and ranges of its fields. A
field that no model names passes as it is: newer files may have more.
"""

import json
import math
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from depthcue.errors import DepthcueError

MIB = 2**20
CARD_BYTES = 4 * MIB
RESULTS_BYTES = 256 * MIB
SUMMARY_BYTES = 1024 * MIB
DEPTH = 64
"""Deepest nesting of lists and objects."""
MAX_SIDE, MAX_PIXELS = 16_384, 2**24
"""Limits of the size that a net works at: larger ones would take a machine's memory before anything is computed."""

CARD_SCHEMA = 1
GRAPH_SCHEMA = 2
"""Schema of the cards beside exported files; from 2 on a mask net may take `keep`, the share of pixels to keep."""

Document = dict[str, Any]
Model = TypeVar("Model", bound="Loose")

_UNFIT = re.compile("[\0\ud800-\udfff]")
_FEW = 3
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
"""Bytes that no text holds; every file of weights has some in its first kilobyte."""
_MOST_SETTINGS, _WIDEST, _LARGEST = 1000, 4096, 1e6
"""Limits of an architecture's configuration: how many values or letters; channels; other numbers."""
Name = Annotated[str, Field(max_length=1000)]
Words = Annotated[str, Field(max_length=10_000)]
Path_ = Annotated[str, Field(max_length=4096)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Count = Annotated[int, Field(ge=0)]
Colour = Annotated[float, Field(ge=-1e4, le=1e4)]
Deviation = Annotated[float, Field(gt=0, le=1e4)]
Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
PRECISIONS = Literal["fp32", "fp16", "bf16", "int8"]


class Malformed(ValueError):
    """Fault of a document, in words that follow its name."""


# --- reading


def require_regular(path: str | os.PathLike[str]) -> None:
    """Refuse a path that is no regular file: reading a pipe or a device may never end.

    Raises:
        Malformed: it is a folder, pipe, socket or device.
        OSError: nothing is there.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise Malformed("it is a folder" if stat.S_ISDIR(mode) else "it is a pipe, socket or device, and no file")


def read_text(path: str | os.PathLike[str], limit: int) -> str:
    """A text file of up to `limit` bytes, UTF-8.

    Raises:
        Malformed: no file, too large, or no text.
        OSError: it cannot be read, or is not there.
    """
    require_regular(path)
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Malformed(f"it has more than {limit // MIB} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"it is no text: {error.reason} at byte {error.start}") from None


def parse(text: str) -> Any:
    """JSON within limits.

    Raises:
        Malformed: it is none, or beyond them.
    """
    try:
        content = decoder().decode(text)
    except RecursionError:
        raise Malformed(f"it is nested deeper than {DEPTH}") from None
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"it is no JSON: {error}") from None
    _check_depth(content)
    return content


def decoder() -> json.JSONDecoder:
    """A decoder that raises `Malformed` for what `parse` refuses, and RecursionError for very deep nesting."""
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_float=_real, parse_int=_whole)


def read_document(path: str | os.PathLike[str], what: str, model: "type[Loose]", hint: str | None = None,
                  limit: int = CARD_BYTES) -> Document:
    """A JSON object from a file as it is, once all fields that the model names are checked.

    Args:
        what: what the file should be, for the message: "a card".

    Raises:
        DepthcueError: it cannot be read, or is something else; says what.
        FileNotFoundError: it is not there.
    """
    try:
        return checked_text(read_text(path, limit), model)
    except Malformed as error:
        raise DepthcueError(f"{path} is not {what}: {error}", hint) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DepthcueError(f"{path} cannot be read: {error.strerror}", hint) from error


def checked(content: Any, model: "type[Loose]") -> Document:
    """A document as it is, once all fields that the model names are checked.

    Raises:
        Malformed: as `validated`.
    """
    validated(content, model)
    return cast(Document, content)


def validated(content: Any, model: "type[Model]") -> "Model":
    """A document as the model has it.

    Raises:
        Malformed: it is no object, or a field is missing, of another type or out of range.
    """
    if not isinstance(content, dict):
        raise Malformed("it is not a JSON object")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [": ".join(filter(None, (
            ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")))) for each in found[:_FEW]]
        raise Malformed("; ".join([*problems, "…"] if len(found) > _FEW else problems)) from None


def checked_text(text: str, model: "type[Loose]") -> Document:
    """As `checked`, of a JSON text.

    Raises:
        Malformed: besides, it is no JSON, or beyond the limits.
    """
    return checked(parse(text), model)


def refuse_placeholder(path: str | os.PathLike[str]) -> None:
    """Refuse a file that a failed download left in place of a binary one.

    Raises:
        DepthcueError: it is empty, or text: a pointer of Git LFS, a web page, a server's error; says which, and how to
            get the file.
    """
    with open(path, "rb") as file:
        begin = file.read(1024)
    if _BINARY.search(begin):
        return
    text = " ".join(begin.decode("utf-8", "replace").lstrip("\ufeff").split())
    again = "Download it again, by the link of the file itself: on GitHub raw and on Hugging Face resolve, not blob."
    if not text:
        raise DepthcueError(f"{path} is empty", again)
    if text.startswith("version https://git-lfs"):
        raise DepthcueError(f"{path} is a pointer of Git LFS: it names the file, which was not downloaded",
                            "Run git lfs pull in the repository it came from, or download the file by itself.")
    what = "a web page (HTML)" if text.startswith("<") else "JSON" if text[0] in "{[" else "plain text"
    raise DepthcueError(f"{path} is {what} where weights are wanted; it begins {text[:60]!r}", again)


def beside(folder: Path, path: str) -> Path:
    """The file that a document in `folder` names by a relative path.

    Raises:
        DepthcueError: it lies outside of the folder; the results of someone else must not reach files there.
    """
    file = folder / path
    try:
        inside = file.resolve().is_relative_to(folder.resolve())
        require_regular(file)
    except (FileNotFoundError, NotADirectoryError):
        pass  # reported when it is read
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a pipe, a loop of links
        raise DepthcueError(f"{file} cannot be read: {error}",
                            "Keep pictures beside the document that names them.") from None
    if not inside:
        raise DepthcueError(f"the results in {folder} name a picture outside of it: {path}",
                            "Keep pictures beside the results.json that names them.")
    return file


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise Malformed(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    for key, value in pairs:
        _check_text(key)
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                _check_text(text)
    return content


def _check_text(text: str) -> None:
    if _UNFIT.search(text):
        raise Malformed("a text in it holds NUL or half of a character")


def _no_number(word: str) -> float:
    raise Malformed(f"it holds {word}, which is no number")


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed(f"it holds {digits[:20]}, which is beyond all numbers here")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -2**63 <= (value := int(digits)) < 2**63:
        raise Malformed(f"it holds a whole number of {len(digits)} digits")
    return value


def _check_depth(content: Any) -> None:
    level, deep = [content], 0
    while level:
        if deep > DEPTH:
            raise Malformed(f"it is nested deeper than {DEPTH}")
        level = [inner for each in level
                 for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
                 if isinstance(inner, dict | list)]
        deep += 1


# --- models


class Loose(BaseModel):
    """A document of which some fields are known; others pass."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=())


def _inside(path: str) -> str:
    parts = {*PurePosixPath(path).parts, *PureWindowsPath(path).parts}
    if ".." in parts or PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor:
        raise ValueError("it leads out of the folder")
    return path


def _setting(value: Any) -> Any:
    """A number or word that an architecture is built from, or a list of them, within limits that memory allows.

    Channels and layers are whole numbers; real numbers have no influence on the size.
    """
    if isinstance(value, list) and len(value) <= _MOST_SETTINGS:
        for each in value:
            _setting(each)
    elif isinstance(value, list | dict) or (isinstance(value, str) and len(value) > _MOST_SETTINGS):
        raise ValueError("it is no setting of an architecture")
    elif isinstance(value, int | float) and abs(value) > (_WIDEST if isinstance(value, int) else _LARGEST):
        raise ValueError("it is larger than in any architecture")
    return value


Inside = Annotated[Path_, AfterValidator(_inside)]
Setting = Annotated[Any, AfterValidator(_setting)]


class Size(Loose):
    """The height and width of pictures, within memory."""

    height: Side
    width: Side

    @model_validator(mode="after")
    def _fits_memory(self) -> "Size":
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"{self.width}x{self.height} pixels are more than {MAX_PIXELS:,}")
        return self


class Described(Size):
    """Fields that descriptions of depth nets and mask nets share; see `nets.base`."""

    name: Name
    multiple: Annotated[int, Field(ge=1, le=512)]
    mean: Annotated[list[Colour], Field(min_length=3, max_length=3)] = Field(default=[0.0] * 3)
    std: Annotated[list[Deviation], Field(min_length=3, max_length=3)] = Field(default=[1.0] * 3)
    licence: Words = ""
    source: Words = ""


class DescribedDepth(Described):
    """The description of a depth net."""

    predicts: Literal["metric depth", "inverse depth", "disparity"] = "metric depth"
    relative: bool = False
    shift_unknown: bool = True
    max_depth_m: Annotated[float, Field(gt=0, le=1e6)] = 10.0


class DescribedMask(Described):
    """The description of a mask net."""

    target: Path_
    default_lambda: Weight
    lambda_range: Annotated[list[Weight], Field(min_length=2, max_length=2)] | None = None
    keep_range: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = None
    default_keep: Share = 0.2
    lambda_at: list[Annotated[list[Weight], Field(min_length=2, max_length=2)]] = []

    @model_validator(mode="after")
    def _rises(self) -> "DescribedMask":
        if self.lambda_range is not None and not 0 < self.lambda_range[0] <= self.lambda_range[1]:
            raise ValueError("lambda_range does not rise from above 0")
        if self.keep_range is not None and not self.keep_range[0] < self.keep_range[1]:
            raise ValueError("keep_range does not rise")
        return self


class OfANet(Loose):
    """Fields that the cards of weights, graphs and engines share."""

    kind: Literal["depth", "mask"]
    description: dict[str, Any]

    @model_validator(mode="after")
    def _is_described(self) -> "OfANet":
        try:
            checked(self.description, DescribedDepth if self.kind == "depth" else DescribedMask)
        except Malformed as error:
            raise ValueError(f"its description is wrong: {error}") from None
        return self


class Card(OfANet):
    """The card of weights."""

    card_schema: Literal[1] = Field(alias="schema")
    architecture: Name
    config: dict[Name, Setting] = Field(default={})
    sha256: Sha256 | None = None


class InputEntry(Loose):
    """An input of a graph."""

    name: Name


class ShapeSpan(Loose):
    """The sizes that an engine takes along one dimension."""

    least: Annotated[int, Field(ge=1, le=2**20)]
    best: Annotated[int, Field(ge=1, le=2**20)]
    most: Annotated[int, Field(ge=1, le=2**20)]


class EngineShapes(Loose):
    """The batches and pictures that an engine takes."""

    batch: ShapeSpan
    height: ShapeSpan
    width: ShapeSpan


class EngineFields(Loose):
    """What an engine was built with and for."""

    library: Name
    version: Name
    gpu: Name | None
    compute_capability: Name | None
    targets: list[Name]
    graph_sha256: Sha256
    shapes: EngineShapes
    precision: PRECISIONS


class GraphCard(OfANet):
    """The card of an exported graph or engine."""

    graph_schema: Literal[1, 2]
    name: Name
    inputs: list[InputEntry]
    height_and_width_are_multiples_of: Annotated[int, Field(ge=1, le=512)]
    working_size: Size
    lambda_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    target: Path_ | None = None
    sha256: Sha256
    bytes: Count | None = None
    net_identity: Name = ""
    precision: PRECISIONS = "fp32"
    runs_in_onnxruntime_on_cpu: bool = True
    one_size: bool = False
    engine: EngineFields | None = None


class Beside(Loose):
    """Statements of the .json beside another's graph; each field is read by `nets.foreign.adapter.statement`."""


class Results(Loose):
    """Fields of every results document; a command's own fields are read by its section of the report."""

    command: Name
    arguments: list[Words] = Field(default=[])
    revision: Name = ""
    machine: dict[str, Any] = Field(default={})


class SummaryEntry(Loose):
    """Outcome of an input."""

    path: Path_
    name: Path_ | None
    kind: Name | None
    frames: Count
    outputs: list[Inside]
    output_bytes: list[Count | None] = Field(default=[])
    error: str | None
    source: dict[str, Name | int] | None
    resumed: bool


class SummaryDocument(Loose):
    """summary.json of a mask run."""

    summary_schema: Literal[1] = Field(alias="schema")
    command: Literal["mask"]
    options: dict[str, Any]
    inputs: list[SummaryEntry]


class SummaryPart(Loose):
    """The first line of a part of the summary of a run on many machines."""

    options: dict[str, Any]


class RunSettings(Loose):
    """config.json of a training run."""

    command: Name


class MetricsLine(Loose):
    """A line of metrics.jsonl."""

    step: Count
