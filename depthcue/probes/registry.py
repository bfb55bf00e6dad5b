"""Every experiment by name, in the order of the list."""

from depthcue.probes.contract import Experiment
from depthcue.probes.experiments import (
    appearance,
    blur,
    ground_edge,
    haze,
    occlusion,
    parts,
    perspective,
    pitch,
    position_size,
    relative_size,
    roll,
    shading,
    texture_gradient,
    unfamiliar,
    viewpoint,
)

EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in (
    position_size, perspective, relative_size, occlusion, texture_gradient, shading, haze, blur, pitch, roll,
    viewpoint, appearance, unfamiliar, parts, ground_edge)}
