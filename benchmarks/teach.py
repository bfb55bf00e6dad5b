"""The paper's nets taught by the shipped ones, where ImageNet weights and days of training cannot be had.

    python benchmarks/teach.py encoder hu-resnet50 --data nyu:NYU --data scenes:indoor --out encoder.safetensors
    python benchmarks/teach.py decoder hu-resnet50 --backbone encoder.safetensors --data … --out depth.safetensors
    python benchmarks/teach.py order drn22 --init mask.safetensors --data … --out mask-ordered.safetensors

The teacher is the depth net of `compact-indoor`, for drn22's decoder its mask net at --lambda. The student's maps, each
through a 1x1 convolution, regress the teacher's, standardised per channel (hints: Romero et al., FitNets, ICLR 2015),
and its answer the teacher's: a map holds a hundred values for each pixel, depth one. The teacher sees pictures
at its own working size, the student at --size.

`encoder` writes the encoder's tensors, `decoder` a whole net whose encoder is unchanged. `order` trains a whole mask
net to predict the rank of each pixel in the teacher's mask, 1 for the highest and 0 for the lowest: a sparse mask has
the same value at most pixels, ranks differ at each.
"""

import argparse
import math
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from depthcue.data import STRONG, BatchLoader, open_data
from depthcue.nets import DepthNet, MaskNet, build_depth_net, build_mask_net, exchanging, load_depth_net, load_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.scorers import rank_pixels

TEACHER = "compact-indoor"
LESSONS: dict[str, dict[str, dict[str, str]]] = {
    "encoder": {
        "hu-resnet50": {"E.layer1": "quarter", "E.layer2": "eighth", "E.layer3": "deep", "E.layer4": "deep"},
        "drn22": {"E.base.3": "quarter", "E.base.4": "eighth", "E.base.8": "deep"},
    },
    "decoder": {
        "hu-resnet50": {"D.up2": "up8", "D.up3": "up4", "D.up4": "up2"},
        "drn22": {"D.up1": "up4", "D.up2": "up2", "D.up3": "up1"},
    },
    "order": {"drn22": {}},
}
"""Lesson to architecture to pairs of a student's module and the teacher's map that is nearest to its output in size."""
WARM_UP = 0.05
REPORT_EVERY = 25
Maps = dict[str, Tensor]


def watch(net: nn.Module, names: list[str]) -> Maps:
    """What modules of `net` gave when it ran last, by their names."""
    seen: Maps = {}
    for name in names:
        net.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.__setitem__(name, output))
    return seen


class Teacher:
    """A shipped net and its maps at 1/4, 1/8, 1/16 and in its decoder."""

    def __init__(self, net: DepthNet | MaskNet, lam: float) -> None:
        self.net, self.lam = net, lam
        self.seen = watch(net, [name for name, _ in net.named_children() if name.startswith(("encoder", "up"))])

    @torch.no_grad()
    def __call__(self, normalised: Tensor) -> tuple[Tensor, Maps]:
        """The answer, and the maps (B, C, h, w), each channel of mean 0 and deviation 1 over the batch."""
        if isinstance(self.net, MaskNet):
            dial = self.net.dial_value(lam=self.lam)
            answer = self.net(normalised, torch.full((len(normalised),), dial, device=normalised.device))
        else:
            answer = self.net(normalised)
        maps = dict(self.seen)
        _, maps["quarter"], maps["eighth"], maps["deep"], _ = maps.pop("encoder")
        return answer.float(), {name: F.batch_norm(each.float(), None, None, training=True)
                                for name, each in maps.items()}


