"""The paper's nets against what the authors' own code outputs on formula weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import formula_state, golden_input

from depthcue.nets import load_depth_net, load_mask_net


@pytest.mark.parametrize(("kind", "spec", "load"), [("mask", "drn22", load_mask_net),
                                                    ("resnet", "hu-resnet50", load_depth_net),
                                                    ("densenet", "hu-densenet161", load_depth_net)])
def test_released_layout_gives_the_authors_output(shared_data: Path, tmp_path: Path, kind: str, spec: str,
                                                  load: Callable[[str], torch.nn.Module]) -> None:
    layout = json.loads((shared_data / "official" / f"{kind}_keys.json").read_text())
    state = formula_state(layout["tensors"])
    # as released: pickled, no extension, behind DataParallel, no num_batches_tracked
    checkpoint = tmp_path / f"model_{kind}"
    torch.save({f"module.{key}": value for key, value in state.items()}, checkpoint)

    net = load(f"{spec}:{checkpoint}")

    assert sum(parameter.numel() for parameter in net.parameters()) == layout["parameters"]
    with torch.inference_mode():
        output = net(golden_input()).numpy()
    expected = np.load(shared_data / "official" / f"{kind}_out.npy")
    assert output.shape == expected.shape
    # float32 sums in another order, through some sixty layers
    np.testing.assert_allclose(output, expected, atol=2e-4 * np.abs(expected).max())
