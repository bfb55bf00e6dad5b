"""One mask net with a lambda dial against nets trained for one lambda each, on the same pictures.

    python benchmarks/dial_against_single.py --dial compact-indoor --single RUN1/mask.safetensors \
        --single RUN2/mask.safetensors --single RUN3/mask.safetensors --data nyu:PATH

For each single net: the error of the depth net behind its best-ranked pixels, and behind those of the dial turned to
the same lambda, at equal sparseness; and the objective of Eq. (4) that each reaches. Writes
benchmarks/results/dial-against-single.json.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from depthcue import record
from depthcue.data import RgbdData, open_data
from depthcue.evaluation.compare_edges import Settings, compare_edges
from depthcue.nets import DepthNet, MaskNet, depth_from, fit, load_mask_net, load_target_of
from depthcue.objective import l_dif, mask_objective, to_reference_range

RESULTS = Path(__file__).resolve().parent / "results"
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dial", default="compact-indoor")
    parser.add_argument("--single", action="append", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=RESULTS / "dial-against-single.json")
    options = parser.parse_args()

    dial = load_mask_net(options.dial)
    depth_net = load_target_of(dial.description, options.dial)
    data = open_data(options.data, split="test", limit=options.limit)
    rows = []
    for spec in options.single:
        single = load_mask_net(spec)
        lam = single.description.default_lambda
        row: dict[str, Any] = {"lambda": lam}
        for name, net in (("single", single), ("dial", dial)):
            row[name] = {"curve": curve(net, depth_net, data, lam), **objective(net, depth_net, data, lam)}
        row["dial_over_single"] = {
            measure: [round(one[measure] / other[measure], 4)
                      for one, other in zip(row["dial"]["curve"], row["single"]["curve"], strict=True)]
            for measure in ("rmse", "rmse_to_target") if measure in row["dial"]["curve"][0]}
        rows.append(row)
        print(f"lambda {lam:g}: objective dial {row['dial']['objective']:.4f}, single "
              f"{row['single']['objective']:.4f}; dial/single at {SHARES}: {row['dial_over_single']}")
    record.write_public(options.out, record.document("dial-against-single", data={"spec": data.spec},
                                                   images=len(data), shares=SHARES, nets=rows))


def curve(net: MaskNet, depth_net: DepthNet, data: RgbdData, lam: float) -> list[dict[str, float]]:
    """RMSE at equal sparseness, ranking pixels by the mask for `lam`."""
    settings = Settings(against=(), shares=SHARES, lam=lam, examples=0)
    with tempfile.TemporaryDirectory() as folder:
        results = compare_edges(net, depth_net, data, Path(folder), settings)
    return [{key: point[key] for key in ("sparseness", "rmse", "rmse_to_target") if key in point}
            for point in results["curves"]["mask"]]


@torch.inference_mode()
def objective(net: MaskNet, depth_net: DepthNet, data: RgbdData, lam: float, batch_size: int = 8) -> dict[str, float]:
    """Mean over pictures of Eq. (4) and of the mask, in batches as in training."""
    totals = {"objective": 0.0, "mask_mean": 0.0}
    for start in range(0, len(data), batch_size):
        places = list(range(start, min(start + batch_size, len(data))))
        normalised = depth_net.normalise(fit(data.evaluation_batch(places).rgb, depth_net.description))
        mask = net(normalised, torch.full((len(places),), lam))
        whole, masked = (to_reference_range(depth_from(depth_net, normalised, seen), depth_net.description.max_depth_m)
                         for seen in (None, mask))
        difference = l_dif(masked, whole)
        totals["objective"] += float(mask_objective(difference, mask, lam)) * len(places)
        totals["mask_mean"] += float(mask.mean()) * len(places)
    return {name: round(total / len(data), 5) for name, total in totals.items()}


if __name__ == "__main__":
    main()
