"""Measurements and trainings in one call each, from nets and data as a user has them to results that plot themselves.

In place of a masker each call also takes what `depthcue.load` takes, in place of a depth net what `depthcue.load_depth`
takes.
Data is a spec (`folder:PATH`, `nyu:PATH`, `kitti:PATH`, `scenes:indoor`), the path of a folder, or data opened before.
Each call takes `limit` (that many pictures), `out` (a folder to work in; None for a temporary one), `progress`, and
settings by their names in the measurement's own settings class.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from depthcue.data import KnownMotion, RgbdData, open_data, open_motion
from depthcue.errors import DepthcueError
from depthcue.evaluation import compare_edges as edges
from depthcue.evaluation import compare_nets as nets
from depthcue.evaluation import evaluate as table
from depthcue.evaluation import findings as found
from depthcue.evaluation import steadiness as steady
from depthcue.masker import DepthModel, Masker, Network, depth_net_of
from depthcue.nets import DepthNet, MaskNet, restore_mode
from depthcue.probes import running
from depthcue.progress import Progress
from depthcue.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from depthcue.report.section import Section

Data = str | os.PathLike[str] | RgbdData
MaskerLike = Masker | str | os.PathLike[str] | MaskNet
SettingsType = TypeVar("SettingsType")
ASIDE = 0.1
"""Share of the pictures that a training keeps aside, to know when to stop."""
_RECIPE = ("epochs", "learning_rate", "schedule", "average", "sharpen")
"""Options of a training whose default is the net's own."""


