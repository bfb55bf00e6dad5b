"""Put a trained net among the shipped weights, with what its card must say to strangers.

    python weights/ship.py RUN/depth.safetensors compact-indoor --results benchmarks/results/compare-edges-nyu.json

copies the weights to weights/NAME-KIND.safetensors and writes their card: paths of the machine that trained it become
PATH, and the measured numbers are taken from a results file of compare-edges. Without --results the card of weights
that are there already keeps its own.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from depthcue.files import without_paths

HERE = Path(__file__).resolve().parent
LICENCE = {
    "compact-indoor": "MIT. The encoder starts from EfficientNet-Lite0's ImageNet weights. Trained in part on the "
                      "795 labelled training frames of NYU Depth v2 (Silberman, Hoiem, Kohli, Fergus, ECCV 2012), a "
                      "data set for research, and on answers of FastDepth (Wofk et al., ICRA 2019; MIT), which was "
                      "trained on NYU Depth v2 too: look at that data set's terms before use beyond research.",
    "compact-road": "CC BY-NC-SA 3.0, for research. The encoder starts from EfficientNet-Lite0's ImageNet weights. "
                    "Trained on rendered roads, and on answers of Mobile PyDNet (Poggi et al., IROS 2018; code MIT), "
                    "which learned from KITTI (Geiger et al., CC BY-NC-SA 3.0), for a highway video, rendered roads "
                    "and the training frames of NYU Depth v2 (Silberman et al., ECCV 2012), a data set for research.",
    "fastdepth": "MIT. The encoder starts from EfficientNet-Lite0's ImageNet weights. Trained on labelled training "
                 "frames of NYU Depth v2 and frames of 7-Scenes (Shotton et al., CVPR 2013), data sets for research, "
                 "without their depth, and on a hand-held video, through FastDepth (Wofk et al., ICRA 2019; MIT), "
                 "which is not in this file.",
    "pydnet-kitti": "CC BY-NC-SA 3.0, for research. The encoder starts from EfficientNet-Lite0's ImageNet weights, "
                    "by way of masks for several depth nets. Trained on a highway video and rendered roads, without "
                    "depth, through Mobile PyDNet (Poggi et al., IROS 2018; code MIT), which learned from KITTI "
                    "(Geiger et al., CC BY-NC-SA 3.0) and is not in this file.",
    "general": "CC BY-NC-SA 3.0, for research. The encoder starts from EfficientNet-Lite0's ImageNet weights. "
               "Trained on the training frames of NYU Depth v2, frames of 7-Scenes, two videos and rendered roads, "
               "without depth, through five depth nets in turn, which are not in this file: the shipped ones and an "
               "earlier stage of the one for rooms, FastDepth (Wofk et al., ICRA 2019; MIT) and Mobile PyDNet (Poggi "
               "et al., IROS 2018; code MIT), which learned from KITTI (Geiger et al., CC BY-NC-SA 3.0).",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name", choices=LICENCE)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()

    card = json.loads(options.weights.with_suffix(".json").read_text())
    shipped = HERE / f"{options.name}-{card['kind']}.safetensors"
    if options.weights.resolve() != shipped.resolve():
        shutil.copyfile(options.weights, shipped)
    card["licence"] = card["description"]["licence"] = LICENCE[options.name]
    card["description"] |= {"name": options.name, "source": "depthcue"}
    card["training"] = without_paths(card["training"])
    if "target" in card["description"]:
        card["description"]["target"] = without_paths(card["description"]["target"])
        depth_card = HERE / f"{options.name}-depth.json"
        if depth_card.is_file() and json.loads(depth_card.read_text())["sha256"] == card["target_sha256"]:
            card["description"]["target"] = options.name
    if options.results is not None:
        card["results"] = summary(json.loads(options.results.read_text()), card["kind"])
    shipped.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    print(shipped, f"{shipped.stat().st_size / 1e6:.1f} MB")


def summary(results: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a card repeats of a results document."""
    told: dict[str, Any] = {"command": "compare-edges", "data": without_paths(results["data"]["spec"]),
                            "images": results["images"], "target": results["target"]}
    if kind == "mask":
        told["curves"] = {method: [{key: point[key] for key in ("sparseness", "rmse", "rmse_to_target") if key in point}
                                   for point in points] for method, points in results["curves"].items()}
    return told


if __name__ == "__main__":
    main()
