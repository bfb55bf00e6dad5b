"""Masking pictures, videos and live streams: choosing a backend, the threaded pipeline, what `depthcue mask` does."""

from depthcue.backends.session import Session
from depthcue.runtime.mask_job import mask_sources
from depthcue.runtime.masking import MaskOptions
from depthcue.runtime.opening import open_session

__all__ = ["MaskOptions", "Session", "mask_sources", "open_session"]
