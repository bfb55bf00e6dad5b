"""`hub:REPO_OR_DIR:ENTRY`: an entry of a hubconf.py, in a folder here or in a GitHub repository, through torch.hub.

Naming a repository is taken as trust in its code, which is run. The entry is called without arguments. Few entries say
what they predict: `depth_description` as in `python_object`, or words behind the spec.
"""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet
from depthcue.nets.foreign.adapter import failed
from depthcue.nets.foreign.python_object import as_depth_net

FORM = "hub:OWNER/REPO:ENTRY, or hub:FOLDER:ENTRY for a folder with a hubconf.py"


def open_net(place: str, asked: Mapping[str, str]) -> DepthNet:
    """The net of a torch.hub entry."""
    repository, colon, entry = place.rpartition(":")
    if not (colon and repository and entry):
        raise DepthcueError(f"hub:{place} does not say which entry", f"Write {FORM}.")
    local = Path(repository).is_dir()
    if local and not (Path(repository) / "hubconf.py").is_file():
        raise DepthcueError(f"{repository} has no hubconf.py", f"Write {FORM}.")
    if not local and repository.partition(":")[0].count("/") != 1:
        raise DepthcueError(f"there is no folder {repository}, nor is it OWNER/REPO", f"Write {FORM}.")
    try:
        # what such code prints belongs to the log: stdout is for results
        with contextlib.redirect_stdout(sys.stderr):
            made = torch.hub.load(repository, entry, source="local" if local else "github", trust_repo=True,
                                  verbose=False)
    except Exception as error:
        hint = ("The entry is called without arguments." if local else
                "A repository is downloaded once, which needs internet; the entry is called without arguments.")
        raise failed(f"torch.hub entry {entry} of {repository}", error, hint) from error
    return as_depth_net(made, f"hub:{place}", asked)
