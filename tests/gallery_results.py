"""A folder of compare-edges results with a gallery, made by hand: what a page is made from, without any net."""

import json
from pathlib import Path

import numpy as np
from comparison_results import comparison_results
from PIL import Image

SIZE = (96, 128)
"""Of pictures; masks have half of it."""
MEANS = {0.5: 0.9, 2.0: 0.24, 6.0: 0.1}


def results_folder(folder: Path, name: str = "room", data: str = "scenes:indoor", stills: int = 1) -> Path:
    """Make a folder with results.json and its stills; masks are ramps from 0 at the left to twice their mean."""
    folder.mkdir(parents=True)
    results = comparison_results()
    results["data"]["spec"] = data
    results |= {
        "arguments": ["compare-edges", "--data", data, "--out", "PATH"], "revision": "abc123", "seed": 0,
        "machine": {"processor": "a chip", "torch": "2.15"}, "gallery": [],
        **{part: {"name": f"a {part}", "sha256": "0123456789abcdef"} for part in ("weights", "target_net")}}
    for number in range(stills):
        results["gallery"].append(_still(folder, number, f"{name} {number + 1}"))
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def _still(folder: Path, number: int, name: str) -> dict[str, object]:
    height, width = SIZE
    draws = np.random.default_rng(number)
    ramp = np.tile(np.linspace(0, 1, width // 2), (height // 2, 1))

    def save(part: str, pixels: np.ndarray) -> str:
        path = f"still-{number}-{part}.png"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / path)
        return path

    def plain(*colour: int) -> np.ndarray:
        return np.full((height, width, 3), colour)

    steps = [{"lambda": lam, "mean": mean, "above_half": mean, "difference_m": 0.1 * lam,
              "mask": save(f"mask-{step}", ramp * 2 * mean * 255),
              "depth": save(f"depth-{step}", plain(0, 80 * step, 0))}
             for step, (lam, mean) in enumerate(MEANS.items())]
    return {"name": name, "near_m": 1.0, "far_m": 5.0, "picture": save("picture", draws.uniform(0, 255, (*SIZE, 3))),
            "edges": save("edges", draws.uniform(0, 255, ramp.shape)), "depth": save("depth", plain(200, 0, 0)),
            "depth_truth": save("truth", plain(0, 0, 200)), "steps": steps}
