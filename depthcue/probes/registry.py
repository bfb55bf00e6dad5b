"""Every experiment by name, in the order of the list."""

from depthcue.probes.contract import Experiment
from depthcue.probes.experiments import ground_edge, parts, pitch, position_size, roll, unfamiliar

EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in (
    position_size, pitch, roll, unfamiliar, parts, ground_edge)}
