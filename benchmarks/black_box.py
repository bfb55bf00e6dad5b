"""FastDepth explained as a black box, through a surrogate, and with its gradients: how much is lost.

    python benchmarks/black_box.py --target "onnx:fastdepth_nyu.onnx,takes=rgb,predicts=metric" --data nyu:NYU
        --out runs/black-box

Both mask nets start from nothing (an encoder with ImageNet weights) and take the same steps on the same pictures; the
surrogate takes as many again before. Error through shares of the pixels, against what FastDepth itself sees in
the whole picture, on the test pictures of the data. The result is benchmarks/results/black-box.json.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from depthcue.data import RgbdData, open_data
from depthcue.evaluation.compare_edges import CompareEdgesSettings, compare_edges
from depthcue.evaluation.metrics import mean_squared_difference
from depthcue.evaluation.viewing import Viewing
from depthcue.files import document, write_public
from depthcue.nets import load_depth_net, load_mask_net, resize
from depthcue.training.mask import MaskTraining, mask_recipe, run_mask_training

RESULTS = Path(__file__).resolve().parent / "results" / "black-box.json"
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)


def main() -> None:
    """Train both, and compare each with edges and chance on the same test pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=200, help="to train on")
    parser.add_argument("--test-pictures", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    test = open_data(chosen.data, "test", limit=chosen.test_pictures)
    curves: dict[str, Any] = {}
    for name, surrogate in (("with gradients", False), ("as a black box", True)):
        what = MaskTraining(chosen.target, (chosen.data,), net="lite0", backbone="imagenet", surrogate=surrogate,
                            batch_size=chosen.batch_size, limit=chosen.pictures,
                            **mask_recipe("lite0", steps=chosen.steps, epochs=None, learning_rate=None, schedule=None,
                                          average=None))
        folder = chosen.out / name.replace(" ", "-")
        trained = run_mask_training(what, folder, device="cpu", resume=(folder / "config.json").exists())
        found = compare_edges(load_mask_net(str(trained.weights)), trained.target, test, folder / "check",
                              CompareEdgesSettings(shares=SHARES, soft_maps=False, gallery=False, examples=0,
                                       against=() if curves else ("sobel", "random")))
        curves |= {name if way == "mask" else way: [{key: entry[key] for key in (
            "sparseness", "rmse_to_target", "rmse_to_target_ci95")} for entry in entries]
            for way, entries in found["curves"].items()}
    write_public(RESULTS, document(
        "black-box", target=chosen.target, data=chosen.data, steps=chosen.steps, batch_size=chosen.batch_size,
        pictures=chosen.pictures, test_pictures=len(test), curves=curves,
        surrogate_to_target=_apart(chosen.target, chosen.out / "as-a-black-box" / "surrogate" / "depth.safetensors",
                                   test)))


def _apart(target: str, weights: Path, test: RgbdData) -> float:
    """RMSE in metres between surrogate and depth net on whole test pictures."""
    net, surrogate = load_depth_net(target), load_depth_net(str(weights))
    far = net.description.depth_range / surrogate.description.depth_range
    squares: list[float] = []
    for view in Viewing(net, test, multiple=surrogate.description.multiple).views():
        height, width = view.target_m.shape[-2:]
        with torch.inference_mode():
            seen = resize(surrogate(view.normalised) * far, (height, width))
        squares += mean_squared_difference(seen, view.target_m).tolist()
    return round((sum(squares) / len(squares)) ** 0.5, 4)


if __name__ == "__main__":
    main()
