"""Where files are kept that can be made again: exported graphs, engines, what compilers have tried."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/depthcue`, else `~/.cache/depthcue`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the specification wants relative paths ignored
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "depthcue"
