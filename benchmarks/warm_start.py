"""What a mask net for an unseen depth net gains from a warm start: error through 20% of the pixels after some steps.

    python benchmarks/warm_start.py --out runs/warm-start
        --net pydnet-kitti "onnx:pydnet_kitti.onnx,takes=rgb,..." folder:FRAMES OTHERS.safetensors
        --net fastdepth "onnx:fastdepth_nyu.onnx,takes=rgb,..." nyu:NYU OTHERS.safetensors

For each depth net, lite0 is trained twice on the same pictures: from a mask net that was trained for other depth nets
in turn and never met this one (OTHERS, made by depthcue train --also; `general` is the shipped one), and from nothing
(an encoder with ImageNet weights). A tenth of the pictures is kept aside, and the error against N(I) is measured on
them while training goes on, on the averaged weights that would be kept then; one training gives the whole curve, so
that its learning rate is still high in the middle. Beside it edges and chance on the same pictures. The result is
benchmarks/results/warm-start.json, where depth nets that were measured before stay.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_edges
from depthcue.files import document, write_public
from depthcue.nets import load_mask_net
from depthcue.training.mask import MaskTraining, mask_recipe, run_mask_training
from depthcue.training.validation import SHARE

RESULTS = Path(__file__).resolve().parent / "results" / "warm-start.json"
PICTURES = 200
"""Of each data set, spread evenly over it: what a user may have."""


def measure(target: str, data: str, start: dict[str, Any], out: Path, steps: int, batch_size: int) -> dict[str, Any]:
    """The curve of one training, and what edges and chance have on the same pictures."""
    what = MaskTraining(target, (data,), net="lite0", batch_size=batch_size, aside=0.1, patience=0, limit=PICTURES,
                        **start,
                        **mask_recipe("lite0", steps=steps, epochs=None, learning_rate=None, schedule=None,
                                      average=None, sharpen=None))
    trained = run_mask_training(what, out, device="cpu")
    assert trained.aside is not None
    check = compare_edges(load_mask_net(str(trained.weights)), trained.target, trained.aside, out / "check",
                          CompareEdgesSettings(shares=(SHARE,), soft_maps=False, gallery=False, examples=0))
    return {"curve": trained.summary["errors"], "pictures_aside": len(trained.aside),
            "seconds": trained.summary["seconds"],
            "at_the_end": {way: {key: entry[key] for key in ("rmse_to_target", "rmse_to_target_ci95",
                                                             "to_target_minus_mask_ci95")}
                           for way, (entry,) in check["curves"].items()}}


def main() -> None:
    """Train what is not trained yet, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs=4, action="append", metavar=("NAME", "SPEC", "DATA", "OTHERS"), required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text())["nets"] if RESULTS.exists() else {}
    for name, target, data, others in chosen.net:
        trained_for = load_mask_net(others).card["training"]
        found[name] = {"target": target, "data": data, "steps": chosen.steps, "batch_size": chosen.batch_size,
                       "starts": {},
                       "others": [Path(spec.partition(",")[0]).stem for spec in
                                  (trained_for["target"], *trained_for.get("also", ()))]}
        for start, how in {"general": {"init": others}, "nothing": {"backbone": "imagenet"}}.items():
            kept = chosen.out / f"{name}-{start}.json"
            if not kept.exists():
                result = measure(target, data, how, chosen.out / f"{name}-{start}", chosen.steps, chosen.batch_size)
                kept.write_text(json.dumps(result))
            found[name]["starts"][start] = json.loads(kept.read_text())
            write_public(RESULTS, document("warm-start", pictures=PICTURES, share=SHARE, nets=found))


if __name__ == "__main__":
    main()
