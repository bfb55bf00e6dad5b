"""`depthcue mask`: which pixels a depth net rests on, for pictures, videos and cameras."""

from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, print_table, progress_bar
from depthcue.cli.options import (
    DeviceOption,
    JsonOption,
    KeepOption,
    LambdaOption,
    QuietOption,
    SizeOption,
    TargetOption,
    VerboseOption,
    parse_size,
)

SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Pictures, videos, folders (with subfolders), globs, a "
                              "frame pattern such as frame_%05d.png, or live: camera:0, rtsp://HOST/PATH, "
                              "http://HOST/PATH.", show_default=False)]
MaskWeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", help="Mask net G: compact-indoor, compact-road, a "
                      ".safetensors, .onnx or .engine file, a released checkpoint, NAME:PATH, or hub:OWNER/NAME of the "
                      "Hugging Face hub.")]
SaveOption = Annotated[
    list[str] | None, typer.Option("--save", metavar="KIND", help="mask (8-bit grey), overlay (picture with the mask "
                                   "over it), panel (side by side with depth), depth (as the depth net sees it with "
                                   "and without the mask), binary (1 bit), raw (16 bit) or npy. Can be given several "
                                   "times. Default: mask and overlay.")]
ThresholdOption = Annotated[float | None, typer.Option("--threshold", metavar="E", help="A pixel is kept where the "
                                                       "mask is above this. Default: 0.025. Not with a share to keep.",
                                                       show_default=False)]
BackendOption = Annotated[str, typer.Option("--backend", metavar="B", help="auto, torch, onnx, openvino (CPUs) or "
                                            "tensorrt (NVIDIA GPUs). On a CPU, auto takes the one that a short trial "
                                            "finds fastest, on a GPU torch.")]
PrecisionOption = Annotated[str, typer.Option("--precision", metavar="P", help="fp32, bf16, fp16 (GPUs), or auto: a "
                                              "lower one where a short trial finds it faster. An exported file "
                                              "computes in its own.")]
MaskCompileOption = Annotated[bool, typer.Option("--compile", help="Let torch compile the net: a minute at the start, "
                                                 "for long videos.")]
MaskBatchOption = Annotated[int | None, typer.Option("--batch-size", min=1, metavar="N", help="Frames per batch. "
                                                     "Default: 2 on a CPU, 32 elsewhere.")]
CpuFallbackOption = Annotated[bool, typer.Option("--cpu-fallback", help="Where ONNX Runtime cannot use the GPU, let it "
                                                 "go on with the CPU; without this, that is an error.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Skip inputs that an earlier run into the same folder has "
                                            "finished.")]
EncoderOption = Annotated[str, typer.Option("--encoder", metavar="E", help="Of videos: libx264 (CPU), h264_nvenc "
                                            "(NVIDIA), h264_qsv (Intel), h264_amf (AMD), or auto: one on a GPU where "
                                            "it works.")]
DecoderOption = Annotated[str, typer.Option("--decoder", metavar="D", help="Of videos, streams and JPEG files: cpu, "
                                            "or gpu (NVDEC, nvJPEG).")]
DurationOption = Annotated[float | None, typer.Option("--duration", metavar="SECONDS", help="How long to read live "
                                                      "sources. Default: until Ctrl-C.", show_default=False)]
StallOption = Annotated[float, typer.Option("--stall-timeout", metavar="SECONDS", help="A live source without a frame "
                                            "for so long is gone; until then lost connections are opened again.")]
MaskOutOption = Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for what comes out; with "
                                            "--cluster one that all machines share, or an address such as "
                                            "s3://BUCKET/PATH.")]
ClusterOption = Annotated[str | None, typer.Option("--cluster", metavar="ADDRESS", help="Mask on the machines of a Ray "
                                                   "cluster, HOST:PORT, or local: as many processes on this one. "
                                                   "SOURCE may be an address such as s3://BUCKET/PATH.",
                                                   show_default=False)]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="Of a cluster. Default: one "
                                                   "for each GPU, else one for every four cores.", show_default=False)]


def mask(sources: SourcesArgument, out: MaskOutOption, weights: MaskWeightsOption = "compact-indoor",
         keep: KeepOption = None, lam: LambdaOption = None, save: SaveOption = None,
         threshold: ThresholdOption = None,
         target: TargetOption = None, backend: BackendOption = "auto", device: DeviceOption = "auto",
         precision: PrecisionOption = "fp32", batch_size: MaskBatchOption = None, size: SizeOption = None,
         compiled: MaskCompileOption = False,
         cpu_fallback: CpuFallbackOption = False, encoder: EncoderOption = "libx264",
         decoder: DecoderOption = "cpu", duration: DurationOption = None,
         stall_timeout: StallOption = 10.0, cluster: ClusterOption = None, workers: WorkersOption = None,
         resume: ResumeOption = False, as_json: JsonOption = False, quiet: QuietOption = False,
         verbose: VerboseOption = False) -> None:
    """Show which pixels of pictures, videos and live sources a depth net rests on.

    The folder also gets a summary.json. Of live sources the newest frame is masked, and Ctrl-C finishes the files.
    """
    from depthcue.runtime.cluster import ClusterOptions, mask_on_cluster, print_summary
    from depthcue.runtime.mask_job import mask_sources
    from depthcue.runtime.masking import MaskOptions
    from depthcue.runtime.summary import summary_table
    from depthcue.text import without_password

    configure(quiet, verbose)
    if cluster is None and (workers is not None or "://" in out):
        raise typer.BadParameter("several workers and object stores need --cluster", param_hint="--workers or --out")
    options = MaskOptions(weights=weights, keep=keep, lam=lam, save=tuple(save or ("mask", "overlay")),
                          threshold=threshold, target=target, backend=backend, device=device,
                          precision=precision, batch_size=batch_size, size=parse_size(size), compiled=compiled,
                          cpu_fallback=cpu_fallback, resume=resume, encoder=encoder,
                          decoder=decoder, duration_s=duration, stall_s=stall_timeout)
    with progress_bar(quiet) as progress:
        if cluster is None:
            summary = mask_sources(sources, Path(out), options, progress)
        else:
            summary = mask_on_cluster(sources, out, options, ClusterOptions(cluster, workers), progress)
    if as_json and cluster is not None:
        print_summary(out)  # which may be too large to be held
    elif as_json:
        print_json(summary)
    elif not quiet:
        print_table(*summary_table(summary, without_password(out)))
    if summary["totals"]["failed"]:
        raise typer.Exit(1)
