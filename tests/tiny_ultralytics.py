"""Depth models of Ultralytics: YOLO26n-Depth with random weights, saved as anyone's are."""

import copy
import importlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

# before it is imported: no host name is resolved and nothing is installed
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
_opened = Image.open
pytest.importorskip("ultralytics", reason="ultralytics is not installed (extra ultralytics)")
importlib.import_module("ultralytics.nn.tasks")
Image.open = _opened  # which its import replaces


def model(task: str = "depth") -> nn.Module:
    """One whose weights are large enough for a picture to be told from another, with a calibration of its own."""
    from ultralytics.nn import tasks

    made: Any = {"depth": tasks.DepthModel, "detect": tasks.DetectionModel}[task](
        "yolo26n-depth.yaml" if task == "depth" else "yolo26n.yaml", verbose=False)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (2.0 / parameter[0].numel()) ** 0.5, generator=chance)
        if task == "depth":
            made.model[-1].head[-1].weight.mul_(20.0)
            made.model[-1].cal_a.fill_(0.9)
            made.model[-1].cal_b.fill_(0.7)
    return made.eval()


def save(path: Path, made: nn.Module, side: int = 64, **more: Any) -> str:
    """A .pt as Ultralytics' trainer writes it, in 16 bit."""
    torch.save({"epoch": -1, "model": None, "ema": copy.deepcopy(made).half(), "optimizer": None,
                "train_args": {"imgsz": side, "task": "depth"}, "version": "8.4", **more}, path)
    return f"ultralytics:{path}"

