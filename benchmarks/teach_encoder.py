"""An encoder of the paper's nets taught the features of the shipped depth net, where ImageNet weights cannot be had.

    python benchmarks/teach_encoder.py hu-resnet50 --data nyu:NYU --data scenes:indoor:1000 --out encoder.safetensors

The student's maps, each through a 1x1 convolution, regress the teacher's, standardised per channel (hints: Romero et
al., FitNets, ICLR 2015). A teacher's map holds a hundred answers for each pixel where depth is one: some thousand
pictures teach what depth alone teaches from many more. The teacher sees them at its own working size, the student at
--size. OUT holds the encoder alone: give it to --backbone.
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from depthcue.data import STRONG, BatchLoader, open_data
from depthcue.nets import build_depth_net, build_mask_net, load_depth_net
from depthcue.nets.catalog import MASK_NETS
from depthcue.nets.compact import CompactDepthNet

DRN_STAGES = (3, 4, 8)
"""Of the DRN's maps: the ones at 1/4 and 1/8, and its last, at 1/8 too."""
WARM_UP = 0.05
REPORT_EVERY = 50


class Student(nn.Module):
    """An encoder, and for each of its maps a linear guess of the teacher's."""

    def __init__(self, architecture: str, teacher_channels: list[int]) -> None:
        super().__init__()
        build = build_mask_net if architecture in MASK_NETS else build_depth_net
        self.encoder: nn.Module = build(architecture).E
        with torch.no_grad():
            ours = [each.shape[1] for each in self.eval().maps(torch.zeros(1, 3, 64, 64))]
        theirs = (teacher_channels + teacher_channels[-1:])[:len(ours)]
        self.guesses = nn.ModuleList(nn.Conv2d(*widths, 1) for widths in zip(ours, theirs, strict=True))

    def maps(self, normalised: Tensor) -> list[Tensor]:
        """Features (B, C, h, w) from fine to coarse."""
        if not hasattr(self.encoder, "base"):
            return list(self.encoder(normalised))
        maps = []
        for layer in self.encoder.base:
            normalised = layer(normalised)
            maps.append(normalised)
        return [maps[stage] for stage in DRN_STAGES]

    def forward(self, normalised: Tensor) -> list[Tensor]:
        return [guess(each) for guess, each in zip(self.guesses, self.maps(normalised), strict=True)]


def hints(teacher: CompactDepthNet, normalised: Tensor) -> list[Tensor]:
    """The teacher's maps at 1/4, 1/8 and 1/16 (B, C, h, w), each channel of mean 0 and deviation 1 over the batch."""
    _, *maps = teacher.encoder(normalised)
    return [F.batch_norm(each.float(), None, None, training=True) for each in maps]


def missed(guesses: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Share of the teacher's variance that the guesses miss, mean over maps; its deepest serves all that are left."""
    wanted = wanted + wanted[-1:] * (len(guesses) - len(wanted))
    shares = [F.mse_loss(guess.float(), F.interpolate(hint, guess.shape[2:], mode="bilinear", antialias=True))
              for guess, hint in zip(guesses, wanted, strict=True)]
    return torch.stack(shares).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", help="hu-resnet50, laina-resnet50 or drn22")
    parser.add_argument("--teacher", default="compact-indoor")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--size", default="96x72", help="WIDTHxHEIGHT of the student's pictures")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    width, height = (int(side) for side in options.size.split("x"))
    teacher = load_depth_net(options.teacher, options.device)
    assert isinstance(teacher, CompactDepthNet)
    large = (teacher.description.height, teacher.description.width)
    torch.manual_seed(0)
    student = Student(options.student, list(teacher.config["widths"][1:3]) + [teacher.config["widths"][4]])
    student.to(options.device, memory_format=torch.channels_last).train()
    datasets = [open_data(spec, split="train", frame_size=(round(large[0] * 1.125), round(large[1] * 1.125))
                          if spec.startswith("scenes:") else None) for spec in options.data]
    loader = BatchLoader(datasets, options.batch_size, large, None, STRONG, seed=0, device=options.device)
    optimiser = torch.optim.Adam(student.parameters(), lr=options.learning_rate, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.learning_rate, total_steps=options.steps,
                                                   pct_start=WARM_UP)
    total = 0.0
    for step, batch in enumerate(loader.batches(0, options.steps), start=1):
        normalised = teacher.normalise(batch.rgb.contiguous(memory_format=torch.channels_last))
        with torch.autocast(options.device, torch.bfloat16):
            with torch.no_grad():
                wanted = hints(teacher, normalised)
                small = F.interpolate(normalised, (height, width), mode="bilinear", antialias=True)
            guesses = student(small)
        loss = missed(guesses, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % REPORT_EVERY == 0 or step == options.steps:
            if not math.isfinite(total):
                raise SystemExit("the loss is not finite; lower --learning-rate")
            print(f"step {step}: {total / ((step - 1) % REPORT_EVERY + 1):.3f} of the teacher's variance missed",
                  flush=True)
            total = 0.0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # channels_last strides do not survive in a file
    save_file({key: value.cpu().contiguous() for key, value in student.encoder.state_dict().items()}, options.out)


if __name__ == "__main__":
    main()
