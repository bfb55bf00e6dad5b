"""The border to Ray: slots counted, waiting that can be interrupted; and a true cluster, killed in mid-run."""

import ipaddress
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, cluster, cluster_ray
from depthcue.runtime.cluster import ClusterOptions, mask_on_cluster
from depthcue.runtime.cluster_ray import Slots, _polling, joined, share_out


@pytest.mark.parametrize(("nodes", "device", "workers", "slots"), [
    ([(2, 0)], "auto", None, Slots(1, 2, "cpu")),
    ([(2, 0)], "auto", 2, Slots(2, 1, "cpu")),
    ([(64, 0), (10, 0), (0, 0)], "cpu", None, Slots(18, 4, "cpu")),
    ([(64, 0), (10, 0)], "cpu", 3, Slots(3, 21, "cpu")),
    ([(96, 8), (96, 8), (32, 0)], "auto", None, Slots(16, 12, "cuda")),
    ([(96, 8), (4, 8)], "cuda", 3, Slots(3, 1, "cuda")),
    ([(96, 8)], "cpu", None, Slots(24, 4, "cpu")),
    ([(8, 0)], "mps", 1, Slots(1, 8, "mps")),
])
def test_slots(nodes, device, workers, slots):
    assert share_out(nodes, device, workers) == slots
    assert slots.gpus == (slots.device == "cuda")


@pytest.mark.parametrize(("device", "workers", "complaint"), [
    ("cuda", None, "no GPU"), ("cuda:1", None, "one GPU of one machine"), ("cpu", 9, "9 workers.*8 cores")])
def test_devices_that_the_cluster_lacks_are_an_error(device, workers, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        share_out([(8, 0)], device, workers)


def test_waiting_polls_and_can_be_interrupted():
    go = threading.Event()

    def slow():
        yield 1
        assert go.wait(30)
        yield 2

    looked = []
    elements = _polling(slow(), lambda: looked.append(None))
    assert next(elements) == 1
    before = len(looked)
    threading.Timer(3 * cluster_ray.POLL_S, go.set).start()
    assert list(elements) == [2] and len(looked) >= before + 3

    def interrupt():
        raise KeyboardInterrupt

    go.clear()
    with pytest.raises(KeyboardInterrupt):
        list(_polling(slow(), interrupt))
    go.set()


def test_what_the_stream_raises_is_raised():
    def broken():
        yield 1
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        list(_polling(broken(), lambda: None))


def test_a_reader_that_is_left_does_not_hold_its_thread():
    before = threading.active_count()
    elements = _polling(iter(range(1000)), lambda: None)
    assert next(elements) == 0
    elements.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline, "the thread is left"
        time.sleep(0.01)


def test_a_missing_ray_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DepthcueError, match=r"(?s)Ray.*depthcue\[ray\]"), joined("local"):
        pass


# --- a true cluster

