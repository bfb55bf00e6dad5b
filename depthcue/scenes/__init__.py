"""Rendered RGB-D worlds whose cues are known: rooms and roads, ray cast in batches, deterministic for a seed."""

from depthcue.scenes.api import KINDS, render
from depthcue.scenes.render import Rendering
from depthcue.scenes.world import ObjectTurn, Turn

__all__ = ["KINDS", "ObjectTurn", "Rendering", "Turn", "render"]
