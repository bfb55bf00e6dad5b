"""Every experiment by name, in the order of the list."""

from depthcue.probes.contract import Experiment
from depthcue.probes.experiments import pitch, position_size, roll

EXPERIMENTS: dict[str, Experiment] = {module.EXPERIMENT.name: module.EXPERIMENT for module in (
    position_size, pitch, roll)}
