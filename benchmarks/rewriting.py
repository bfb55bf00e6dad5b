"""What the exact rewrites save: operations, error and time, of the paper's nets and of the compact ones.

    python benchmarks/rewriting.py [--rounds 9] [--threads 2] [--net drn22 ...] [--forms-only]

Each net is timed as given and rewritten, in turns, so that a disturbance hits both; medians and ranges are kept. Three
runners: torch eager in float32 and in bfloat16 weights, both channels last, and ONNX Runtime in float32 on graphs of
one size. Weights of the paper's nets are random, with batch norms that are not the identity; time does not depend on
them. The error is that of the last convolution, as a share of its largest value. Then the forms that a doubling before
a convolution can take (see `depthcue/nets/upsampling.py`) are timed for the widths of drn22's decoder, without
borders. Writes benchmarks/results/rewriting.json.
"""

import argparse
import copy
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from depthcue import files
from depthcue.export.graph_module import DepthGraph, MaskGraph
from depthcue.nets import MaskNet, build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.rewriting import rewritten

RESULTS = Path(__file__).resolve().parent / "results"
PAPERS_SIZE = (224, 304)
NETS: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
    "compact-indoor mask": (lambda: load_mask_net("compact-indoor"), (192, 256)),
    "compact-road mask": (lambda: load_mask_net("compact-road"), (96, 320)),
    "compact-road depth": (lambda: load_depth_net("compact-road"), (96, 320)),
    "drn22": (lambda: stirred(build_mask_net("drn22")), PAPERS_SIZE),
    "hu-resnet50": (lambda: stirred(build_depth_net("hu-resnet50")), PAPERS_SIZE),
}
FORMS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "polyphase": ((0.25, 0.75, 0.75, 0.25), (1.0,)),
    "pixels doubled": ((1.0, 1.0), (0.25, 0.5, 0.25)),
    "unpooled": ((1.0,), (0.25, 0.75, 0.75, 0.25)),
}
"""Which part of the bilinear filter is multiplied into the weights, and which is applied afterwards."""
LAYERS = ((5, 512, 512, 28, 38), (5, 256, 256, 56, 76), (5, 128, 128, 112, 152))
"""Kernel, input and output channels, low height and width: drn22's decoder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--net", action="append", choices=list(NETS), help="one of the nets; all by default")
    parser.add_argument("--scale", type=int, default=1, help="divide every size by this, to rehearse")
    parser.add_argument("--forms-only", action="store_true", help="leave the nets out")
    parser.add_argument("--out", type=Path, default=RESULTS / "rewriting.json")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # the exporter's, about its own use of deprecated parts of torch
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    nets, forms = [], []
    for name in [] if options.forms_only else options.net or NETS:
        build, size = NETS[name]
        nets.append(measure_net(name, build(), scaled(size, options.scale), options.rounds, options.threads))
        print(net_line(nets[-1]), flush=True)
    for kernel, inputs, outputs, *size in LAYERS:
        forms.append(measure_forms(kernel, inputs, outputs, scaled(size, options.scale), options.rounds,
                                   options.threads))
        print(forms_line(forms[-1]), flush=True)
    files.write_public(options.out, files.document("rewriting", rounds=options.rounds, threads=options.threads,
                                                   nets=nets, forms=forms))


def scaled(size: Sequence[int], scale: int) -> tuple[int, int]:
    """The size divided, in whole multiples of 16 where it was one."""
    step = 16 if scale > 1 and min(size) >= 32 else 1
    return max(size[0] // scale // step * step, step), max(size[1] // scale // step * step, step)


def measure_net(name: str, net: Any, size: tuple[int, int], rounds: int, threads: int) -> dict[str, Any]:
    """Operations, errors and times of one net, as given and rewritten."""
    faster, rewriting = rewritten(net)
    pair = {"given": net.eval(), "rewritten": faster}
    flops = {way: count_flops(each, size) for way, each in pair.items()}
    frames = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    runners: dict[str, dict[str, Callable[[], object]]] = {
        "torch fp32": {way: in_torch(each, frames, torch.float32) for way, each in pair.items()},
        "torch bf16": {way: in_torch(each, frames, torch.bfloat16) for way, each in pair.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        runners["onnxruntime fp32"] = {way: in_onnxruntime(graph_of(each), frames, Path(folder, f"{way}.onnx"), threads)
                                       for way, each in pair.items()}
        times = {runner: in_turns(ways, rounds) for runner, ways in runners.items()}
    return {"net": name, "size": {"height": size[0], "width": size[1]}, **rewriting.as_json(),
            "gflop": {way: count / 1e9 for way, count in flops.items()},
            "error": {"float64": error(net, torch.float64, size), "float32": error(net, torch.float32, size)},
            "ms": times, "ratio": {runner: ratio(each) for runner, each in times.items()}}


def net_line(row: dict[str, Any]) -> str:
    ratios = ", ".join(f"{runner} {each:.2f}x" for runner, each in row["ratio"].items())
    return (f"{row['net']}: {row['gflop']['given']:.1f} -> {row['gflop']['rewritten']:.1f} GFLOP; error "
            f"{row['error']['float64']:.0e} in float64, {row['error']['float32']:.0e} in float32; faster by {ratios}")


def count_flops(net: Any, size: tuple[int, int]) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(net).to("meta")(torch.zeros(1, 3, *size, device="meta"))
    return int(counter.get_total_flops())


def error(net: Any, dtype: torch.dtype, size: tuple[int, int]) -> float:
    """Largest difference at the last convolution, as a share of the largest value there, both nets in one type."""
    net = copy.deepcopy(net).to(dtype)
    picture = torch.randn(1, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(1))
    wanted, got = (last_convolution(each, picture) for each in (net, rewritten(net)[0]))
    return float((got - wanted).abs().max() / wanted.abs().max())


def last_convolution(net: nn.Module, picture: Tensor) -> Tensor:
    found: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda layer, given, output: found.append(output))
               for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    with torch.inference_mode():
        net(picture)
    for handle in handles:
        handle.remove()
    return found[-1]


def graph_of(net: Any) -> MaskGraph | DepthGraph:
    return (MaskGraph(net) if isinstance(net, MaskNet) else DepthGraph(net)).eval()


def in_torch(net: Any, frames: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    net = copy.deepcopy(net).to(dtype).to(memory_format=torch.channels_last)
    picture = net.normalise(frames.permute(0, 3, 1, 2).to(dtype) / 255.0)

    def run() -> Tensor:
        with torch.inference_mode():
            return net(picture)

    return run


def in_onnxruntime(module: nn.Module, given: Tensor, path: Path, threads: int) -> Callable[[], object]:
    torch.onnx.export(module, (given,), path, dynamo=True, input_names=["given"], output_names=["answer"],
                      external_data=False, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # a session's threads would wait by spinning, into the turn of the next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {"given": given.numpy()}
    return lambda: session.run(None, feeds)


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each way: median, least and most of the rounds after the first."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if number:  # the first call allocates and chooses algorithms
                taken[way].append(1e3 * (time.perf_counter() - began))
    return {way: {"median": statistics.median(each), "least": min(each), "most": max(each)}
            for way, each in taken.items()}


def ratio(times: dict[str, dict[str, float]]) -> float:
    return times["given"]["median"] / times["rewritten"]["median"]


class Plain(nn.Module):
    """Doubling, then the convolution."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)