@pytest.fixture(scope="module")
def processes():
    """A cluster of this machine for all tests of this file."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with joined("local"):
        yield


@pytest.fixture
def reports(processes, monkeypatch):
    """What workers report, as it comes; `reports.then` is called with each."""
    class Reports(list):
        then = staticmethod(lambda report: None)

    reports = Reports()
    stream = cluster_ray.stream

    def noted(*arguments, **how):
        for number, report in stream(*arguments, **how):
            reports.append(json.loads(report))
            yield number, report
            reports.then(reports[-1])

    monkeypatch.setattr(cluster_ray, "stream", noted)
    return reports


def pictures(folder, count):
    folder.mkdir()
    for number in range(count):
        values = np.random.default_rng(number).integers(0, 200, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number:03d}.png")


def mask(sources, out, weights, **options):
    options = MaskOptions(weights=str(weights), backend="torch", device="cpu", **{"save": ("mask",), **options})
    mask_on_cluster([str(sources)], str(out), options, ClusterOptions(workers=2), Silent())
    return json.loads((out / "summary.json").read_text())


@pytest.mark.slow
def test_sigterm_stays_what_it_was(monkeypatch):
    import ray

    def init(*words, **options):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        if stopped:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before, stopped = signal.getsignal(signal.SIGTERM), False
    with joined("10.0.0.1:6379"):
        assert signal.getsignal(signal.SIGTERM) is before
    stopped = True
    with pytest.raises(SystemExit) as ended, joined("10.0.0.1:6379"):
        pass
    assert ended.value.code == 143 and signal.getsignal(signal.SIGTERM) is before


def test_a_worker_killed_in_mid_run(reports, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PICTURES_PER_TASK", {"cpu": 2})
    pictures(tmp_path / "in", 40)
    killed = []

    def kill(report):
        if not killed:
            killed.append(report["worker"]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    reports.then = kill
    summary = mask(tmp_path / "in", tmp_path / "out", weights)
    names = [f"{number:03d}" for number in range(40)]
    assert sorted(entry["name"] for entry in summary["inputs"]) == names
    assert summary["totals"]["failed"] == 0 and summary["totals"]["frames"] == 40
    assert len({report["worker"]["pid"] for report in reports}) >= 2
    assert sorted(os.listdir(tmp_path / "out")) == [*(f"{name}_mask.png" for name in names), "summary.csv",
                                                     "summary.json"]
    for name in names:
        Image.open(tmp_path / "out" / f"{name}_mask.png").load()
    assert mask(tmp_path / "in", tmp_path / "out", weights, resume=True)["totals"]["resumed"] == 40


DEADLY = '''
import os
import signal


def network():
    def depth(normalised):
        if normalised.min() > 1:  # an all-white picture
            os.kill(os.getpid(), signal.SIGKILL)
        return 1 + normalised[:, :1] ** 2
    depth.depth_description = {"predicts": "metric", "size": "48x32", "multiple": 16}
    return depth
'''


@pytest.mark.slow
def test_a_picture_that_kills_its_worker_fails_alone(reports, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PICTURES_PER_TASK", {"cpu": 2})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deadly.py").write_text(DEADLY)
    pictures(tmp_path / "in", 7)
    Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(tmp_path / "in" / "white.png")
    summary = mask(tmp_path / "in", tmp_path / "out", weights, save=("depth",), target="python:deadly:network")
    failed = [entry["name"] for entry in summary["inputs"] if entry["error"]]
    assert failed == ["white"] and len(summary["inputs"]) == 8


@pytest.mark.slow
def test_the_command_starts_and_ends_a_cluster(weights, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    pictures(tmp_path / "in", 5)
    (tmp_path / "in" / "empty.png").touch()
    done = subprocess.run([sys.executable, "-m", "depthcue.cli", "mask", "in", "--cluster", "local", "--workers", "1",
                           "--backend", "torch", "--weights", str(weights), "--out", "out", "--json"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["totals"]["inputs"] == 6 and summary["totals"]["failed"] == 1
    assert "in/empty.png" in done.stderr and "Traceback" not in done.stderr


def listening(process):
    """(address, port) that a process listens on, as Linux tells; none of one that has ended meanwhile."""
    found = []
    with suppress(OSError):
        links = (os.readlink(path) for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink())
        sockets = {link[8:-1] for link in links if link.startswith("socket:")}
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in sockets:
                    address, port = fields[1].split(":")
                    words = b"".join(bytes.fromhex(address[at:at + 8])[::-1] for at in range(0, len(address), 8))
                    found.append((ipaddress.ip_address(words), int(port, 16)))
    return found


def offspring(process):
    """The process and all that it has started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found = [process]
    for each in found:
        found += parents.get(each, [])
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_cluster_of_this_machine_is_closed_to_others(reports, weights, tmp_path):
    import ray

    pictures(tmp_path / "in", 4)
    seen = []
    reports.then = lambda report: seen.extend(each for process in offspring(os.getpid()) for each in listening(process))
    mask(tmp_path / "in", tmp_path / "out", weights)
    assert len({port for _, port in seen}) > 4  # Ray's own processes and the workers
    # an IPv4 address within IPv6 is what it holds
    assert all((getattr(address, "ipv4_mapped", None) or address).is_loopback for address, _ in seen)
    stranger = subprocess.run(
        [sys.executable, "-c", f"import ray; ray.init({ray.get_runtime_context().gcs_address!r})"],
        env={**os.environ, "RAY_AUTH_TOKEN": "of another"}, capture_output=True, text=True, timeout=120)
    assert stranger.returncode != 0 and "uthenticat" in stranger.stderr
