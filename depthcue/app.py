"""A page on this machine: pictures, videos and webcam frames before a mask net, two nets side by side, a cue profile.

Gradio serves it on 127.0.0.1 alone. Its analytics are off, its fonts are the system's, and what is uploaded or made
lies in a folder that is removed when the page is closed.
"""

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depthcue import scenes
from depthcue.errors import DepthcueError, import_extra
from depthcue.imaging import Map, Rgb, colourise_depth, colourise_mask, resize_rgb
from depthcue.masker import Masker
from depthcue.nets.catalog import SHIPPED
from depthcue.probes.running import EXPERIMENTS, ProbeSettings, probe_specs
from depthcue.report.figures import LIGHT
from depthcue.report.page import section_of
from depthcue.results import Result, read_result
from depthcue.runtime.mask_job import mask_sources
from depthcue.runtime.masking import MaskOptions

HOST = "127.0.0.1"
TITLE = "depthcue: what a depth network looks at"
SHOWN_PX = 1024
"""Longer side of a picture while a slider is moved; files are made at its full size."""
SHARES = (0.02, 0.9)
START_SHARE = 0.2
SAMPLES = {"indoor": (360, 480), "road": (192, 640)}
"""Height and width of the rendered pictures that are offered."""
PROFILE_AT_FIRST = ("perspective", "relative-size", "occlusion", "texture-gradient", "shading")
"""Experiments of some seconds each."""
_SEED = 1_500_000_000
"""Scenes from here on are in no training or test set."""
_CSS = """
.tiles { padding-top: 2rem !important; } /* names stand above pictures, not on them */
footer { display: none !important; }
"""


@dataclass(frozen=True)
class Nets:
    """Nets that the page begins with."""

    weights: str = SHIPPED[0]
    target: str = ""
    """Spec of the depth net; empty for the one that the mask net was trained for."""
    device: str = "auto"


@dataclass(frozen=True)
class Sight:
    """One picture through one pair of nets: pictures to show, uint8 (H, W, 3), and sentences about them."""

    overlay: Rgb
    mask: Rgb
    shown: Rgb
    """The depth net's input: kept pixels, and the mean colour elsewhere."""
    depth: Rgb
    depth_from_kept: Rgb
    difference: Rgb
    scales: str
    """Ranges of the colours of depth and difference."""
    sentence: str
    kept: np.ndarray[Any, np.dtype[np.bool_]]
    """bool (H, W)."""


