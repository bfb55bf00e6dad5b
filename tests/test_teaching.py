"""benchmarks/teach.py: what it leaves loads, and each lesson trains what it says."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from depthcue.nets import build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.checkpoint import save_net

TEACH = Path(__file__).parents[1] / "benchmarks" / "teach.py"


def teach(part: str, student: str, out: Path, *more: str) -> dict[str, torch.Tensor]:
    subprocess.run([sys.executable, TEACH, part, student, "--data", "scenes:indoor:2", "--size", "64x48", "--steps",
                    "1", "--batch-size", "2", "--out", out, *more], check=True, timeout=300)
    return load_file(out)


@pytest.mark.parametrize("student", ["drn22", pytest.param("hu-resnet50", marks=pytest.mark.slow)])
def test_a_taught_net_loads_and_keeps_its_encoder(student: str, tmp_path: Path) -> None:
    encoder = teach("encoder", student, tmp_path / "encoder.safetensors")
    net = teach("decoder", student, tmp_path / "net.safetensors", "--backbone", str(tmp_path / "encoder.safetensors"))
    assert all(torch.equal(net[f"E.{name}"], tensor) for name, tensor in encoder.items())
    load = load_mask_net if student == "drn22" else load_depth_net
    with torch.inference_mode():
        answer = load(str(tmp_path / "net.safetensors"))(torch.zeros(1, 3, 48, 64))
    assert torch.isfinite(answer).all() and answer.shape[:2] == (1, 1)


def test_the_order_of_pixels_is_taught_to_the_whole_of_a_mask_net(tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    save_net(build_mask_net("drn22", target="compact-indoor", height=48, width=64, default_lambda=3.0), first,
             architecture="drn22", training={})
    net, before = teach("order", "drn22", tmp_path / "net.safetensors", "--init", str(first)), load_file(first)
    moved = [name for name, tensor in net.items() if not torch.equal(tensor, before[name])]
    assert any(name.startswith("E.") for name in moved) and any(name.startswith("D.") for name in moved)


def test_the_order_of_pixels_is_1_for_the_highest_of_each_picture() -> None:
    order = runpy.run_path(str(TEACH))["order"]
    scores = torch.tensor([[[[0.1, 0.2], [0.9, 0.3]]], [[[5.0, 4.0], [3.0, 2.0]]]])
    third = 1 / 3
    wanted = torch.tensor([[[[0, third], [1, 2 * third]]], [[[1, 2 * third], [third, 0]]]])
    torch.testing.assert_close(order(scores), wanted)
