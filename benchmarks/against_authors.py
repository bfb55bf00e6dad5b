"""The authors' program for masks beside `depthcue mask`, in one run: frames a second from files to masks on disk.

    python benchmarks/against_authors.py [--weights drn22] [--frames 24] [--pictures DIR] [--video FILE]
        [--device cpu|cuda] [--rounds 3] [--workers 0] [--out FILE]

Their program follows the evaluation script published with the paper: the network as it is, eager, in float32, one
picture a batch; Pillow reads, the network runs, the mask is written, one after the other. Four differences, all in
their favour or for comparison's sake: no gradients are kept, the depth net is left out, the picture is resized to
304x228 and not resized and cropped, and the mask is written by Pillow at that size, not by matplotlib. Their loader
reads ahead in four processes: --workers 4 does so for pictures; 0, the default, reads in turn.

Ours is `depthcue mask --save mask`, which writes masks at the size of the pictures, with every backend and precision
that works here. Both take turns, round by round, and ratios are taken within rounds. Nets are open before the clock
starts, as in all but the first seconds of a long job, and the first round does not count. Answers are checked first:
every backend and precision of ours against theirs on the same frames, by the tolerance of the precision.

Without --pictures and --video, a video and JPEGs of 640x480 are rendered. `--weights drn22`, the paper's network, is
untrained, which costs the same; a checkpoint is drn22:PATH, and --size has one that was trained on small pictures run
at another size. Writes benchmarks/results/against-authors-DEVICE.json.
"""

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from depthcue import files
from depthcue.bench.candidates import Candidate, mask_candidates, mask_net_of
from depthcue.bench.job import masking_by, time_masking, write_sources
from depthcue.bench.measure import Answers
from depthcue.errors import DepthcueError
from depthcue.frames import find_inputs
from depthcue.nets import MaskNet
from depthcue.nets.checkpoint import save_net
from depthcue.runtime.opening import torch_threads
from depthcue.scenes.api import rendered_pictures

RESULTS = Path(__file__).resolve().parent / "results"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Pictures(Dataset):
    """Their data set: Pillow opens a file, resizes it, and it becomes a normalised tensor."""

    def __init__(self, paths: Sequence[Path], size: tuple[int, int]) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            return as_tensor(picture.convert("RGB"), self.size)


def as_tensor(picture: Image.Image, size: tuple[int, int]) -> torch.Tensor:
    """A picture as their network takes it: normalised, (3, H, W)."""
    small = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    rgb = torch.from_numpy(np.array(small)).permute(2, 0, 1).float().div(255)
    return (rgb - MEAN[:, None, None]) / STD[:, None, None]


