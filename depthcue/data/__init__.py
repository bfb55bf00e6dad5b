"""RGB-D data sets behind one spec, their augmentation, and batches for training that resume exactly."""

from depthcue.data.augmentation import NONE, PUBLISHED, STRONG, Augmentation, training_batch
from depthcue.data.loader import BatchLoader
from depthcue.data.rgbd import Frames, KnownScenes, RgbdBatch, RgbdData, SceneTruth
from depthcue.data.spec import open_data

__all__ = ["NONE", "PUBLISHED", "STRONG", "Augmentation", "RgbdBatch", "BatchLoader", "Frames", "KnownScenes",
           "RgbdData",
           "SceneTruth", "open_data", "training_batch"]
