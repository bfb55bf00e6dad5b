"""Whether convolutions pay in a form of the Toom-Cook kind: fewer products, more of everything else.

    python benchmarks/toom_cook.py [--rounds 9] [--threads 2] [--out FILE]

Form F(4×4, 3×3) of Lavin and Gray (Fast Algorithms for Convolutional Neural Networks, CVPR 2016) makes 16 outputs of a
3×3 convolution from 36 products in place of 144. It is written with what every runner has, a strided convolution for
the tiles, one matrix product for each of the 36 points, a 1×1 convolution back, and timed against the plain convolution
in torch, ONNX Runtime and OpenVINO (where it is installed), at the sizes that the paper's mask network has for 304x228.
The last layer is the 5×5 convolution of an up-projection before its doubling, whose four phases become one 3×3
convolution with four times the outputs, plain four small ones. The forms take turns; the time is the median of the
rounds.

Then the errors: of F(4, 3) and, for a whole doubling at once, of F(2, 5), in each precision. Writes
benchmarks/results/toom-cook.json.
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rewriting import in_onnxruntime, in_turns
from torch import Tensor, nn

from depthcue import files
from depthcue.backends.openvino_backend import has_openvino
from depthcue.nets.upsampling import unpooled_conv, unpooled_kernels

RESULTS = Path(__file__).resolve().parent / "results"
LAYERS = (("3x3", 512, 512, 29, 38), ("3x3", 256, 256, 57, 76), ("3x3", 128, 128, 114, 152), ("3x3", 64, 64, 228, 304),
          ("5x5 unpooled", 512, 512, 29, 38), ("5x5 unpooled", 256, 256, 57, 76))
"""Kind, input and output channels, height and width: the encoder's widest and what up-projections have."""
POINTS = {(4, 3): (0.0, 1.0, -1.0, 0.5, -2.0), (2, 5): (0.0, 1.0, -1.0, 2.0, -2.0)}
"""Where polynomials are taken besides at infinity, for (outputs, taps)."""
Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--scale", type=int, default=1, help="divide channels and sizes by this, to rehearse")
    parser.add_argument("--out", type=Path, default=RESULTS / "toom-cook.json")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # the exporter's, about its own use of deprecated parts of torch
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    layers = []
    for kind, *numbers in LAYERS:
        inputs, outputs, height, width = (number // options.scale for number in numbers)
        layers.append(measure(kind, inputs, outputs, (height, width), options.rounds, options.threads))
        print(f"{kind}, {inputs} to {outputs} channels, {height}x{width}: plain over F(4x4, 3x3) "
              + ", ".join(f"{runner} {each:.2f}" for runner, each in layers[-1]["ratio"].items()), flush=True)
    errors = {f"F({outputs}, {taps})": errors_of(outputs, taps) for outputs, taps in POINTS}
    for form, by_precision in errors.items():
        for precision, each in by_precision.items():
            print(f"{form} in {precision}: error {each['toom_cook']:.1e}, plain {each['plain']:.1e}")
    files.write_public(options.out, files.document("toom-cook", rounds=options.rounds, threads=options.threads,
                                                     layers=layers, error=errors))


def transforms(outputs: int, taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of F(outputs, taps): for the signal (n, n), the kernel (n, taps), and back (outputs, n).

    A signal's tile of n = outputs + taps − 1 values gives y = back @ ((kernel @ g) · (signal @ x)).
    """
    tile = outputs + taps - 1
    points = POINTS[outputs, taps]

    def powers(count: int) -> Tensor:
        at_infinity = [0.0] * (count - 1) + [1.0]
        return torch.tensor([[point ** power for power in range(count)] for point in points] + [at_infinity],
                            dtype=torch.float64)

    # transposed Toom-Cook: what interpolates a product of polynomials transforms a signal
    signal, kernel = torch.linalg.inv(powers(tile)).T, powers(taps)
    size = signal.abs().sum(1, keepdim=True)  # so that no point's numbers outweigh the others'
    return signal / size, kernel * size, powers(outputs).T


class Plain(nn.Module):
    """The 3×3 convolution."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=1)


class PlainUnpooled(nn.Module):
    """The 5×5 convolution of the unpooled map, in four phases."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.phases = nn.ParameterList(nn.Parameter(phase, requires_grad=False) for phase in unpooled_kernels(weight))

    def forward(self, x: Tensor) -> Tensor:
        return unpooled_conv(F.pad(x, (1, 1, 1, 1)), list(self.phases))


class Tiled(nn.Module):
    """A 3×3 convolution with padding 1 by F(4×4, 3×3)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        signal, kernel, back = transforms(4, 3)
        self.outputs = len(weight)
        products = torch.einsum("ai,bj,ocij->aboc", kernel, kernel, weight.double()).flatten(0, 1)
        tiles = torch.einsum("ai,bj->abij", signal, signal).flatten(0, 1)[:, None]
        untiled = torch.einsum("ia,jb->ijab", back, back).flatten(2).flatten(0, 1)[:, :, None, None]
        self.products, self.tiles, self.untiled = (nn.Parameter(each.to(weight.dtype).contiguous(), requires_grad=False)
                                                   for each in (products, tiles, untiled))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # one more on the near side; on the far side as many as make the last tile whole whatever the size
        x = F.pad(x, (1, 4, 1, 4)).flatten(0, 1)[:, None]
        x = F.conv2d(x, self.tiles, stride=4)  # (B·C, 36, th, tw)
        down, across = x.shape[2:]
        x = x.reshape(batch, channels, 36, down * across).permute(2, 1, 0, 3).flatten(2)
        x = torch.bmm(self.products, x)  # (36, O, B·th·tw)
        x = x.reshape(36, self.outputs, batch, down, across).permute(2, 1, 0, 3, 4).flatten(0, 1)
        x = F.conv2d(x, self.untiled).reshape(batch, self.outputs * 16, down, across)
        return F.pixel_shuffle(x, 4)[:, :, :height, :width]


class TiledUnpooled(nn.Module):
    """The four phases of the 5×5 convolution, each filled up to 3×3 taps, as one convolution by F(4×4, 3×3)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        phases = [F.pad(phase, (3 - phase.shape[3], 0, 3 - phase.shape[2], 0)) for phase in unpooled_kernels(weight)]
        self.all = Tiled(torch.stack(phases, 1).flatten(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.all(x), 2)


FORMS: dict[str, dict[str, Callable[[Tensor], nn.Module]]] = {
    "3x3": {"plain": Plain, "toom_cook": Tiled},
    "5x5 unpooled": {"plain": PlainUnpooled, "toom_cook": TiledUnpooled},
}


def measure(kind: str, inputs: int, outputs: int, size: tuple[int, int], rounds: int, threads: int) -> dict[str, Any]:
    """Times of both forms of a layer in every runner; the answers are compared first."""
    generator = torch.Generator().manual_seed(0)
    taps = int(kind[0])
    weight = torch.randn(outputs, inputs, taps, taps, generator=generator) / (inputs * taps * taps) ** 0.5
    x = torch.randn(1, inputs, *size, generator=generator).relu()
    forms = {name: build(weight).eval() for name, build in FORMS[kind].items()}
    answers = {name: form(x) for name, form in forms.items()}
    torch.testing.assert_close(answers["toom_cook"], answers["plain"], rtol=0.0,
                               atol=1e-4 * float(answers["plain"].abs().max()))
    runners: dict[str, dict[str, Run]] = {"torch": {name: in_torch(form, x) for name, form in forms.items()}}
    with tempfile.TemporaryDirectory() as folder:
        graphs = {name: Path(folder, f"{name}.onnx") for name in forms}
        runners["onnxruntime"] = {name: in_onnxruntime(form, x, graphs[name], threads) for name, form in forms.items()}
        if has_openvino():
            runners["openvino"] = {name: in_openvino(graph, x, threads) for name, graph in graphs.items()}
        ms = {runner: in_turns(ways, rounds) for runner, ways in runners.items()}
    return {"kind": kind, "inputs": inputs, "outputs": outputs, "size": list(size), "ms": ms,
            "ratio": {runner: each["plain"]["median"] / each["toom_cook"]["median"] for runner, each in ms.items()}}


def in_torch(form: nn.Module, x: Tensor) -> Run:
    def run() -> Tensor:
        with torch.inference_mode():
            answer: Tensor = form(x)
        return answer

    return run


def in_openvino(graph: Path, x: Tensor, threads: int) -> Run:
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(graph, "CPU", hints).create_infer_request()
    return lambda: request.infer([x.numpy()], share_inputs=True, share_outputs=True)


def errors_of(outputs: int, taps: int) -> dict[str, dict[str, float]]:
    """Error of F(outputs, taps) in both directions, and of the plain form, in each precision.

    Sums over 128 channels; transforms and products rounded to the precision, sums in float32, as tensor cores do it.
    Shares of the largest true value, averaged over 32 tiles of bilinear numbers.
    """
    to_signal, to_kernel, back = transforms(outputs, taps)
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(32, 128, 4, 4, generator=generator, dtype=torch.float64)
    signal = F.interpolate(low, scale_factor=2.0, mode="bilinear")[:, :, 1:7, 1:7]
    kernel = torch.randn(128, taps, taps, generator=generator, dtype=torch.float64) / (128 * taps * taps) ** 0.5
    true = F.conv2d(signal, kernel[None])[:, 0]  # (32, outputs, outputs)
    errors = {}
    for precision, dtype in (("float64", torch.float64), ("float32", torch.float32), ("float16", torch.float16),
                             ("bfloat16", torch.bfloat16)):
        def rounded(values: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            return values.to(dtype).double()

        data = rounded(to_signal @ rounded(signal) @ to_signal.T)
        weights = rounded(to_kernel @ rounded(kernel) @ to_kernel.T)
        fast = back @ rounded((data * weights).sum(1)) @ back.T
        plain = rounded(F.conv2d(rounded(signal), rounded(kernel)[None])[:, 0])
        errors[precision] = {name: mean_error(got, true) for name, got in (("toom_cook", fast), ("plain", plain))}
    return errors


def mean_error(got: Tensor, true: Tensor) -> float:
    """The largest error of each tile, averaged, as a share of the largest true value."""
    return float((got - true).abs().amax((1, 2)).mean() / true.abs().max())


if __name__ == "__main__":
    main()
