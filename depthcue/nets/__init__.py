"""Depth nets N and mask nets G: tensors in, tensors out."""

from depthcue.nets.base import (
    DepthDescription,
    DepthNet,
    MaskDescription,
    MaskNet,
    NetOnFrames,
    Setting,
    require_gradients,
    restore_mode,
)
from depthcue.nets.catalog import build_depth_net, build_mask_net, load_depth_net, load_mask_net, load_target_of
from depthcue.nets.guard import depth_from, fit, resize, whole_depth, working_size
from depthcue.nets.upsampling import exchanging

__all__ = [
    "DepthDescription", "DepthNet", "MaskDescription", "MaskNet", "NetOnFrames", "Setting", "build_depth_net",
    "build_mask_net", "depth_from", "exchanging", "fit", "load_depth_net", "load_mask_net", "load_target_of",
    "require_gradients", "resize", "restore_mode", "whole_depth", "working_size",
]
