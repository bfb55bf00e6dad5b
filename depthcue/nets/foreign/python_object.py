"""`python:package.module:factory`: whatever a function of the user's own returns.

The factory is called without arguments and returns a module, or any function from pictures to depth. It is imported
from the current directory too. What it predicts it says in an attribute `depth_description`, a DepthDescription or a
dictionary, on what is returned or on the factory.

`hub:REPO_OR_DIR:ENTRY`: an entry of a hubconf.py, in a folder here or in a GitHub repository, through torch.hub.

Naming a repository is taken as trust in its code, which is run. The entry is called without arguments. Few entries say
what they predict: `depth_description` as in `python_object`, or words behind the spec.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet
from depthcue.nets.foreign.adapter import ForeignDepthNet, failed, state_sha256, statement

OBJECT_FORM = "python:package.module:factory"


def open_object(location: str, given: Mapping[str, str]) -> DepthNet:
    """The net that `package.module:factory` returns."""
    factory = _find(location)
    try:
        made = factory()
    except Exception as error:
        raise failed(f"{location}()", error, "The factory is called without arguments.") from error
    return as_depth_net(made, f"python:{location}", given, getattr(factory, "depth_description", None))


def as_depth_net(made: Any, name: str, given: Mapping[str, str], stated: Any = None) -> DepthNet:
    """What a factory returned, as a depth net; what it says of itself comes before `stated`.

    Raises:
        DepthcueError: it is neither a module nor a function, or says of itself what makes no sense.
    """
    if isinstance(made, DepthNet):
        if given:
            raise DepthcueError(f"{name} is a depth net that describes itself; {', '.join(given)} cannot be given",
                                "Leave them out.")
        made.card = {"kind": "depth", "name": name, "sha256": state_sha256(made), **made.card}
        return made
    if not callable(made):
        raise DepthcueError(f"{name} returned a {type(made).__name__}",
                            "It has to return a torch module, or a function from pictures (B, 3, H, W) to depth.")
    stated = getattr(made, "depth_description", stated)
    return ForeignDepthNet(made, statement(name, {}, stated, given),
                           sha256=state_sha256(made) if isinstance(made, nn.Module) else None)


def _find(location: str) -> Any:
    module_name, colon, attribute = location.partition(":")
    if not (colon and module_name and attribute):
        raise DepthcueError(f"python:{location} does not say which function", f"Write {OBJECT_FORM}.")
    here = os.getcwd()
    if here not in sys.path:
        # a console script does not look where it is called, which is where one's own code lies; it stays there, since
        # that code may import more of itself later
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise DepthcueError(f"there is no module {module_name} (looked in {here} and where Python's packages are)",
                                f"Write {OBJECT_FORM}.") from None
        raise failed(f"importing {module_name}", error, "Install what it needs.") from error
    except Exception as error:
        raise failed(f"importing {module_name}", error, "Put it right there.") from error
    if not callable(getattr(module, attribute, None)):
        raise DepthcueError(f"{module_name} has no function {attribute}", f"Write {OBJECT_FORM}.")
    return getattr(module, attribute)


HUB_FORM = "hub:OWNER/REPO:ENTRY, or hub:FOLDER:ENTRY for a folder with a hubconf.py"


def open_hub_net(location: str, given: Mapping[str, str]) -> DepthNet:
    """The net of a torch.hub entry."""
    repository, colon, entry = location.rpartition(":")
    if not (colon and repository and entry):
        raise DepthcueError(f"hub:{location} does not say which entry of torch.hub gives the depth net",
                            f"Write {HUB_FORM}. A published mask net, hub:OWNER/NAME, is for --weights.")
    local = Path(repository).is_dir()
    if local and not (Path(repository) / "hubconf.py").is_file():
        raise DepthcueError(f"{repository} has no hubconf.py", f"Write {HUB_FORM}.")
    if not local and repository.partition(":")[0].count("/") != 1:
        raise DepthcueError(f"there is no folder {repository}, nor is it OWNER/REPO", f"Write {HUB_FORM}.")
    try:
        # what such code prints belongs to the log: stdout is for results
        with contextlib.redirect_stdout(sys.stderr):
            made = torch.hub.load(repository, entry, source="local" if local else "github", trust_repo=True,
                                  verbose=False)
    except Exception as error:
        hint = ("The entry is called without arguments." if local else
                "A repository is downloaded once, which needs internet; the entry is called without arguments.")
        raise failed(f"torch.hub entry {entry} of {repository}", error, hint) from error
    return as_depth_net(made, f"hub:{location}", given)
