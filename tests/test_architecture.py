"""The plan of the house: imports point one way, and the front door opens without torch."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import depthcue

PACKAGE = Path(depthcue.__file__).parent
FLOORS = (
    ("errors", "progress", "text"), ("atomic", "cache", "device", "documents"), ("record",), ("imaging",),
    ("frames", "scenes"), ("data",),
    ("nets",), ("objective",), ("selection",), ("training", "export"), ("evaluation",), ("probes",), ("runtime",),
    ("bench",), ("report",), ("demo",), ("cli",),
)
"""Rooms from left to right: a room imports from itself and from floors before its own."""
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
NEVER = {"runtime": {"training", "evaluation", "probes", "report"},
         "report": set(RANK) - {"errors", "text", "documents", "atomic", "record", "imaging", "report", "progress"}}


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(file: Path) -> list[str]:
    """Modules of the package that a file imports, at its top or within functions."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.startswith("depthcue.") and not name.startswith("depthcue.__")]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] == "__init__":
        assert imports(file) == []
        return
    for name in imports(file):
        other = room_of(name)
        assert other in RANK, f"{name} belongs to no room"
        assert other == parts[0] or RANK[other] < RANK[parts[0]], f"{parts[0]} imports {name}"
        assert other not in NEVER.get(parts[0], ()), f"{parts[0]} must not import {name}"


@pytest.mark.parametrize("code", [
    "import depthcue",
    "from depthcue.cli.main import main; assert main(['--help']) == 0",
    "import depthcue.report, pkgutil, importlib\n"
    "for module in pkgutil.iter_modules(depthcue.report.__path__, 'depthcue.report.'):\n"
    "    importlib.import_module(module.name)",
])
def test_front_door_and_report_load_no_torch(code: str) -> None:
    check = "\nimport sys; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code + check], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_nothing_is_sent_home(tmp_path: Path) -> None:
    code = "import depthcue.export.running as running; assert running.onnxruntime.get_available_providers()"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=home)
    # where ONNX Runtime keeps what it is about to send, and by which name it knows this machine
    assert not list(tmp_path.rglob("*deviceid*")) and not list(tmp_path.rglob("onnxruntime*"))


def test_help_answers_at_once() -> None:
    code = "from depthcue.cli.main import main; main(['--help'])"
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # the processor's time, which others on a busy machine take less from; 0.3 s is what is wanted on a quiet one
    assert min(seconds) < 0.5


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(file) for file in PACKAGE.rglob("*.py") if ast.get_docstring(ast.parse(file.read_text())) is None]
    assert silent == []


def test_targets_that_files_name_are_opened_by_one_function() -> None:
    """Nothing gives a description's or a card's target to `load_depth_net`, which would run code that it names."""
    opened = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_depth_net":
                given = ast.unparse(node.args[0])
                if "description" in given or "card" in given or "meant" in given:
                    opened.append(f"{file.relative_to(PACKAGE)}: {given}")
    assert opened == ["nets/catalog.py: spec_from_file(description.target, source)"]
