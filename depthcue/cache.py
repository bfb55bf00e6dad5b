"""Where files are kept that can be made again: exported graphs, engines, what compilers have tried."""

import hashlib
import os
from pathlib import Path

from depthcue.text import file_label


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/depthcue`, else `~/.cache/depthcue`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the specification wants relative paths ignored
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "depthcue"


def cached_file(kind: str, facts: str, name: str, suffix: str) -> Path:
    """The file in the cache of what these facts decide.

    Their hash alone tells it from others. The name is for people, and comes from anyone's card: what could lead out of
    the folder, or is too long, is taken out of it.
    """
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    return cache_folder() / kind / f"{file_label(name)}-{key}{suffix}"
