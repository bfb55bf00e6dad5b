"""`depthcue mask` and `demo`: which pixels a depth net rests on, for pictures, videos and cameras."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli import options as opt
from depthcue.cli.console import configure, print_json, print_table, progress_bar, say
from depthcue.cli.options import ADVANCED, INPUT, LISTED, MODEL, OUTPUT, SPEED
from depthcue.colours import DEPTH_COLOURS, MASK_COLOURS, Look

SourcesArgument = Annotated[list[str], typer.Argument(
    metavar="SOURCE", show_default=False, help="Pictures, videos, folders (with subfolders), globs, a frame pattern "
    "such as frame_%05d.png, or live: camera:0, rtsp://HOST/PATH, http://HOST/PATH.")]
MaskWeightsOption = Annotated[str | None, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, show_default=False,
    help=f"Mask net: {opt.MASK_NETS}; or a TensorRT .engine. {opt.OWN}")]
SaveOption = Annotated[list[str] | None, typer.Option(
    "--save", "-s", metavar="KIND,...", rich_help_panel=OUTPUT, help="What to write. To look at: mask (grey), overlay "
    "(the picture, see --style), panel (picture, mask, overlay and both depths side by side), depth (as the depth net "
    "sees it from all and from the kept pixels). To compute with: binary (kept pixels, 1 bit), raw (mask, 16 bit), npy "
    f"(mask, float), points (.ply: the depth as points coloured by the picture). {LISTED} Default: mask and overlay.")]
StyleOption = Annotated[str, typer.Option(
    "--style", metavar="STYLE", rich_help_panel=OUTPUT, help="Overlays: kept (the kept pixels in full colour, the "
    "others grey and dim), heat (the mask's colours over the grey picture) or contour (a line around the kept pixels; "
    "reads best on dark pictures).")]
OpacityOption = Annotated[float | None, typer.Option(
    "--opacity", metavar="X", rich_help_panel=OUTPUT, help="Overlays: 0 shows the picture as it is, 1 covers as much "
    "as the style can. Default: 0.85 for kept, 0.7 for heat, 1 for contour.")]
ColourMapOption = Annotated[str, typer.Option(
    "--colormap", metavar="NAME", rich_help_panel=OUTPUT, help="Colours of the mask, in panels and in overlays of heat "
    "and contour: any colour map of Matplotlib, such as viridis. The default can be read by colour-blind eyes.")]
DepthColourMapOption = Annotated[str, typer.Option(
    "--depth-colormap", metavar="NAME", rich_help_panel=OUTPUT, help="Colours of depth, from near to far: dusk (near "
    "pale, far dark), or any colour map of Matplotlib.")]
ShowOption = Annotated[bool, typer.Option("--show", rich_help_panel=OUTPUT, help="Show the first results when all is "
                                          "done: in a window, or in the terminal where there is no display.")]
SteadyOption = Annotated[bool, typer.Option(
    "--steady", rich_help_panel=MODEL, help="Let the masks of a video or a live source follow its motion, so that they "
    "do not flicker. Needs the extra steady.")]
RerunOption = Annotated[Path | None, typer.Option(
    "--rerun", metavar="FILE.rrd", rich_help_panel=OUTPUT, help="Also record picture, mask, depth and its points for "
    "the viewer of rerun.io. Needs the extra rerun.")]
FieldOfViewOption = Annotated[float, typer.Option(
    "--fov", metavar="DEGREES", rich_help_panel=OUTPUT, help="Points and --rerun: how wide the camera saw from left to "
    "right; the depth alone does not tell.")]
ThresholdOption = Annotated[float | None, typer.Option(
    "--threshold", metavar="E", rich_help_panel=MODEL, show_default=False, help="Mask nets that take lambda: a pixel "
    "is kept where the mask is above this. Default: 0.025. Not with --keep.")]
BackendOption = Annotated[str, typer.Option(
    "--backend", metavar="B", rich_help_panel=SPEED, help="What runs the mask net: auto, torch, onnx, openvino (CPUs) "
    "or tensorrt (NVIDIA GPUs). On a CPU, auto takes the one that a short trial finds fastest, on a GPU torch.")]
PrecisionOption = Annotated[str, typer.Option(
    "--precision", metavar="P", rich_help_panel=SPEED, help="fp32, bf16, fp16 (GPUs), or auto: a lower one where a "
    "short trial finds it faster. An exported file computes in its own.")]
MaskCompileOption = Annotated[bool, typer.Option(
    "--compile", rich_help_panel=SPEED, help="Let torch compile the net: a minute at the start, for long videos.")]
MaskBatchOption = Annotated[int | None, typer.Option(
    "--batch-size", "-b", min=1, metavar="N", rich_help_panel=SPEED, help="Frames that go through the nets at a time. "
    "Default: 2 on a CPU, 32 elsewhere.")]
CpuFallbackOption = Annotated[bool, typer.Option(
    "--cpu-fallback", rich_help_panel=SPEED, help="Where ONNX Runtime cannot use the GPU, let it go on with the CPU; "
    "without this, that is an error.")]
ResumeOption = Annotated[bool, typer.Option(
    "--resume", rich_help_panel=INPUT, help="Skip inputs that an earlier run into the same folder has finished.")]
EncoderOption = Annotated[str, typer.Option(
    "--encoder", metavar="E", rich_help_panel=SPEED, help="What writes videos: libx264 (CPU), h264_nvenc (NVIDIA), "
    "h264_qsv (Intel), h264_amf (AMD), or auto: one on a GPU where it works.")]
DecoderOption = Annotated[str, typer.Option(
    "--decoder", metavar="D", rich_help_panel=SPEED, help="What reads videos, streams and JPEG files: cpu, or gpu "
    "(NVDEC, nvJPEG).")]
DurationOption = Annotated[float | None, typer.Option(
    "--duration", metavar="SECONDS", rich_help_panel=INPUT, show_default=False, help="Live sources: how long to read "
    "them. Default: until Ctrl-C.")]
StallOption = Annotated[float, typer.Option(
    "--stall-timeout", metavar="SECONDS", rich_help_panel=INPUT, help="Live sources: one without a frame for so long "
    "is gone; until then lost connections are opened again.")]
MaskOutOption = Annotated[str, typer.Option(
    "--out", "-o", metavar="DIR", rich_help_panel=OUTPUT, help="Folder for what comes out; with --cluster one that all "
    "machines share, or an address such as s3://BUCKET/PATH.")]
ClusterOption = Annotated[str | None, typer.Option(
    "--cluster", metavar="ADDRESS", rich_help_panel=ADVANCED, show_default=False, help="Mask on the machines of a Ray "
    "cluster, HOST:PORT, or local: as many processes on this one. SOURCE may be an address such as s3://BUCKET/PATH.")]
WorkersOption = Annotated[int | None, typer.Option(
    "--workers", min=1, metavar="N", rich_help_panel=ADVANCED, show_default=False, help="Processes of --cluster. "
    "Default: one for each GPU, else one for every four cores.")]


def mask(sources: SourcesArgument, out: MaskOutOption, weights: MaskWeightsOption = None, keep: opt.Keep = None,
         lam: opt.Lambda = None, steady: SteadyOption = False, save: SaveOption = None, style: StyleOption = "kept",
         opacity: OpacityOption = None, colormap: ColourMapOption = MASK_COLOURS,
         depth_colormap: DepthColourMapOption = DEPTH_COLOURS, show: ShowOption = False, rerun: RerunOption = None,
         fov: FieldOfViewOption = 60.0, threshold: ThresholdOption = None, target: opt.Target = None,
         backend: BackendOption = "auto", device: opt.Device = "auto", precision: PrecisionOption = "fp32",
         batch_size: MaskBatchOption = None, size: opt.Size = None, compiled: MaskCompileOption = False,
         cpu_fallback: CpuFallbackOption = False, encoder: EncoderOption = "libx264", decoder: DecoderOption = "cpu",
         duration: DurationOption = None, stall_timeout: StallOption = 10.0, cluster: ClusterOption = None,
         workers: WorkersOption = None, resume: ResumeOption = False, as_json: opt.Json = False,
         quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Show which pixels of pictures, videos and live sources a depth net rests on.

    The folder also gets a summary.json, and its numbers for a spreadsheet, summary.csv. Of live sources the newest
    frame is masked, and Ctrl-C finishes the files.
    """
    from depthcue.errors import without_password
    from depthcue.nets.catalog import GENERAL, mask_net_for
    from depthcue.runtime.mask_job import mask_sources
    from depthcue.runtime.masking import FIRST_GUESS, MaskOptions
    from depthcue.runtime.saving import Drawing
    from depthcue.runtime.summary import summary_table

    configure(quiet, verbose)
    if cluster is None and (workers is not None or "://" in out):
        raise typer.BadParameter("several workers and object stores need --cluster", param_hint="--workers or --out")
    if cluster is not None and (show or rerun is not None):
        raise typer.BadParameter("pictures are shown and recorded on one machine: leave --cluster out",
                                 param_hint="--show or --rerun")
    if show and as_json:
        raise typer.BadParameter("--json prints one document and nothing else", param_hint="--show")
    chosen = mask_net_for(target) if weights is None else weights
    options = MaskOptions(weights=chosen, keep=keep, lam=lam, save=tuple(save or ("mask", "overlay")),
                          threshold=threshold, target=target, backend=backend, device=device,
                          precision=precision, batch_size=batch_size, size=opt.parse_size(size), compiled=compiled,
                          cpu_fallback=cpu_fallback, resume=resume, encoder=encoder,
                          decoder=decoder, duration_s=duration, stall_s=stall_timeout,
                          drawing=Drawing(Look(style, opacity, colormap, depth_colormap), fov), steady=steady,
                          rerun=rerun)
    with progress_bar(quiet) as progress:
        if cluster is None:
            summary = mask_sources(sources, Path(out), options, progress)
        else:
            from depthcue.runtime.cluster import ClusterOptions, mask_on_cluster

            summary = mask_on_cluster(sources, out, options, ClusterOptions(cluster, workers), progress)
    if weights is None and chosen == GENERAL and not quiet:
        pictures = next((each for each in sources if Path(each).is_dir()), "PICTURES")
        say(f"These masks are {FIRST_GUESS}: {target} has no mask net of its own, and the general one takes its place. "
            f"To train one: depthcue train --target {shlex.quote(str(target))} --data "
            f"{shlex.quote(f'folder:{pictures}')} --minutes 10", aside=True)
    if as_json and cluster is not None:
        from depthcue.runtime.cluster import print_summary

        print_summary(out)  # which may be too large to be held
    elif as_json:
        print_json(summary)
    elif not quiet:
        print_table(*summary_table(summary, without_password(out)))
    if show:
        from depthcue.cli.showing import show_results_of

        show_results_of(summary, Path(out))
    if summary["totals"]["failed"]:
        raise typer.Exit(1)


def demo(out: opt.OutDir = Path("depthcue-demo"), quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Render rooms and a short drive, mask them, compare the masks with edges, and explain it all on a page.

    Takes a minute or two on two cores, and needs neither internet nor a GPU.
    """
    from depthcue.demo import demo as make_demo

    configure(quiet, verbose)
    with progress_bar(quiet) as progress:
        page = make_demo(out, progress=progress)
    say(f"Open {page.resolve()} in a browser.")
