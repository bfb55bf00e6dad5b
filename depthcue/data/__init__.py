"""RGB-D data sets behind one spec, their augmentation, and batches for training that resume exactly."""

from depthcue.data.augmentation import NONE, PUBLISHED, STRONG, Augmentation, training_batch
from depthcue.data.loader import BatchLoader
from depthcue.data.sequence import KnownMotion
from depthcue.data.spec import open_data, open_motion
from depthcue.data.stored import Frames, KnownScenes, RgbdBatch, RgbdData, SceneTruth

__all__ = ["NONE", "PUBLISHED", "STRONG", "Augmentation", "RgbdBatch", "BatchLoader", "Frames", "KnownMotion",
           "KnownScenes", "RgbdData", "SceneTruth", "open_data", "open_motion", "training_batch"]