def video_frames(path: Path, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """A video as batches of one normalised frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield as_tensor(frame.to_image(), size)[None]


def authors_way(net: MaskNet, batches: Iterator[torch.Tensor] | DataLoader, device: str, out: Path) -> int:
    """Read, infer, write, in turn; how many masks were written."""
    count = 0
    with torch.no_grad():
        for image in batches:
            mask = net(image.to(device), *dial_of(net, device))
            grey = (mask.squeeze() * 255).round().byte().cpu().numpy()
            Image.fromarray(grey).save(out / f"mask{count}.png")
            count += 1
    return count


def dial_of(net: MaskNet, device: str) -> tuple[torch.Tensor, ...]:
    return () if net.description.dial_name is None else (
        torch.full((1,), net.description.default_dial, device=device),)


class Race:
    """Both ways on the same sources, in turns; a context manager that holds our nets."""

    def __init__(self, net: MaskNet, spec: str, sources: dict[str, str], candidates: Sequence[Candidate],
                 options: argparse.Namespace) -> None:
        self.net = net.to(options.device).eval()
        self.size = (net.description.height, net.description.width)
        self.sources = {name: find_inputs([path]) for name, path in sources.items()}
        self.device = options.device
        self.workers = options.workers
        self.threads = torch.get_num_threads()
        self.jobs = {candidate.name: masking_by(candidate, spec) for candidate in candidates}

    def __enter__(self) -> "Race":
        with ExitStack() as stack:
            for job in self.jobs.values():
                stack.enter_context(job)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *reason: object) -> None:
        self.stack.close()

    def authors(self, name: str) -> tuple[int, float]:
        """Frames and seconds of their way."""
        # one operation has all cores; our jobs share them out otherwise
        with tempfile.TemporaryDirectory() as folder, torch_threads(self.threads):
            start = time.perf_counter()
            paths = [each.path for each in self.sources[name]]
            if name == "video":
                count = authors_way(self.net, video_frames(paths[0], self.size), self.device, Path(folder))
            else:
                loader = DataLoader(Pictures(paths, self.size), batch_size=1, num_workers=self.workers)
                count = authors_way(self.net, loader, self.device, Path(folder))
            return count, time.perf_counter() - start

    def ours(self, candidate: Candidate, name: str) -> tuple[int, float]:
        """Frames and seconds of ours."""
        return time_masking(self.jobs[candidate.name], self.sources[name])


def checked(net: MaskNet, candidates: Sequence[Candidate]) -> tuple[list[Candidate], dict[str, dict[str, Any]]]:
    """The candidates with right answers, and what was found of each."""
    answers = Answers(net, None, rendered_pictures()[:4], (net.description.height, net.description.width))
    right, found = [], {}
    for candidate in candidates:
        try:
            with candidate.open() as session:
                agreement = answers.agreement(session.run(answers.frames), candidate.precision)
        except (DepthcueError, RuntimeError, ImportError) as error:
            found[candidate.name] = {"reason": str(error).splitlines()[0]}
            print(f"{candidate.name}: does not run here: {found[candidate.name]['reason']}", flush=True)
            continue
        found[candidate.name] = dataclasses.asdict(agreement)
        verdict = "right" if agreement.right else "WRONG"
        print(f"{candidate.name}: {verdict}, largest difference {agreement.max_abs}", flush=True)
        if agreement.right:
            right.append(candidate)
    return right, found


def raced(race: Race, candidates: Sequence[Candidate], rounds: int) -> list[dict[str, Any]]:
    """Frames a second of every way on every source, and how many times as fast as theirs it is."""
    rates: dict[tuple[str, str], list[float]] = {}
    frames: dict[str, int] = {}
    for number in range(rounds + 1):
        for source in race.sources:
            found = {"authors": race.authors(source)}
            found |= {each.name: race.ours(each, source) for each in [*candidates[number:], *candidates[:number]]}
            frames[source] = found["authors"][0]
            for name, (done, seconds) in found.items():
                if done != frames[source]:
                    raise SystemExit(f"{name} masked {done} frames of {frames[source]}")
                if number:  # the first round allocates and chooses algorithms
                    rates.setdefault((name, source), []).append(done / seconds)
    rows = []
    for (name, source), own in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(own, rates["authors", source], strict=True)]
        precision = next((each.precision for each in candidates if each.name == name), "fp32")
        rows.append({"name": name, "precision": precision, "source": source, "frames": frames[source],
                     "frames_per_second": round(median(own), 3), "all": [round(rate, 3) for rate in own],
                     "times_as_fast": round(median(ratios), 3)})
        print("{name:16} {source:9} {frames_per_second:8.2f} frames a second, {times_as_fast:.2f} times as fast"
              .format(**rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="drn22")
    parser.add_argument("--size", help="WxH to run the net at; by default its own working size")
    parser.add_argument("--frames", type=int, default=24, help="of the rendered sources")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    # all cores for their way, as torch has it by default; OMP_NUM_THREADS would slow theirs and not our jobs
    torch.set_num_threads(os.cpu_count() or 1)
    pictures = torch.from_numpy(np.stack(rendered_pictures()[:2])).permute(0, 3, 1, 2) / 255.0
    net, trained = mask_net_of(options.weights, pictures)
    with tempfile.TemporaryDirectory() as folder:
        spec = options.weights
        if options.size is not None:
            width, height = (int(side) for side in options.size.split("x"))
            net.description = dataclasses.replace(net.description, width=width, height=height)
        if options.size is not None or not trained:
            spec = str(Path(folder, "raced.safetensors"))
            save_net(net, spec, architecture=net.card.get("architecture", options.weights))
        sources = {name: str(path) for name, path in (("video", options.video), ("pictures", options.pictures)) if path}
        sources = sources or write_sources(Path(folder), (net.description.height, net.description.width),
                                           options.frames)
        ways = [way for way in mask_candidates(net, spec, None, options.device, torch.get_num_threads())
                if way.in_jobs]
        right, found = checked(net, ways)
        with Race(net, spec, sources, right, options) as race:
            rows = raced(race, right, options.rounds)
    kind = torch.device(options.device).type
    files.write_public(options.out or RESULTS / f"against-authors-{kind}.json", files.document(
        "against-authors", weights=net.description.name, trained=trained, device=options.device,
        size=[net.description.height, net.description.width], rendered=not (options.pictures or options.video),
        workers=options.workers, rounds=options.rounds, answers=found, ways=rows))


if __name__ == "__main__":
    main()