class Desk:
    """The nets of a page: opened at their first use, used by one visitor at a time."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._lock = threading.Lock()
        # the nets of both sides of a comparison and of a picture before it
        self._masker = functools.lru_cache(maxsize=4)(self._load)

    def _load(self, weights: str, target: str) -> Masker:
        return Masker(weights, device=self._device, target=target or None)

    @contextmanager
    def masker(self, weights: str, target: str) -> Iterator[Masker]:
        """The pair of nets of two specs, for one caller at a time.

        Raises:
            DepthcueError: a net cannot be loaded, or there is no name.
        """
        if not (weights or "").strip():
            raise DepthcueError("no mask net was chosen", f"Choose {' or '.join(SHIPPED)}, or type a file or spec.")
        with self._lock:
            yield self._masker(weights.strip(), (target or "").strip())

    def sight(self, picture: Rgb, share: float, weights: str, target: str = "") -> Sight:
        """Mask a picture uint8 (H, W, 3) and look at it whole and through the mask."""
        picture = fitted(picture)
        with self.masker(weights, target) as masker:
            result = masker(picture, keep=share)
            depth, from_kept = result.depth, result.depth_from_kept
            mean = np.asarray(masker.depth_net.description.mean) * 255.0
            note = stranger_note(masker, target)
        difference = np.abs(from_kept - depth)
        near, far = depth_ends(depth)
        median = float(np.median(depth))
        # a difference of next to nothing would show its rounding
        most = max(float(np.percentile(difference, 99)), 0.01 * median, 1e-6)
        unit = " m" if result.metric else " (relative units)"
        rmse = float(np.sqrt(np.mean(np.square(from_kept - depth, dtype=np.float64))))
        sentence = (f"{result.keep:.1%} of the pixels are kept. From them alone, the depth is {rmse:.2f}{unit} (RMSE) "
                    f"away from what the net sees in the whole picture, whose median is {median:.2f}{unit}: "
                    f"{rmse / max(median, 1e-6):.0%} of it.{note}")
        shown = np.where(result.kept[..., None], picture, mean.round().astype(np.uint8))
        return Sight(np.asarray(result.overlay()), colourise_mask(result.mask), shown,
                     colourise_depth(depth, near, far), colourise_depth(from_kept, near, far),
                     colourise_mask((difference / most).astype(np.float32)),
                     f"Mask: black is hidden, pale is kept. Depth: {near:.1f}{unit} is pale, {far:.1f}{unit} dark. "
                     f"Difference: 0 is black, {most:.2f}{unit} and more pale.", sentence, result.kept)


def fitted(picture: Rgb) -> Rgb:
    """A picture with its longer side at most SHOWN_PX."""
    height, width = picture.shape[:2]
    scale = min(SHOWN_PX / max(height, width), 1.0)
    return resize_rgb(picture, max(round(height * scale), 1), max(round(width * scale), 1))


def depth_ends(depth: Map) -> tuple[float, float]:
    """The near and far end of the colours of a depth map: what lies between 1% and 99% of its pixels."""
    near, far = (max(float(end), 1e-3) for end in np.percentile(depth, (1, 99)))
    return near, max(far, 1.5 * near)


def stranger_note(masker: Masker, target: str) -> str:
    """A warning where the mask net was trained for another depth net than the one that is looked through."""
    own = masker.mask_net.description.target
    if not target.strip() or masker.depth_net.description.name == own or target.strip() == own:
        return ""
    return (f" **{masker.name} was not trained for {masker.depth_net.description.name}**: the mask says what "
            f"{own or 'another net'} needs, and the depth what this net makes of those pixels.")


def overlap_sentence(first: Sight, second: Sight) -> str:
    """Sentence on the share of one net's kept pixels that the other keeps too, beside the share by chance."""
    both = float((first.kept & second.kept).mean())
    left, right = float(first.kept.mean()), float(second.kept.mean())
    if not left:
        return ""
    return (f"Of the pixels that the left mask keeps, the right one keeps {both / left:.0%} too; by chance it would be "
            f"{right:.0%}.")


def sample(kind: str, number: int = 0) -> Rgb:
    """A rendered picture of a kind, uint8 (H, W, 3)."""
    rgb = scenes.render(kind, [_SEED + number], *SAMPLES[kind]).rgb[0]
    return (rgb.permute(1, 2, 0) * 255).round().byte().numpy()


class _Bar:
    """Progress on the page, from what a job reports."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._what, self._total, self._done = bar, "", 0, 0

    def start(self, what: str, total: int | None = None) -> None:
        self._what, self._total, self._done = what, total or 0, 0
        self._show()

    def change(self, total: int) -> None:
        self._total = total
        self._show()

    def advance(self, steps: int = 1, **figures: float) -> None:
        self._done += steps
        self._show()

    def _show(self) -> None:
        if self._total:
            self._bar((min(self._done, self._total), self._total), desc=self._what)
        else:
            self._bar(None, desc=f"{self._what}: {self._done}" if self._done else self._what)


def import_gradio() -> Any:
    """Gradio, whose reports home are off (`depthcue.REPORTS_OFF`).

    Raises:
        DepthcueError: it is not installed.
    """
    return import_extra("gradio", "the page", "app")


def build(nets: Nets, folder: Path) -> Any:
    """The page as Gradio's Blocks; everything it makes goes into `folder`."""
    gradio = import_gradio()
    desk = Desk(nets.device)
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gradio.Markdown(f"# {TITLE}\nThe mask net keeps the pixels that a depth net needs; the depth net then has to "
                        "do with those. Everything is computed on this machine.")
        with gradio.Tab("Picture"):
            _picture_tab(gradio, desk, nets, folder)
        with gradio.Tab("Video"):
            _video_tab(gradio, nets, folder)
        with gradio.Tab("Two networks"):
            _pair_tab(gradio, desk, nets)
        with gradio.Tab("Cue profile"):
            _profile_tab(gradio, nets, folder)
    return page


