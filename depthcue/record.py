"""What every measurement and every card records: machine, versions, revision; and how it is written."""

import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from depthcue.atomic import make_folder, write_text
from depthcue.errors import DepthcueError
from depthcue.text import NOT_UTF8, argument, shown

SCHEMA = 1
"""Version of the results.json documents; a reader refuses others."""


def revision() -> str:
    """The git revision of the source tree, with `+` when it has changes; the package version elsewhere."""
    folder = Path(__file__).resolve().parent.parent
    version = metadata.version("depthcue") if _installed() else "0"
    if not (folder / ".git").exists():
        return version
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return version
    return described.stdout.strip()


def machine() -> dict[str, Any]:
    """What ran a measurement: processor, cores, GPU, and the versions that decide speed and rounding."""
    import torch

    return {
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def begin(out: str | os.PathLike[str]) -> Path:
    """Make the folder of a measurement, and take the results.json of an earlier one out of it.

    Beside the pictures of a measurement that was stopped, it would pass for the whole of that one.

    Raises:
        DepthcueError: the folder cannot be made or written.
    """
    folder = make_folder(out)
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as error:
        raise DepthcueError(f"{folder / 'results.json'} cannot be replaced: {error.strerror}",
                            "Choose another --out.") from error
    return folder


def arguments() -> list[str]:
    """The words that this program was called with; of addresses what may be seen by all."""
    return [shown(argument(word)) for word in sys.argv[1:]]


def document(command: str, **fields: Any) -> dict[str, Any]:
    """Open a results document: schema, command, the words it was called with, revision, machine, then `fields`."""
    return {"schema": SCHEMA, "command": command, "arguments": arguments(),
            "revision": revision(), "machine": machine(), **fields}


def json_text(content: Any, indent: int | None = None) -> str:
    """`content` as JSON, its texts as they are `shown`. NaN is refused: a reader in another language would be."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return NOT_UTF8.sub(lambda found: "\\" + shown(found[0]), text)  # in JSON a backslash is written as two


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all; see `json_text`."""
    write_text(path, json_text(content, indent=2) + "\n")


def write_public(path: str | os.PathLike[str], content: Any) -> None:
    """As `write_json`, for results that are kept with the code: without the paths of the machine that made them."""
    write_json(path, without_paths(content))


def without_paths(value: Any) -> Any:
    """A card or results document for others to read: paths in specs and options become PATH."""
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_paths(entry) for entry in value]
    if isinstance(value, str):
        value = re.sub(r"\b(nyu|kitti|folder|compact|drn22|hu-\w+|laina-\w+|monodepth2-\w+):\S+", r"\1:PATH", value)
        value = re.sub(r"\b(hf|hub|onnx):[/.~][^\s,:]*", r"\1:PATH", value)
        return "PATH" if value.startswith(("/", ".", "runs/")) else value
    return value


def _installed() -> bool:
    try:
        metadata.version("depthcue")
    except metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
