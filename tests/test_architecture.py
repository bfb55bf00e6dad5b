"""The plan of the house: imports point one way, and the front door opens without torch."""

import ast
import importlib.util
import os
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import depthcue
from depthcue.cli.main import COMMANDS

PACKAGE = Path(depthcue.__file__).parent
FLOORS = (
    ("errors", "progress"), ("colours", "documents"), ("files",), ("imaging", "results"),
    ("frames", "scenes"), ("data",), ("nets",), ("objective", "backends"), ("scorers",), ("training", "export"),
    ("evaluation",), ("probes",), ("runtime",), ("bench",), ("report",), ("answers",), ("masker",),
    ("measurements", "publishing"), ("demo",), ("app",), ("cli", "guides"), ("__main__",),
)
"""Rooms from left to right: a room imports from itself and from floors before its own."""
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
NEVER = {"runtime": {"training", "evaluation", "probes", "report"},
         "report": set(RANK) - {"errors", "colours", "documents", "files", "results", "imaging", "report",
                                "progress"}}


LATER = {("results", "report")}
"""Imported by a function when it is called: a result draws its own figures."""


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(file: Path) -> list[str]:
    """Modules of the package that a file imports, at its top or within functions; of the front door when it runs."""
    found = []
    tree = ast.parse(file.read_text())
    if file == PACKAGE / "__init__.py":
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If)
                                                        and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
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
        if (parts[0], other) in LATER:
            continue
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


RECORDER = """
import os, sys

def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        with open(os.environ["RECORD"], "a") as file:
            file.write(f"{event} {arguments}\\n")

sys.addaudithook(note)
"""
"""For every Python process that is started: what it asks a resolver, and whom it calls."""


@pytest.mark.parametrize("library", ["onnxruntime", "openvino", "huggingface_hub", "ray", "gradio"])
def test_nothing_is_sent_home(library: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    code = (f"import socket, depthcue, {library} as library; getattr(library, 'Core', list)()\n"
            "if hasattr(library, 'get_available_providers'): library.get_available_providers()\n"
            "try: socket.getaddrinfo('depthcue.invalid', 80)\n"  # what is there to be seen is seen
            "except OSError: pass")
    record = tmp_path / "record"
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": "", "RECORD": str(record),
                   "PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, env=environment)
    lines = record.read_text().splitlines()
    assert len(lines) == 1 and "depthcue.invalid" in lines[0]
    # where ONNX Runtime and OpenVINO keep what they are about to send, and by which name they know this machine
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record", "sitecustomize.py"]


def test_a_users_own_setting_is_obeyed() -> None:
    code = "import depthcue, os; print(*(os.environ[name] for name in depthcue.REPORTS_OFF))"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True,
                          env={**os.environ, **dict.fromkeys(depthcue.REPORTS_OFF, "mine")})
    assert done.stdout.split() == ["mine"] * len(depthcue.REPORTS_OFF)


def _processor_seconds(code: str) -> float:
    """Least processor's time of a Python process that runs the code, of several runs."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_help_answers_at_once() -> None:
    """Within 0.3 s of what its libraries take: what a machine needs for these is not the command line's."""
    helped = "from depthcue.cli.main import main; assert main(['--help']) == 0"
    check = "\nimport sys; assert not {'numpy', 'torch', 'matplotlib', 'PIL'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", helped + check], check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert _processor_seconds(helped) < _processor_seconds("import typer, rich") + 0.3


def test_a_picture_is_masked_without_what_exports_renders_or_trains(tmp_path: Path) -> None:
    """`depthcue mask one.jpg` imports no library that it does not run."""
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(picture)
    code = (f"from depthcue.cli.main import main; assert main(['mask', {str(picture)!r}, '--out', "
            f"{str(tmp_path / 'masks')!r}, '--save', 'mask', '-q']) == 0; import sys; loaded = set(sys.modules); "
            "others = {'onnx', 'onnxruntime', 'openvino', 'ray', 'matplotlib', 'depthcue.export', 'depthcue.scenes', "
            "'depthcue.data', 'depthcue.training', 'depthcue.runtime.cluster'} & loaded; assert not others, others")
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=120)
    assert (tmp_path / "masks").is_dir()


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(file) for file in PACKAGE.rglob("*.py") if ast.get_docstring(ast.parse(file.read_text())) is None]
    assert silent == []


CONTRACTS = {
    "test_architecture.py": "the whole package",
    "test_packaging.py": "the wheel and the source distribution",
    "test_readme.py": "README, guides and RESULTS.md against files, code and command line",
    "test_teaching.py": "benchmarks/teach.py",
    "backends/test_session_contract.py": "every session, of masks and of depths",
    "cli/test_files_name_data.py": "a card that names code, given to every command",
    "cli/test_foreign_targets.py": "a user's own net, through every command",
    "cli/test_help.py": "help pages, lists and progress of every command",
    "cli/test_mistakes.py": "mistakes of newcomers, in every command",
    "export/test_precisions.py": "every precision of an exported net",
    "frames/test_containers.py": "what FFmpeg may open, for every source",
    "frames/test_display.py": "high dynamic range and transparency, of videos and of stills",
    "frames/test_sources.py": "every frame source",
    "report/test_page_in_browser.py": "the page of every report, in a browser",
    "runtime/test_live_job.py": "the whole job on live sources",
}
"""Test files of no single module or command, and what each is about."""


def test_tests_mirror_the_package() -> None:
    """`tests/ROOM/test_NAME.py` tests the module `NAME` of that room; in `tests/cli`, the command of that name too."""
    tests = Path(__file__).parent
    commands = {name.replace("-", "_") for name in COMMANDS}
    strays = set()
    for file in tests.rglob("test_*.py"):
        path = file.relative_to(tests)
        name = file.stem.removeprefix("test_")
        if not ((PACKAGE / path.parent / f"{name}.py").is_file() or (path.parent == Path("cli") and name in commands)):
            strays.add(path.as_posix())
    assert strays == set(CONTRACTS)


def test_no_name_stands_twice() -> None:
    """A class has a name of its own, and so has a module, but for a command's measurement and its report."""
    commands = {name.replace("-", "_") for name in COMMANDS}
    files = [file for file in PACKAGE.rglob("*.py") if not file.stem.startswith("__")]
    classes = Counter(node.name for file in files for node in ast.walk(ast.parse(file.read_text()))
                      if isinstance(node, ast.ClassDef))
    modules = Counter(file.stem for file in files if file.stem not in commands)
    assert [name for name, count in (classes + modules).items() if count > 1] == []


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