def _with_messages(gradio: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that a DepthcueError is a message on the page; a bug still leaves a traceback."""
    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except DepthcueError as error:
            raise gradio.Error(f"{error.message}. {error.hint or ''}", duration=None,
                               print_exception=False) from error
    return wrapped


def _net_choices(gradio: Any, nets: Nets, mask_net: str | None = None, label: str = "") -> tuple[Any, Any]:
    weights = gradio.Dropdown(list(dict.fromkeys([*SHIPPED, nets.weights])), value=mask_net or nets.weights,
                              allow_custom_value=True, label=f"{label}Mask net",
                              info="A name, or type a .safetensors or .onnx file, or NAME:PATH.")
    own = ("the one that the mask net was trained for", "")
    target = gradio.Dropdown([own, *SHIPPED, *([nets.target] if nets.target else [])],
                             value="" if mask_net else nets.target, allow_custom_value=True, label=f"{label}Depth net",
                             info="Or type yours: hf:REPO, onnx:FILE, python:MODULE:FUNCTION, a file.")
    return weights, target


def _picture_input(gradio: Any, name: str) -> Any:
    return gradio.Image(label="Picture", sources=["upload", "webcam", "clipboard"], type="numpy", height=320,
                        elem_id=f"{name}-input", webcam_options=gradio.WebcamOptions(mirror=False))


def _share_slider(gradio: Any, name: str) -> Any:
    return gradio.Slider(*SHARES, value=START_SHARE, step=0.01, label="Share of the pixels kept", elem_id=name)


def _samples(gradio: Any, picture: Any) -> None:
    with gradio.Row():
        for kind, label in (("indoor", "A rendered room"), ("road", "A rendered road")):
            gradio.Button(label, size="sm", elem_id=f"{picture.elem_id}-{kind}").click(
                functools.partial(sample, kind), None, picture, show_progress="hidden")


def _tile(gradio: Any, label: str, name: str) -> Any:
    return gradio.Image(label=label, interactive=False, format="png", elem_id=name, elem_classes="tiles",
                        buttons=["download", "fullscreen"])


def _picture_tab(gradio: Any, desk: Desk, nets: Nets, folder: Path) -> None:
    with gradio.Row():
        with gradio.Column(scale=1, min_width=300):
            picture = _picture_input(gradio, "picture")
            _samples(gradio, picture)
            share = _share_slider(gradio, "share")
            sentence = gradio.Markdown("Drop a picture, paste one, take one with the webcam, or take a rendered one.",
                                       elem_id="sentence")
            weights, target = _net_choices(gradio, nets)
        with gradio.Column(scale=2, min_width=300):
            with gradio.Row():
                overlay = _tile(gradio, "What is kept", "overlay")
                shown = _tile(gradio, "What the depth net is shown", "shown")
            with gradio.Row():
                depth = _tile(gradio, "Depth from all pixels", "depth")
                from_kept = _tile(gradio, "Depth from kept pixels", "seen")
            with gradio.Row():
                mask = _tile(gradio, "Mask", "mask")
                difference = _tile(gradio, "Difference of the depths", "difference")
            scales = gradio.Markdown(elem_id="scales")
            make = gradio.Button("Make files: mask, kept pixels, overlay, panel, both depths", elem_id="make-files")
            files = gradio.Files(label="Downloads", interactive=False, elem_id="files", visible=False)

    def look(picture: Rgb | None, share: float, weights: str, target: str) -> tuple[Any, ...]:
        if picture is None:
            return (*[gradio.skip()] * 7, "No picture.")
        sight = desk.sight(picture, share, weights, target)
        return (sight.overlay, sight.mask, sight.shown, sight.depth, sight.depth_from_kept, sight.difference,
                sight.scales, sight.sentence)

    def make_files(picture: Rgb | None, share: float, weights: str, target: str) -> Any:
        if picture is None:
            raise DepthcueError("there is no picture to make files of", "Drop a picture first.")
        out = Path(tempfile.mkdtemp(prefix="picture-", dir=folder))
        with desk.masker(weights, target) as masker:
            result = masker(picture, keep=share)
            made = result.save(out, ("mask", "overlay", "panel", "binary"))
            np.save(out / "depth.npy", result.depth)
            np.save(out / "depth_from_kept.npy", result.depth_from_kept)
        paths = (*made, out / "depth.npy", out / "depth_from_kept.npy")
        return gradio.update(value=[str(path) for path in paths], visible=True)

    given = [picture, share, weights, target]
    gradio.on([each.change for each in given], _with_messages(gradio, look), given,
              [overlay, mask, shown, depth, from_kept, difference, scales, sentence], trigger_mode="always_last",
              show_progress="minimal", show_progress_on=[sentence])
    make.click(_with_messages(gradio, make_files), given, files)


def _video_tab(gradio: Any, nets: Nets, folder: Path) -> None:
    gradio.Markdown("Every frame of a video is masked; the mask, the overlay and a panel with both depths can be "
                    "downloaded. On a CPU this is some frames a second: begin with a short one.")
    with gradio.Row():
        with gradio.Column(scale=1, min_width=300):
            video = gradio.File(label="Video", file_types=["video"], elem_id="video-input")
            share = _share_slider(gradio, "video-share")
            weights, target = _net_choices(gradio, nets)
            start = gradio.Button("Mask the video", variant="primary", elem_id="video-start")
            sentence = gradio.Markdown(elem_id="video-sentence")
        with gradio.Column(scale=2, min_width=300):
            film = gradio.Video(label="Picture, mask, and depth from all and from kept pixels", interactive=False,
                                elem_id="film", loop=True)
            files = gradio.Files(label="Downloads", interactive=False, elem_id="video-files")

    def mask_video(path: str | None, share: float, weights: str, target: str,
                   progress: Any = gradio.Progress()) -> tuple[str, list[str], str]:  # noqa: B008
        if path is None:
            raise DepthcueError("there is no video to mask", "Drop a video first.")
        out = Path(tempfile.mkdtemp(prefix="video-", dir=folder))
        options = MaskOptions(weights=weights.strip(), keep=share, target=target.strip() or None, device=nets.device,
                              save=("mask", "overlay", "panel"), backend="torch")
        done = mask_sources([path], out, options, _Bar(progress))["inputs"][0]
        if done["error"]:
            raise DepthcueError(f"the video could not be masked: {done['error']}", "Another file may do.")
        made = [str(out / name) for name in done["outputs"]]
        panel = next(name for name in made if "panel" in Path(name).name)
        return panel, made, (f"{done['frames']} frames in {done['seconds']:.0f} s; {done['share_kept']:.1%} of the "
                             "pixels kept.")

    start.click(_with_messages(gradio, mask_video), [video, share, weights, target], [film, files, sentence])


def _pair_tab(gradio: Any, desk: Desk, nets: Nets) -> None:
    with gradio.Row():
        with gradio.Column(scale=1, min_width=300):
            picture = _picture_input(gradio, "pair")
        with gradio.Column(scale=1, min_width=300):
            _samples(gradio, picture)
            share = _share_slider(gradio, "pair-share")
            overlap = gradio.Markdown("One picture before two networks.", elem_id="overlap")
    sides = []
    with gradio.Row():
        for side, first in (("left", nets.weights), ("right", next(net for net in SHIPPED if net != nets.weights))):
            with gradio.Column(min_width=300):
                weights, target = _net_choices(gradio, nets, first, f"{side.capitalize()}: ")
                tiles = [_tile(gradio, label, f"{side}-{name}") for name, label in (
                    ("kept", "What is kept"), ("depth", "Depth from all pixels"), ("seen", "Depth from kept pixels"))]
                sides.append((weights, target, tiles, gradio.Markdown(elem_id=f"{side}-sentence")))

    def compare(picture: Rgb | None, share: float, *specs: str) -> tuple[Any, ...]:
        if picture is None:
            return (*[gradio.skip()] * 8, "No picture.")
        sights = [desk.sight(picture, share, weights, target)
                  for weights, target in zip(specs[::2], specs[1::2], strict=True)]
        answers: list[Any] = []
        for sight in sights:
            answers += [sight.overlay, sight.depth, sight.depth_from_kept, f"{sight.sentence} {sight.scales}"]
        return (*answers, overlap_sentence(*sights))

    given = [picture, share, *[net for weights, target, _, _ in sides for net in (weights, target)]]
    outputs = [component for _, _, tiles, words in sides for component in (*tiles, words)]
    gradio.on([each.change for each in given], _with_messages(gradio, compare), given, [*outputs, overlap],
              trigger_mode="always_last", show_progress="minimal", show_progress_on=[overlap])


def _profile_tab(gradio: Any, nets: Nets, folder: Path) -> None:
    gradio.Markdown("Which cues a depth net believes: one cue of a picture is changed while all else stays, and its "
                    "depth is watched. Show the results of `depthcue probe`, or measure a few experiments here; few "
                    "cases give wide intervals.")
    with gradio.Row():
        with gradio.Column(scale=1, min_width=300):
            results = gradio.File(label="results.json of depthcue probe", file_types=[".json"], elem_id="probe-results")
            target = gradio.Dropdown(list(dict.fromkeys([*SHIPPED, *([nets.target] if nets.target else [])])),
                                     value=nets.target or SHIPPED[0], allow_custom_value=True, label="Depth net",
                                     info="Or type yours: hf:REPO, onnx:FILE, python:MODULE:FUNCTION, a file.")
            experiments = gradio.CheckboxGroup([(one.name, one.name) for one in EXPERIMENTS.values()],
                                               value=list(PROFILE_AT_FIRST), label="Experiments",
                                               elem_id="experiments")
            cases = gradio.Slider(1, 16, value=3, step=1, label="Cases of each experiment", elem_id="cases")
            start = gradio.Button("Measure", variant="primary", elem_id="probe-start")
        with gradio.Column(scale=2, min_width=300):
            sentences = gradio.Markdown(elem_id="profile-sentences")
            plots = gradio.Gallery(label="Plots", columns=1, object_fit="contain", interactive=False, elem_id="plots",
                                   format="png")
            table = gradio.Dataframe(label="The profile", interactive=False, wrap=True, elem_id="profile-table")
            files = gradio.Files(label="Downloads", interactive=False, elem_id="profile-files")

    def shown(document: Result, out: Path) -> tuple[Any, ...]:
        section = section_of(document, out)
        pictures = [(str(out / f"{plot.name}.png"), plot.caption) for plot in section.plots]
        for plot, (path, _) in zip(section.plots, pictures, strict=True):
            plot.draw([Path(path)], LIGHT)
        words = "\n\n".join(section.sentences) or "Nothing can be said from so few cases."
        first = section.tables[0] if section.tables else None
        made = [path for path in (out / "results.json",) if path.exists()]
        return (f"**{document['target_net']['name']}**\n\n{words}", pictures,
                None if first is None else {"headers": list(first.columns), "data": [list(row) for row in first.rows]},
                [*map(str, made), *(path for path, _ in pictures)])

    def show_file(path: str | None) -> tuple[Any, ...]:
        if path is None:
            return (gradio.skip(),) * 4
        return shown(read_result(Path(path), "probe"), Path(tempfile.mkdtemp(prefix="profile-", dir=folder)))

    def measure(target: str, names: list[str], cases: float,
                progress: Any = gradio.Progress()) -> tuple[Any, ...]:  # noqa: B008
        if not names:
            raise DepthcueError("no experiment was chosen", "Tick one at least.")
        out = Path(tempfile.mkdtemp(prefix="profile-", dir=folder))
        settings = ProbeSettings(stage="rendered", limit=int(cases), draws=500)
        return shown(probe_specs(names, target.strip(), out, settings, None, nets.device, _Bar(progress)), out)

    outputs = [sentences, plots, table, files]
    results.upload(_with_messages(gradio, show_file), results, outputs)
    start.click(_with_messages(gradio, measure), [target, experiments, cases], outputs)


@contextmanager
def serving(nets: Nets, port: int | None = None, browser: bool = False) -> Iterator[str]:
    """Context in which the page is served on this machine alone; gives its address.

    Raises:
        DepthcueError: Gradio is not installed, or the port is taken.
    """
    gradio = import_gradio()
    with tempfile.TemporaryDirectory(prefix="depthcue-app-") as folder_name:
        folder = Path(folder_name)
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        page = build(nets, folder)
        fonts = {"font": ("system-ui", "sans-serif"), "font_mono": ("ui-monospace", "monospace")}
        try:
            try:
                _, address, _ = page.queue().launch(
                    server_name=HOST, server_port=port, share=False, inbrowser=browser, quiet=True, ssr_mode=False,
                    prevent_thread_lock=True, strict_cors=True, max_file_size="2gb", allowed_paths=[str(folder)],
                    theme=gradio.themes.Default(**fonts), css=_CSS)
            except OSError as error:
                wanted = "ports 7860 to 7959" if port is None else f"port {port}"
                raise DepthcueError(f"{wanted} cannot be used: {error}", "Give another with --port.") from error
            yield address
        finally:
            page.close(verbose=False)
            if before is None:
                os.environ.pop("GRADIO_TEMP_DIR", None)
            else:
                os.environ["GRADIO_TEMP_DIR"] = before
