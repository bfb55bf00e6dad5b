"""Typed results: one versioned document for each command, written by its measurement and read by report.

A measurement returns a `Result`; `to_dict` is its document as results.json holds it, field for field and in the same
order; `save` writes it, and `read_result` reads it back. Readers use typed attributes. Fields only grow: what a model
does not name passes as it is, and what earlier versions did not write has a default.
"""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import BeforeValidator, Field, PrivateAttr

from depthcue import documents, files
from depthcue.documents import Count, Inside, Loose, Name, Path_, Side, Words
from depthcue.errors import DepthcueError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = files.SCHEMA
FILE = "results.json"
AnyResult = TypeVar("AnyResult", bound="Result")
_AGAIN = "Give results.json as the command wrote it."


class Result(Loose):
    """The document of one command; the base of all."""

    COMMAND: ClassVar[str] = ""
    schema_version: Literal[1] = Field(alias="schema")
    command: Name
    arguments: list[Words] = Field(default=[])
    revision: Name = ""
    machine: dict[str, Any] = Field(default={})

    _content: dict[str, Any] = PrivateAttr(default_factory=dict)
    _pictures: "Path | ResultFolder | None" = PrivateAttr(default=None)

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """The result of a measurement that has just been made: `fields` after those that every document has."""
        # through its text, in which names that are not UTF-8 are as they are shown
        return cls.from_dict(json.loads(files.json_text(files.document(cls.COMMAND, **fields))))

    @classmethod
    def from_dict(cls, content: dict[str, Any], folder: Path | None = None) -> Self:
        """A result from its document.

        Args:
            folder: where the pictures lie that the document names.

        Raises:
            documents.Malformed: a field is missing, of another type or out of range.
        """
        result = documents.validated(content, cls)
        result._content, result._pictures = content, folder
        return result

    def to_dict(self) -> dict[str, Any]:
        """The document as results.json and `--json` have it."""
        return self._content

    def __getitem__(self, name: str) -> Any:
        """A part of the document by its name in results.json: `result["curves"]["mask"]`."""
        return self._content[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A part of the document, or the default where the document lacks it."""
        return self._content.get(name, default)

    @property
    def folder(self) -> Path | None:
        """Folder of the pictures that the document names; None where none were left."""
        return self._pictures.folder if isinstance(self._pictures, ResultFolder) else self._pictures

    def plot(self, name: str | None = None) -> "Figure":
        """A figure of the result: the one of that name, or the first.

        Raises:
            DepthcueError: there is none of that name, or none at all.
        """
        from depthcue.report.page import section_of

        plots = {plot.name: plot for plot in section_of(self, self.folder or Path()).plots}
        chosen = next(iter(plots), "") if name is None else name
        if chosen not in plots:
            raise DepthcueError(f"there is no figure {chosen!r} of {self.command}" if chosen else
                                f"there are no figures of {self.command}", f"There are: {', '.join(plots) or 'none'}.")
        return plots[chosen].figure()

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the document to FOLDER/results.json, and the pictures beside it where they lie elsewhere.

        Returns:
            The file.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        out, source = files.make_folder(folder), self.folder
        if source is not None and source.resolve() != out.resolve():
            try:
                shutil.copytree(source, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FILE))
            except OSError as error:
                raise DepthcueError(f"{out} cannot be written: {error}", "Choose another folder.") from error
        files.write_json(out / FILE, self._content)
        return out / FILE


class ResultFolder:
    """The folder in which a measurement leaves its pictures: the one it was given, or a temporary one.

    A temporary folder lives as long as the result whose pictures it holds.

    Raises:
        DepthcueError: the folder cannot be made or written; when it is opened, and not when the work is done.
    """

    def __init__(self, out: str | os.PathLike[str] | None) -> None:
        self._temporary = TemporaryDirectory(prefix="depthcue-") if out is None else None
        self.folder = Path(self._temporary.name) if self._temporary is not None else files.begin(cast(Any, out))

    def finish(self, result: AnyResult) -> AnyResult:
        """The result with its pictures; saved where a folder was given."""
        result._pictures = self
        if self._temporary is None:
            result.save(self.folder)
        return result


# --- what documents are made of


class Fields(Loose):
    """A part of a document: fields by attribute, or by their name in results.json where the name is computed.

    Errors and other numbers over images stand beside their intervals: `rmse` and `rmse_ci95`.
    """

    def __getitem__(self, name: str) -> Any:
        field = "lam" if name == "lambda" else name
        try:
            return getattr(self, field)
        except AttributeError:
            raise KeyError(name) from None

    def __contains__(self, name: str) -> bool:
        return ("lam" if name == "lambda" else name) in self.model_fields_set

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or the default where the document lacks it."""
        return self[name] if name in self else default


Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
"""Low and high end of a 95% bootstrap interval over images."""


class NetName(Fields):
    """A net that was measured."""

    name: Name | None = None
    sha256: Name | None = None
    architecture: Name | None = None
    relative: bool = False


class UnreadablePicture(Fields):
    """A picture that could not be read, and why."""

    picture: Words
    error: Words


class Data(Fields):
    """Data of a measurement."""

    spec: Words
    without_valid_depth: list[Words] = Field(default=[])
    unreadable: list[UnreadablePicture] = Field(default=[])


class AtSetting(Fields):
    """Setting of a mask net: λ, or a share to keep and the λ that it answers to."""

    keep: float | None = None
    lam: float | None = Field(default=None, alias="lambda")


class Row(Fields):
    """One picture with the masks of several nets or methods; paths are relative to the folder of the results."""

    name: Words
    picture: Inside
    edges: Inside
    masks: list[Inside]
    whole: list[Inside] = Field(default=[])
    seen: list[Inside]
    truth: Inside | None = None


class Cost(Fields):
    """Milliseconds that a scorer takes for one picture, over batches."""

    median: float
    quartiles: Interval


class OverImages(Result):
    """Fields that the documents of measurements over images share."""

    images: Count
    ground_truth: bool
    data: Data
    seed: int = 0
    target_net: NetName | None = None
    per_image: dict[str, Any] | None = None


class CurvePoint(AtSetting):
    """The errors of one scorer at one share of the pixels, and how far they are above the mask's."""

    sparseness: float


class EdgeExample(Fields):
    """One picture through the pixels of every scorer; `tiles` are paths of pictures."""

    name: Words
    sparseness: float
    tiles: dict[Name, Inside]


class SoftMaps(AtSetting):
    """Errors through soft maps at one setting, by method."""

    mask: Fields
    binary: Fields


class CompareEdges(OverImages):
    """The mask against other scorers, equally many pixels kept."""

    COMMAND = "compare-edges"
    weights: NetName | None = None
    target: Fields
    curves: dict[Name, list[CurvePoint]]
    soft: list[SoftMaps]
    cost_ms: dict[Name, Cost] = Field(default={})
    left_out: dict[Name, Words] = Field(default={})
    examples: list[EdgeExample]
    gallery: list[dict[str, Any]] = Field(default=[])


_NOTHING = BeforeValidator(lambda found: {} if found is None else found)
"""Default of parts that were not measured: documents have null, readers get an empty part."""


class TableRow(AtSetting):
    """One row of Table 1: a mask net at a setting."""

    weights: Count
    mean: float
    sparseness: float
    soft: dict[Name, Fields]
    binary: dict[Name, Fields]
    hidden: dict[Name, Fields]
    soft_minus_original: Fields
    binary_minus_soft: Fields


class InQuestion(AtSetting):
    """The mask net and the setting that are measured more closely."""

    weights: Count = 0


class Threshold(Fields):
    """M cut at one threshold."""

    threshold: float
    sparseness: float


class SanityStage(Fields):
    """The depth net with its last layers randomised."""

    layers: Count
    of: Count
    deepest: Name | None = None
    lost: dict[str, Any]
    advantage: dict[Name, Fields]
    direct: Fields | None
    retrained: Fields | None


class SanityCheck(Fields):
    """Worth of the mask's pixels to randomised nets."""

    images: Count
    direct_images: Count
    share: float
    steps: Count
    stages: list[SanityStage]
    chance: dict[Name, Fields | None]


class Evaluation(OverImages):
    """Table 1, and what its numbers depend on."""

    COMMAND = "evaluate"
    weights: list[NetName] = Field(default=[])
    fill: Name
    threshold: float
    original: Fields
    table: list[TableRow]
    in_question: InQuestion
    thresholds: list[Threshold]
    fills: dict[Name, dict[Name, Fields]]
    orders: Annotated[dict[Name, Any], _NOTHING]
    under_fills: Annotated[dict[Name, dict[Name, list[CurvePoint]]], _NOTHING] = Field(default={})
    character: Annotated[dict[Name, Any], _NOTHING] = Field(default={})
    sanity: SanityCheck | None


class NetworkEntry(AtSetting):
    """A depth net with its mask net."""

    label: Name
    weights: NetName | None = None
    target_net: NetName | None = None
    mean: float
    size: list[Side]
    whole: Fields


class Agreement(Fields):
    """Agreement of every pair, in the order of `columns`."""

    mean: list[list[float]]
    ci95: list[list[Interval]]


class CompareNets(OverImages):
    """Agreement of several networks on the pixels that they need."""

    COMMAND = "compare-nets"
    share: float
    columns: list[Name]
    nets: list[NetworkEntry]
    agreement: dict[Name, Agreement]
    differences: dict[Name, Fields]
    transfer: dict[Name, dict[Name, Fields]]
    transfer_ratio: dict[Name, dict[Name, Fields]]
    examples: list[Row]


class LossEntry(AtSetting):
    """The nets trained with one loss, and their masks."""

    loss: Name
    weights: NetName | None = None
    target_net: NetName | None = None
    whole: Fields
    by_mask: Fields
    masks: Fields


class Change(Fields):
    """Change by one loss against another."""

    loss: Name
    minus: Name


class CompareLosses(OverImages):
    """Changes of the masks by each loss of a depth net."""

    COMMAND = "compare-losses"
    share: float
    small_objects_known: bool
    regions: dict[Name, float]
    losses: list[LossEntry]
    changes: list[Change]
    examples: list[Row]


class FoundOn(AtSetting):
    """The findings on one data set, each as its measurement wrote it."""

    spec: Words
    images: Count
    mean: float
    findings: dict[Name, dict[str, Any]]


class MaskFindings(Result):
    """Preferences of the mask among edges, objects and distances."""

    COMMAND = "findings"
    images: Count
    seed: int = 0
    share: float
    weights: NetName | None = None
    target_net: NetName | None = None
    data: list[FoundOn]


class SteadyScorer(Fields):
    """Steadiness of the pixels that one scorer keeps, and the depth net's error through them."""

    overlap: float
    overlap_ci95: Interval
    overlap_unaligned: float
    rmse_to_target: float
    rmse_to_target_ci95: Interval


MASK, STEADY = "mask", "mask, steady"
"""The mask among the ways of `Steadiness`, frame by frame and steadied."""


class Steadiness(OverImages):
    """Steadiness of kept pixels from frame to frame of a camera whose motion is known."""

    COMMAND = "steadiness"
    weights: NetName | None = None
    pairs: Count
    runs: Count
    share: float
    strength: float
    seen_in_both: float
    depth_change: float
    depth_change_ci95: Interval
    ways: dict[Name, SteadyScorer]
    per_pair: dict[str, Any] = Field(default={})


class Direct(Fields):
    """Smoothing in the search for masks."""

    variation: float
    blur_px: float


class Optimization(OverImages):
    """Masks that were searched for each picture."""

    COMMAND = "optimize"
    weights: NetName | None = None
    opposite: NetName | None = None
    lam: float = Field(alias="lambda")
    direct: Direct
    target: Fields
    before: Fields
    ways: dict[Name, Fields]
    cost_ms: dict[Name, Cost]
    masks: list[dict[Name, Path_]] = Field(default=[])
    examples: list[Row]


class CueWeight(Fields):
    """The share of a change of depth that is followed when one cue alone changes."""

    cue: Name
    condition: Name = ""
    stage: Name = ""
    experiment: Name = ""
    value: float | None
    ci95: Interval | None
    n: Count


class ExperimentEntry(Fields):
    """One cue experiment on one stage."""

    name: Name
    question: Words
    stage: Name
    cases: Count
    x: Words = ""
    y: Words = ""
    dropped: list[dict[str, Any]]
    unreadable: dict[Words, Count]
    curves: list[dict[str, Any]]
    values: list[dict[str, Any]]
    bars: list[dict[str, Any]]
    profile: list[CueWeight]
    attention: list[dict[str, Any]]
    examples: list[dict[str, Any]]


class Profiled(Fields):
    """The profile of another net."""

    target_net: NetName
    stages: dict[Name, dict[str, Any]]
    profile: list[CueWeight]


class Probe(Result):
    """Cues that a depth net follows."""

    COMMAND = "probe"
    target_net: NetName
    weights: NetName | None = None
    seed: int = 0
    stages: dict[Name, dict[str, Any]]
    experiments: list[ExperimentEntry]
    profile: list[CueWeight]
    beside: list[Profiled] = Field(default=[])


class NetSpeed(Fields):
    """Every candidate for running one net that works on a machine."""

    kind: Literal["mask", "depth"]
    name: Name
    height: Side
    width: Side
    file: Name | None = None
    reference: Name
    flops_per_frame: dict[Name, float | None]
    values_per_frame: dict[Name, float | None] = Field(default={})
    ranking: list[Name]
    contenders: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    left_out: list[dict[str, Any]]


class EndToEnd(Fields):
    """Whole jobs, from files to masks on disk."""

    jobs: list[dict[str, Any]]
    failed: list[dict[str, Any]]


class Bench(Result):
    """Speed of each candidate for running the nets on a machine."""

    COMMAND = "bench"
    weights: NetName | None = None
    target_net: NetName | None = None
    without_target: Words | None = None
    trained: bool
    device: Name
    threads: Count
    settings: dict[str, Any]
    limits: dict[str, Any]
    measured: list[NetSpeed]
    end_to_end: EndToEnd


class Demo(Result):
    """Settings and pictures of the demo's own mask net."""

    COMMAND = "demo"
    gallery: list[dict[str, Any]]
    video: dict[Name, Any]


RESULTS: dict[str, type[Result]] = {kind.COMMAND: kind for kind in (
    CompareEdges, Evaluation, CompareNets, CompareLosses, MaskFindings, Optimization, Steadiness, Probe, Bench, Demo)}
"""The class of each command's document."""


def result_of(content: dict[str, Any], folder: Path | None = None) -> Result:
    """The result that a document holds, in the class of its command; the base class for a command without one.

    Raises:
        documents.Malformed: a field is missing, of another type or out of range.
    """
    return RESULTS.get(str(content.get("command")), Result).from_dict(content, folder)


def read_result(path: str | os.PathLike[str], command: str | None = None) -> Result:
    """The result in a results.json, or in the folder that holds one.

    Args:
        command: whose result is expected, where it matters.

    Raises:
        DepthcueError: no such file, no results document, one of another schema or of another command, or one that lacks
            a field.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        content = documents.read_document(file, "a results document", documents.Results,
                                          "Give a results.json that a depthcue command wrote.",
                                          documents.RESULTS_BYTES)
    except FileNotFoundError:
        raise DepthcueError(f"there is no {file}", "Give a results.json, or the folder it is in.") from None
    if content.get("schema") != SCHEMA:
        raise DepthcueError(f"{file} has schema {content.get('schema')}, this depthcue reads {SCHEMA}",
                            "Measure again, or use the version that wrote it.")
    found = content["command"]
    if command is not None and found != command:
        raise DepthcueError(f"{file} comes from depthcue {found}, not {command}",
                            f"Give what depthcue {command} wrote.")
    try:
        return result_of(content, file.parent)
    except documents.Malformed as error:
        raise DepthcueError(f"{file} is not a whole document of depthcue {found}: {error}", _AGAIN) from None
