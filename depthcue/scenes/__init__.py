"""Rendered RGB-D worlds whose cues are known: rooms and roads, ray cast in batches, deterministic for a seed."""

from depthcue.scenes.api import KINDS, Rendering, render

__all__ = ["KINDS", "Rendering", "render"]