class Measurement:
    """Result of a measurement: numbers, sentences, figures, and files.

    Attributes:
        result: the typed document of the command; `measurement["curves"]` is a part of it by its name in results.json.

    Example:
        >>> curve = depthcue.compare_edges("compact-indoor", "scenes:indoor", limit=2, keep=(0.1, 0.4))
        >>> [entry["sparseness"] for entry in curve["curves"]["mask"]]
        [0.1, 0.4]
        >>> curve.plots
        ('comparison', 'choices')
        >>> curve.plot().savefig("curve.png")
        >>> curve.save("measured").name
        'results.json'
    """

    def __init__(self, result: Result) -> None:
        self.result = result

    @property
    def folder(self) -> Path:
        """Folder of the pictures that the document names; a temporary folder ends with the result."""
        return self.result.folder or Path()

    def __repr__(self) -> str:
        return f"<depthcue.Measurement of {self.result.command}: {self.sentences[0] if self.sentences else ''}>"

    def __getitem__(self, name: str) -> Any:
        return self.result[name]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The results in words; each sentence follows from the numbers."""
        return self._section().sentences

    @property
    def plots(self) -> tuple[str, ...]:
        """Names of the figures that can be drawn."""
        return tuple(plot.name for plot in self._section().plots)

    def plot(self, name: str | None = None) -> "Figure":
        """A matplotlib figure; no window is opened.

        Args:
            name: one of `plots`; None for the first.

        Raises:
            DepthcueError: there is no such figure.
        """
        return self.result.plot(name)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write results.json, its pictures and every figure (png and svg) into a folder; returns results.json.

        `depthcue report OUT --out page.html` makes a page of it.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        from depthcue.report.section import draw_plots

        file = self.result.save(out)
        draw_plots(self._section(), file.parent)
        return file

    def _repr_png_(self) -> bytes | None:
        from depthcue.answers import png_of

        return png_of(self.plot()) if self.plots else None

    def _section(self) -> "Section":
        from depthcue.report.page import section_of

        return section_of(self.result, self.folder)


def compare_edges(masker: MaskerLike, data: Data, against: Sequence[str] = ("sobel", "random"), *,
                  keep: Sequence[float] = edges.SHARES, limit: int | None = None,
                  out: str | os.PathLike[str] | None = None, progress: Progress | None = None,
                  **settings: Any) -> Measurement:
    """Compare the mask with edges, chance and others: how well does the depth net see with equally many pixels of each?

    Args:
        masker, data, limit, out, progress: see above.
        against: scorers: sobel, random, canny, contrast, gradient, …, or all.
        keep: shares of the pixels.
        settings: of `CompareEdgesSettings`: `lam`, `batch_size`, `seed`, `soft_maps`, `examples`, …

    Raises:
        DepthcueError: nets or data that cannot be opened, an unknown scorer or setting, a share out of range.

    Example:
        >>> curve = depthcue.compare_edges("compact-indoor", "scenes:indoor", ["sobel"], limit=2, keep=(0.2,))
        >>> sorted(curve["curves"])
        ['mask', 'sobel']
    """
    masker = _masker(masker)
    how = _settings(edges.CompareEdgesSettings, settings, against=tuple(against), shares=tuple(keep))
    return _measured(out, (masker.mask_net, masker.depth_net), lambda folder: edges.compare_edges(
        masker.mask_net, masker.depth_net, _data(data, limit), folder, how, masker.device, progress))


def evaluate(masker: MaskerLike, data: Data, *, limit: int | None = None, out: str | os.PathLike[str] | None = None,
             progress: Progress | None = None, closely: bool = True, **settings: Any) -> Measurement:
    """Measure what the depth net loses behind masks of each share or λ, and what that number depends on.

    Args:
        masker, data, limit, out, progress: see above.
        closely: whether to measure more than the table: thresholds, fills, order of pixels, kind of selection.
        settings: of `evaluation.evaluate.EvaluateSettings`: `keeps`, `lambdas`, `fill`, `batch_size`, `seed`, …

    Raises:
        DepthcueError: nets or data that cannot be opened, an unknown setting, a share or λ out of range.

    Example:
        >>> table = depthcue.evaluate("compact-indoor", "scenes:indoor", limit=2, keeps=(0.2,), closely=False)
        >>> table["images"]
        2
    """
    masker = _masker(masker)
    how = _settings(table.EvaluateSettings, settings)
    return _measured(out, (masker.mask_net, masker.depth_net), lambda folder: table.evaluate(
        [masker.mask_net], masker.depth_net, _data(data, limit), folder,
        how if closely else how.table_only(), masker.device, progress))


def findings(masker: MaskerLike, data: Data, *, limit: int | None = None, out: str | os.PathLike[str] | None = None,
             progress: Progress | None = None, **settings: Any) -> Measurement:
    """Measure the paper's findings: which edges the mask keeps, whole objects or their edges, and the far region.

    Args:
        masker, data, limit, out, progress: see above.
        settings: of `evaluation.findings.FindingsSettings`: `share`, `lam`, `batch_size`, `seed`, …

    Raises:
        DepthcueError: nets or data that cannot be opened, an unknown setting.

    Example:
        >>> measured = depthcue.findings("compact-indoor", "scenes:indoor", limit=2)
        >>> measured["images"]
        2
    """
    masker = _masker(masker)
    how = _settings(found.FindingsSettings, settings)
    return _measured(out, (masker.mask_net, masker.depth_net), lambda folder: found.measure_findings(
        masker.mask_net, masker.depth_net, [_data(data, limit)], folder, how, masker.device, progress))


def compare_nets(maskers: Sequence[MaskerLike], data: Data, *, limit: int | None = None,
                 out: str | os.PathLike[str] | None = None, progress: Progress | None = None,
                 **settings: Any) -> Measurement:
    """Compare what several networks look at on the same pictures.

    Args:
        maskers: at least two.
        data, limit, out, progress: see above.
        settings: of `evaluation.compare_nets.CompareNetsSettings`: `share`, `lam`, `batch_size`, `seed`, `examples`.

    Raises:
        DepthcueError: nets or data that cannot be opened, fewer than two maskers, an unknown setting.

    Example:
        >>> both = depthcue.compare_nets(["compact-indoor", "compact-road"], "scenes:indoor", limit=2)
        >>> both["images"]
        2
    """
    opened = [_masker(each) for each in maskers]
    how = _settings(nets.CompareNetsSettings, settings)
    networks = [(each.mask_net, each.depth_net) for each in opened]
    device = opened[0].device if opened else "cpu"
    return _measured(out, [net for pair in networks for net in pair], lambda folder: nets.compare_nets(
        networks, _data(data, limit), folder, how, device, progress))


def steadiness(masker: MaskerLike, data: str | KnownMotion, *, against: Sequence[str] = ("sobel", "random"),
               keep: float = 0.2, limit: int | None = None, out: str | os.PathLike[str] | None = None,
               progress: Progress | None = None, **settings: Any) -> Measurement:
    """Measure how many kept pixels stay kept from frame to frame, with the mask as it is and followed along motion.

    Args:
        masker, limit, out, progress: see above; `limit` takes frames from the beginning.
        data: `sequence:PATH`, a walk with depth and poses; or rendered flights, `scenes:indoor`, `scenes:road`.
        against: scorers to set beside the mask.
        keep: share of the pixels.
        settings: of `evaluation.steadiness.SteadinessSettings`: `strength`, `batch_size`, `seed`.

    Raises:
        DepthcueError: nets or data that cannot be opened, data without poses, an unknown scorer or setting, a share out
            of range, OpenCV is not installed.

    Example:
        >>> walk = depthcue.steadiness("compact-indoor", "scenes:indoor", limit=4)
        >>> walk["pairs"]
        3
    """
    masker = _masker(masker)
    how = _settings(steady.SteadinessSettings, settings, against=tuple(against), keep=keep)
    return _measured(out, (masker.mask_net, masker.depth_net), lambda folder: steady.steadiness(
        masker.mask_net, masker.depth_net, open_motion(data, limit) if isinstance(data, str) else data, folder, how,
        masker.device, progress))


def probe(network: Network | Masker, experiments: Sequence[str] = (), *, limit: int | None = None,
          out: str | os.PathLike[str] | None = None, progress: Progress | None = None,
          **settings: Any) -> Measurement:
    """Find which cues a depth net believes: one cue of a picture is turned, all else stays, and its depth is read.

    Args:
        network: a depth net; or a masker, which adds the share of its mask on each cue.
        experiments: names, as `depthcue probe --list` has them; none for all.
        limit: cases of each experiment.
        out, progress: see above.
        settings: of `probes.running.ProbeSettings`: `stage`, `scenes`, `frames`, `objects`, `seed`, `batch_size`, …

    Raises:
        DepthcueError: a network that cannot be opened, an unknown experiment or setting.

    Example:
        >>> profile = depthcue.probe("compact-road", ["pitch"], limit=2)
        >>> [experiment["name"] for experiment in profile["experiments"]]
        ['pitch']
    """
    how = _settings(running.ProbeSettings, settings, limit=limit)
    mask_net = network.mask_net if isinstance(network, Masker) else None
    net = network.depth_net if isinstance(network, Masker) else depth_net_of(network)
    device = net.get_buffer("_mean").device
    names = [experiments] if isinstance(experiments, str) else experiments
    return _measured(out, [net] if mask_net is None else [net, mask_net], lambda folder: running.probe(
        names, net, folder, how, mask_net, device, progress))


def train_mask(network: Network, data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
               steps: int | None = None, *, minutes: float | None = None,
               out: str | os.PathLike[str] | None = None, resume: bool = False, device: str = "auto",
               net: str = "lite0", progress: Progress | None = None, **options: Any) -> Masker:
    """Train a mask net for a depth net of yours, and load it. Pictures need no depth.

    Args:
        network: what `depthcue.load_depth` takes or gives; it has to pass gradients on.
        data: specs of the pictures, or paths of folders; of several every batch draws in equal parts.
        steps, minutes: optimiser steps, or the time that all of it may take; without either, ten minutes.
        out: the run folder; None for a new one under runs/. It holds mask.safetensors, which `depthcue.load` takes
            again with `target=network`, and the pictures of the check.
        resume: whether to go on with the run in `out`.
        net: lite0, which starts from the general mask net shipped, lite1, lite2, compact, or drn22 (the paper's).
        options: of `training.mask.MaskTraining`, with the names of `depthcue train`: `batch_size`, `learning_rate`,
            `keep_range`, `lam`, `loss`, `limit`, `seed`, `aside`, `init` ("none": from nothing), …

    Returns:
        The mask net with its depth net. `masker.check` compares the error through 20% of the pixels with edges and
        chance, on the pictures that were kept aside; None where there were too few of them.

    Raises:
        DepthcueError: a network that passes no gradients, wrong data or options, a run that is there already.

    Example:
        >>> masker = depthcue.train_mask("compact-indoor", "scenes:indoor", steps=2, batch_size=2, out="run",
        ...                              device="cpu")
        >>> round(masker("room.png", keep=0.3).keep, 2)
        0.3
    """
    from depthcue.training.mask import MaskTraining, mask_recipe, run_mask_training, usual_init, usual_minutes
    from depthcue.training.run import new_run_folder

    known = {field.name for field in dataclasses.fields(MaskTraining)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise DepthcueError(f"train_mask takes no {unknown[0]}", f"Options: {', '.join(sorted(known))}.")
    recipe = {name: options.pop(name, None) for name in _RECIPE}
    folders = [data] if isinstance(data, str | os.PathLike) else data
    by_spec = isinstance(network, str)
    target = None if by_spec else depth_net_of(network)
    if target is not None and options.get("surrogate"):
        raise DepthcueError("a surrogate is trained for a network that is named by a spec",
                            "Give python:MODULE:FUNCTION, where the function makes it.")
    recipe["minutes"] = usual_minutes(net, minutes, steps, recipe["epochs"])
    given: dict[str, Any] = {"aside": ASIDE} | {key: tuple(value) if isinstance(value, list) else value
                                                for key, value in options.items()}
    given["init"] = usual_init(net, given.get("init"), given.get("backbone", "none"), given.get("lam", ()),
                               given.get("equation", "4"))
    what = MaskTraining(
        target=str(network) if target is None else target.description.name,
        data=tuple(_data_spec(each) for each in folders), net=net,
        **mask_recipe(net, steps=steps, **recipe), **given)
    run = Path(out) if out is not None else new_run_folder("mask", net)
    trained = run_mask_training(what, run, resume=resume, device=device, progress=progress, target_net=target)
    masker = Masker(trained.weights, device=device, target=network if target is None else DepthModel(target))
    if trained.aside is not None:
        masker.check = edges.check_trained(trained, run / "check", what.seed, progress)
    return masker


def _measured(out: str | os.PathLike[str] | None, borrowed: Sequence[DepthNet | MaskNet],
              measure: Callable[[Path | None], Result]) -> Measurement:
    """Measure into a folder, with the nets in eval mode meanwhile."""
    with ExitStack() as modes:
        for net in borrowed:
            modes.enter_context(restore_mode(net))
        return Measurement(measure(None if out is None else Path(out)))


def _settings(kind: type[SettingsType], given: dict[str, Any], **own: Any) -> SettingsType:
    """Settings of a measurement by their names.

    Raises:
        DepthcueError: one that it does not have.
    """
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in given:
        if name not in names or name in own:
            raise DepthcueError(f"there is no setting called {name!r}",
                                f"Settings: {', '.join(each for each in names if each not in own)}.")
    return kind(**own, **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def _masker(masker: MaskerLike) -> Masker:
    return masker if isinstance(masker, Masker) else Masker(masker)


def _data(data: Data, limit: int | None) -> RgbdData:
    if isinstance(data, str | os.PathLike):
        return open_data(_data_spec(data), split="test", limit=limit)
    if limit is not None:
        raise DepthcueError("limit is for data named by a spec", "Open the data with that limit.")
    return data


def _data_spec(data: str | os.PathLike[str]) -> str:
    """A spec; of a path of a folder `folder:PATH`."""
    text = os.fspath(data)
    return f"folder:{text}" if not isinstance(data, str) or (":" not in text and Path(text).is_dir()) else text
