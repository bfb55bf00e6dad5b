"""depthcue: what a monocular depth network looks at, measured."""

__version__ = "0.1.0"