def resized(wanted: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(wanted, like.shape[2:], mode="bilinear", antialias=True)


def missed(guesses: nn.ModuleDict, ours: Maps, theirs: Maps, pairs: dict[str, str]) -> Tensor:
    """Share of the variance of the teacher's maps that linear guesses from the student's miss, mean over maps."""
    shares = []
    for name, wanted in pairs.items():
        guess = guesses[name.replace(".", "_")](ours[name]).float()
        shares.append(F.mse_loss(guess, resized(theirs[wanted], guess)))
    return torch.stack(shares).mean()


def order(scores: Tensor) -> Tensor:
    """Where each pixel of (B, 1, H, W) stands in its own picture, from 0 for the lowest score to 1 for the highest."""
    return 1 - rank_pixels(scores).float() / (scores[0].numel() - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=tuple(LESSONS))
    parser.add_argument("student", choices=tuple(LESSONS["encoder"]))
    parser.add_argument("--backbone", default="none", help="encoder to begin with, needed to teach the decoder")
    parser.add_argument("--init", help="mask net to begin with, needed to teach the order")
    parser.add_argument("--lambda", dest="lam", type=float, default=3.0)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--size", default="96x72", help="WIDTHxHEIGHT of the student's pictures")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.part == "decoder" and options.backbone == "none":
        parser.error("a decoder is taught on an encoder that knows something: give --backbone")
    if options.student not in LESSONS[options.part]:
        parser.error(f"{options.student} has no lesson in {options.part}")
    if options.part == "order" and not options.init:
        parser.error("the order of pixels is taught to a net that has learned masks: give --init")

    torch.manual_seed(0)
    width, height = (int(side) for side in options.size.split("x"))
    is_mask_net = options.student == "drn22"
    load = load_mask_net if is_mask_net and options.part != "encoder" else load_depth_net
    teacher = Teacher(load(TEACHER, options.device), options.lam)
    student: DepthNet | MaskNet
    if options.part == "order":
        student = load_mask_net(options.init).requires_grad_(True)
    elif is_mask_net:
        student = build_mask_net("drn22", backbone=options.backbone, target=TEACHER, height=height, width=width,
                                 default_lambda=options.lam)
    else:
        student = build_depth_net(options.student, backbone=options.backbone, height=height, width=width)
    pairs = LESSONS[options.part][options.student]
    ours = watch(student, list(pairs))
    student.to(options.device, memory_format=torch.channels_last).eval()
    large = (teacher.net.description.height, teacher.net.description.width)
    with torch.no_grad():
        student(torch.zeros(1, 3, height, width, device=options.device))
        _, theirs = teacher(torch.zeros(1, 3, *large, device=options.device))
    guesses = nn.ModuleDict({name.replace(".", "_"): nn.Conv2d(ours[name].shape[1], theirs[wanted].shape[1], 1)
                             for name, wanted in pairs.items()}).to(options.device)

    trained = student.E if options.part == "encoder" else student
    trained.train()
    if options.part == "decoder":
        student.E.requires_grad_(False).eval()
    datasets = [open_data(spec, split="train", frame_size=(round(large[0] * 1.125), round(large[1] * 1.125))
                          if spec.startswith("scenes:") else None) for spec in options.data]
    loader = BatchLoader(datasets, options.batch_size, large, None, STRONG, seed=0, device=options.device)
    optimiser = torch.optim.Adam([*trained.parameters(), *guesses.parameters()], lr=options.learning_rate,
                                 weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.learning_rate, total_steps=options.steps,
                                                   pct_start=WARM_UP)
    totals: defaultdict[str, float] = defaultdict(float)
    with exchanging(student):
        for step, batch in enumerate(loader.batches(0, options.steps), start=1):
            losses: dict[str, Tensor] = {}
            normalised = teacher.net.normalise(batch.rgb.contiguous(memory_format=torch.channels_last))
            with torch.autocast(options.device, torch.bfloat16):
                answer, theirs = teacher(normalised)
                said = trained(F.interpolate(normalised, (height, width), mode="bilinear", antialias=True))
                if pairs:
                    losses["share of the variance of the teacher's maps missed"] = missed(guesses, ours, theirs, pairs)
            if options.part != "encoder":
                wanted = resized(answer, said)
                wanted = order(wanted) if options.part == "order" else wanted.clamp(0, 1 if is_mask_net else None)
                losses["answer off by"] = (F.binary_cross_entropy if is_mask_net else F.l1_loss)(said.float(), wanted)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            optimiser.step()
            schedule.step()
            for name, loss in losses.items():
                totals[name] += loss.item()
            if step % REPORT_EVERY == 0 or step == options.steps:
                means = {name: total / ((step - 1) % REPORT_EVERY + 1) for name, total in totals.items()}
                if not all(map(math.isfinite, means.values())):
                    raise SystemExit("the loss is not finite; lower --learning-rate")
                print(f"step {step}: {', '.join(f'{name} {mean:.3f}' for name, mean in means.items())}", flush=True)
                totals.clear()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    student.requires_grad_(True).eval()
    if options.part == "encoder":
        # channels_last strides do not survive in a file
        save_file({key: value.cpu().contiguous() for key, value in student.E.state_dict().items()}, options.out)
    else:
        save_net(student, options.out, architecture=options.student,
                 training={"command": "teach", **{name: str(value) for name, value in vars(options).items()}})


if __name__ == "__main__":
    main()
