"""The findings of Hu et al. (ICCV 2019) as numbers, on any data sets: what is measured, and the results document.

The paper reads three things off its masks: (i) edges are chosen by their use for geometry and not by their strength;
(ii) the inside of small objects is attended to; (iii) outdoors so is the region of the vanishing point. `EdgeKinds` and
`ObjectSizes` (module `objects`) and `FarRegion` (module `far`) turn these into numbers with bootstrap intervals over
pictures. All speak of attention, M over its mean in the picture: 1 is what an average pixel gets. What a data set does
not say (which edges are which, what is one object) is left out with the reason. A mask net with a dial is set to the
lambda whose masks have a mean near the wanted share, on each data set for itself, unless one lambda is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from depthcue.backends.device import pick_device
from depthcue.data import RgbdData, open_data
from depthcue.errors import DepthcueError, check_share
from depthcue.evaluation import statistics
from depthcue.evaluation.cells import FEWEST_IMAGES, MaskedBatch, masked_batches
from depthcue.evaluation.far import FarRegion
from depthcue.evaluation.objects import EdgeKinds, ObjectSizes
from depthcue.evaluation.statistics import short
from depthcue.evaluation.viewing import (
    Viewing,
    described,
    inputs_of,
    load_pair,
    setting_for_share,
    setting_of,
)
from depthcue.nets import DepthNet, MaskNet
from depthcue.progress import Progress, Silent
from depthcue.results import MaskFindings, ResultFolder
from depthcue.scorers import build_scorer


class FindingMeasure(Protocol):
    """Measures one thing on picture after picture."""

    def add(self, batch: MaskedBatch) -> None:
        """Add pictures."""

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """The findings; `left_out` with the reason where the data lacks what they need."""


FINDINGS: dict[str, Callable[[Viewing], FindingMeasure]] = {
    "edges": lambda viewing: EdgeKinds(),
    "objects": lambda viewing: ObjectSizes(),
    "far": lambda viewing: FarRegion(viewing.data.max_depth_m if viewing.data.has_depth
                                     else viewing.depth_net.description.max_depth_m),
}
"""Measures of the findings, by their name on the command line and in results."""


@dataclass(frozen=True)
class FindingsSettings:
    """Findings to measure, and the lambda."""

    findings: tuple[str, ...] = tuple(FINDINGS)
    """Names in FINDINGS."""
    share: float = 0.2
    """Share of pixels that counts as kept, and mean of the masks that a dial is turned to."""
    lam: float | None = None
    """One lambda instead of the one nearest to the share."""
    batch_size: int = 8
    seed: int = 0
    draws: int = statistics.DRAWS


def findings_specs(weights: str | None, target: str | None, data: Sequence[str], out: Path | None = None,
                   settings: FindingsSettings | None = None,
                   limit: int | None = None, device: str = "auto", progress: Progress | None = None) -> MaskFindings:
    """`measure_findings` on nets and test data given by their specs; `limit` takes that many images of each.

    Raises:
        DepthcueError: also where a spec cannot be opened.
    """
    torch_device = pick_device(device)
    mask_net, depth_net = load_pair(weights, target, torch_device)
    opened = [open_data(spec, split="test", limit=limit) for spec in dict.fromkeys(data)]
    return measure_findings(mask_net, depth_net, opened, out, settings, torch_device, progress)


def measure_findings(mask_net: MaskNet, depth_net: DepthNet, data: Sequence[RgbdData], out: Path | None = None,
                     settings: FindingsSettings | None = None, device: str | torch.device = "cpu",
                     progress: Progress | None = None) -> MaskFindings:
    """Measure the findings on each data set.

    Args:
        mask_net, depth_net: on `device`, in eval mode.
        out: folder for results.json and pictures; None leaves them to the result's `save`.

    Returns:
        The result. Beside the fields every document has: `weights`, `target_net`, `seed`, `images` (in all),
        `share`, and `data`, one entry a data set with its `spec`, `images`, `lambda`, the mean of its masks (`mean`),
        the `findings` (see `results` of EdgeKinds, ObjectSizes, FarRegion), and `per_image` names and
        means.

    Raises:
        DepthcueError: an unknown finding, a lambda or a share out of range, fewer than two images, nowhere to write.
    """
    settings = settings or FindingsSettings()
    progress = progress or Silent()
    _check(mask_net, data, settings)
    home = ResultFolder(out)  # now, and not when the work is done
    with torch.inference_mode():
        entries = [_measured(mask_net, depth_net, opened, settings, torch.device(device), progress) for opened in data]
    return home.finish(MaskFindings.made(
        weights=described(mask_net), target_net=described(depth_net), seed=settings.seed,
        images=sum(entry["images"] for entry in entries), share=settings.share, data=entries))


def _check(mask_net: MaskNet, data: Sequence[RgbdData], settings: FindingsSettings) -> None:
    setting_of(mask_net, lam=settings.lam)
    for name in settings.findings:
        if name not in FINDINGS:
            raise DepthcueError(f"--finding must be one of {', '.join(FINDINGS)}, got {name!r}",
                                "It can be given several times.")
    check_share(settings.share, "--share")
    for opened in data:
        if len(opened) < FEWEST_IMAGES:
            raise DepthcueError(f"{opened.spec}: {len(opened)} picture(s); intervals over pictures need at least "
                                f"{FEWEST_IMAGES}", "Choose another --data, or a larger --limit.")


def _measured(mask_net: MaskNet, depth_net: DepthNet, data: RgbdData, settings: FindingsSettings, device: torch.device,
              progress: Progress) -> dict[str, Any]:
    viewing = Viewing(depth_net, data, device, batch_size=settings.batch_size,
                      multiple=mask_net.description.multiple)
    setting = setting_for_share(mask_net, viewing, settings.share, settings.lam, progress)
    scorer = build_scorer("mask", inputs_of(mask_net, setting))
    findings = {name: FINDINGS[name](viewing) for name in dict.fromkeys(settings.findings)}
    names: list[str] = []
    means: list[float] = []
    progress.start(f"looking at {data.spec}", len(data))
    for batch in masked_batches(viewing, scorer, settings.share):
        names += batch.names
        means += batch.means.tolist()
        for finding in findings.values():
            finding.add(batch)
        progress.advance(len(batch))
    return {
        "spec": data.spec, "images": len(names), **setting.entry(), "mean": short(sum(means) / len(means)),
        "findings": {name: finding.results(settings.draws, settings.seed) for name, finding in findings.items()},
        "per_image": {"names": names, "mean": [short(mean) for mean in means]},
    }