class Exchanged(nn.Module):
    """The same with a part of the bilinear filter in the weights and the rest after them; right within the borders."""

    def __init__(self, weight: Tensor, before: Sequence[float], after: Sequence[float]) -> None:
        super().__init__()
        outputs, inputs, size, _ = weight.shape
        line = torch.tensor(before)
        # a full convolution of each kernel with the part that goes into it
        kernels = F.conv2d(weight.reshape(-1, 1, size, size), torch.outer(line, line)[None, None],
                           padding=len(before) - 1).reshape(outputs, inputs, -1, size + len(before) - 1)
        self.alike = kernels.shape[2] % 2 == 0
        # phases with equally many taps meet the same low pixels, those of odd taps one output pixel sooner
        order = (1, 0) if self.alike else (0, 1)
        phases = [kernels[:, :, row::2, column::2].contiguous() for row in order for column in order]
        if self.alike:  # one convolution for the four
            phases = [torch.stack(phases, 1).flatten(0, 1)]
        self.phases = nn.ParameterList([nn.Parameter(phase, requires_grad=False) for phase in phases])
        rest = torch.tensor(after)
        self.rest = nn.Parameter(torch.outer(rest, rest).repeat(outputs, 1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")
        if self.alike:
            cells = F.conv2d(x, self.phases[0])
        else:
            full = self.phases[0].shape[2]
            parts = [F.conv2d(x[:, :, full - phase.shape[2]:, full - phase.shape[3]:], phase) for phase in self.phases]
            cells = torch.stack(parts, 2).flatten(1, 2)
        whole = F.pixel_shuffle(cells, 2)
        return whole if self.rest.shape[2] == 1 else F.conv2d(whole, self.rest, groups=len(self.rest))


def measure_forms(kernel: int, inputs: int, outputs: int, size: tuple[int, int], rounds: int,
                  threads: int) -> dict[str, Any]:
    """Times of the forms of one layer; the sizes of their outputs differ by a few rows."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator) / (inputs * kernel * kernel) ** 0.5
    x = torch.randn(1, inputs, *size, generator=generator)
    forms: dict[str, nn.Module] = {"plain": Plain(weight)}
    forms |= {name: Exchanged(weight, *filters) for name, filters in FORMS.items()}
    with tempfile.TemporaryDirectory() as folder:
        runners = {
            "torch fp32": {name: called(form, x, torch.float32) for name, form in forms.items()},
            "torch bf16": {name: called(form, x, torch.bfloat16) for name, form in forms.items()},
            "onnxruntime fp32": {name: in_onnxruntime(form, x, Path(folder, f"{name}.onnx"), threads)
                                 for name, form in forms.items()},
        }
        times = {runner: in_turns(ways, rounds) for runner, ways in runners.items()}
    return {"kernel": kernel, "inputs": inputs, "outputs": outputs, "low_size": list(size), "ms": times}


def called(form: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    form = copy.deepcopy(form).to(dtype).to(memory_format=torch.channels_last)
    x = x.to(dtype).to(memory_format=torch.channels_last)

    def run() -> Tensor:
        with torch.inference_mode():
            return form(x)

    return run


def forms_line(row: dict[str, Any]) -> str:
    times = "; ".join(f"{runner}: " + ", ".join(f"{form} {each['median']:.2f}" for form, each in forms.items())
                      for runner, forms in row["ms"].items())
    return f"{row['kernel']}x{row['kernel']}, {row['inputs']} to {row['outputs']} channels, ms: {times}"


def stirred(net: Any) -> Any:
    """Random batch norms, none of them the identity."""
    generator = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.3, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.2, generator=generator)
    return net.eval()


if __name__ == "__main__":
    main()
