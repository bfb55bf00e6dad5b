"""RGB-D data sets behind one spec, their augmentation, and batches for training that resume exactly."""

from depthcue.data.batches import NONE, PUBLISHED, STRONG, Augmentation, BatchLoader, training_batch
from depthcue.data.layouts import open_data, open_motion
from depthcue.data.stored import Frames, KnownMotion, KnownScenes, RgbdBatch, RgbdData, SceneTruth

__all__ = ["NONE", "PUBLISHED", "STRONG", "Augmentation", "RgbdBatch", "BatchLoader", "Frames", "KnownMotion",
           "KnownScenes", "RgbdData", "SceneTruth", "open_data", "open_motion", "training_batch"]
