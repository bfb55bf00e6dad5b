"""Engines run as every session does; what does not fit is told, and a machine's own engines are made again."""

import json
import logging
import threading

import fake_tensorrt
import numpy as np
import pytest
import torch
from fake_tensorrt import HostLane

from depthcue.backends.session import OutOfDeviceMemory, Session, halving
from depthcue.backends.tensorrt_backend import TensorRtSession
from depthcue.errors import DepthcueError
from depthcue.export.tensorrt_engine import EngineOptions, write_engine
from depthcue.nets.exported import read_graph_card

VERSIONS = ("10.12.0.36", "11.4.0.16", "1.7.1.116")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "depthcue"


@pytest.fixture
def build(tiny_graph, tmp_path):
    """Builds the engine of the tiny net by whatever TensorRT is installed."""
    def make(**options):
        path = tmp_path / "tiny.engine"
        write_engine(tiny_graph, read_graph_card(tiny_graph, "mask"), path,
                     EngineOptions(**{"batch": (1, 2, 4), **options}))
        return path

    return make


def noise(count, height=32, width=48, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def wanted(net, frames, lam=2.0):
    with torch.inference_mode():
        rgb = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2) / 255
        return net(net.normalise(rgb), torch.full((len(frames),), lam))[:, 0].numpy()


@pytest.mark.parametrize("version", VERSIONS)
def test_masks_are_the_nets_own_in_every_version(build, tiny_net, monkeypatch, version):
    fake_tensorrt.install(monkeypatch, version)
    session = TensorRtSession(build(), dial=3.0)
    assert isinstance(session, Session) and session.dial == 3.0 and session.description.name == "last-word"
    with session:
        for round_number in range(3):
            # the first run of a shape is plain, the second recorded, the third a replay
            for count, height, width in ((3, 32, 48), (1, 24, 72)):
                frames = noise(count, height, width, round_number)
                np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames, 3.0), atol=1e-5)
    # RTX records by itself
    assert HostLane.recorded == (0 if version.startswith("1.7") else 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_frames_on_the_device_are_run_there_again_and_again(build, tiny_net, monkeypatch, version):
    api = fake_tensorrt.install(monkeypatch, version)
    with TensorRtSession(build()) as session:
        frames = noise(2)
        run = session.staged(frames)
        context = api.contexts[-1]
        before = context.runs
        run()
        run()
        assert context.runs == before + 2
        np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames), atol=1e-5)
        with pytest.raises(RuntimeError, match="outside of the profile|refused"):
            session.staged(noise(5))
    with pytest.raises(RuntimeError, match="not entered"):
        session.staged(frames)


def test_batches_of_any_length_are_cut_and_filled_up(build, tiny_net, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    with TensorRtSession(build(batch=(3, 3, 4))) as session:
        for count in (1, 2, 3, 4, 5, 8, 11):
            frames = noise(count)
            masks = session.run(frames)
            assert masks.base is None or not masks.base.shape[0] > count
            np.testing.assert_allclose(masks, wanted(tiny_net, frames), atol=1e-5)


def test_frames_the_engine_was_not_built_for_are_brought_to_its_size_and_that_is_said_once(build, monkeypatch, caplog):
    fake_tensorrt.install(monkeypatch)
    with TensorRtSession(build(sizes=((32, 48),))) as session:
        for _ in range(2):
            assert session.run(noise(2, 64, 48)).shape == (2, 64, 48)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "frames of 48x64 are seen at 48x32" in caplog.text


def test_threads_have_contexts_of_their_own(build, tiny_net, monkeypatch):
    api = fake_tensorrt.install(monkeypatch)
    failures = []

    def work(seed):
        try:
            for turn in range(20):
                frames = noise(1 + turn % 3, seed=seed * 100 + turn)
                np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames), atol=1e-5)
        except BaseException as error:
            failures.append(error)

    with TensorRtSession(build()) as session:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert len(api.contexts) <= 9, "contexts are not used again"


def test_shapes_that_come_no_more_give_up_their_memory(build, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    with TensorRtSession(build(sizes=((16, 16), (32, 48), (96, 96)))) as session:
        for side in range(16, 97, 8):
            session.run(noise(1, side, side))
        assert session._engine._slots.clear() == 8


@pytest.mark.parametrize("where", ["allocation", "run"])
def test_out_of_memory_is_told_as_such_and_the_batch_is_halved(build, tiny_net, monkeypatch, caplog, where):
    fake_tensorrt.install(monkeypatch)
    path = build(batch=(1, 4, 8))
    frames = noise(8)
    one_frame_bytes = frames[0].nbytes + frames[0].nbytes + 4 * (frames[0].nbytes // 3) + 4
    if where == "allocation":
        monkeypatch.setattr(HostLane, "limit_bytes", 3 * one_frame_bytes)
    else:
        run = fake_tensorrt.Context.execute_async_v3

        def fail_large(self, stream):
            self.engine.api.fault = "run" if self.shapes["frames"][0] > 3 else None
            return run(self, stream)

        monkeypatch.setattr(fake_tensorrt.Context, "execute_async_v3", fail_large)
    with TensorRtSession(path) as session, pytest.raises(OutOfDeviceMemory):
        session.run(frames)
    with TensorRtSession(path) as session:
        (masks,) = halving(lambda part: (session.run(part),), "cuda")(frames)
    np.testing.assert_allclose(masks, wanted(tiny_net, frames), atol=1e-5)
    assert "batches of 2 frames" in caplog.text


def test_memory_that_other_shapes_hold_is_given_up_first(build, tiny_net, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    made = []

    class Little(HostLane):
        """One slot fits."""

        def device(self, shape, dtype):
            made.append(shape)
            if len(shape) == 4 and len(session._engine._slots._free) > 0:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().device(shape, dtype)

    monkeypatch.setattr("depthcue.backends.tensorrt_backend.CudaLane", Little)
    with TensorRtSession(build()) as session:
        for count in (1, 2, 3):
            frames = noise(count)
            np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames), atol=1e-5)
    assert len(made) > 9, "nothing was tried again"


def test_an_engine_of_another_version_or_gpu_is_refused_with_the_reason(build, monkeypatch):
    fake_tensorrt.install(monkeypatch, "10.12.0.36")
    path = build()
    for version, gpu, capability, complaint in (
            ("11.4.0.16", "NVIDIA L4", "8.9", r"built by tensorrt 10\.12\.0\.36; 11\.4\.0\.16 is here"),
            ("10.12.0.36", "NVIDIA H200", "9.0", r"on NVIDIA L4 \(compute capability 8\.9\); here is NVIDIA H200")):
        fake_tensorrt.install(monkeypatch, version, gpu, capability)
        with pytest.raises(DepthcueError, match=complaint), TensorRtSession(path):
            pass
    fake_tensorrt.install(monkeypatch, "1.7.1.116")
    with pytest.raises(DepthcueError, match="tensorrt is not installed"), TensorRtSession(path):
        pass


def test_a_gpu_of_the_same_capability_is_taken_with_a_word(build, monkeypatch, caplog):
    fake_tensorrt.install(monkeypatch)
    path = build()
    fake_tensorrt.install(monkeypatch, gpu="NVIDIA RTX 4090")
    with TensorRtSession(path) as session:
        session.run(noise(1))
    assert "tuned on NVIDIA L4; here is NVIDIA RTX 4090" in caplog.text


def test_an_rtx_engine_runs_on_the_gpus_it_was_built_for(build, monkeypatch, caplog):
    fake_tensorrt.install(monkeypatch, "1.7.1.116")
    path = build(targets=("8.9", "12.0"))
    fake_tensorrt.install(monkeypatch, "1.7.1.116", "NVIDIA RTX 5090", "12.0")
    with TensorRtSession(path) as session:
        session.run(noise(1))
    assert not caplog.records
    fake_tensorrt.install(monkeypatch, "1.7.1.116", "NVIDIA RTX 3090", "8.6")
    with pytest.raises(DepthcueError, match=r"for compute capability 8\.9 and 12\.0; NVIDIA RTX 3090 has 8\.6"), \
            TensorRtSession(path):
        pass


@pytest.mark.parametrize(("version", "words"), [("10.12.0.36", "Serialization"), ("1.7.1.116", "malformed engine")])
def test_what_the_library_finds_wrong_with_an_engine_is_passed_on(build, monkeypatch, version, words):
    fake_tensorrt.install(monkeypatch, version)
    path = build()
    # whole by its card, but not for the library
    harmed = path.read_bytes()[:-50]
    card = json.loads(path.with_suffix(".json").read_text())
    path.write_bytes(harmed)
    from depthcue.nets.exported import file_sha256
    path.with_suffix(".json").write_text(json.dumps({**card, "sha256": file_sha256(path), "bytes": len(harmed)}))
    with pytest.raises(DepthcueError, match=f"cannot load .*{words}"), TensorRtSession(path):
        pass


def test_what_rtx_compiles_is_kept_for_the_next_time(build, monkeypatch, cache):
    fake_tensorrt.install(monkeypatch, "1.7.1.116")
    path = build()
    for expected in (None, b"compiled"):
        fake_tensorrt.RuntimeCache.read = None
        with TensorRtSession(path) as session:
            session.run(noise(1))
        assert fake_tensorrt.RuntimeCache.read == expected
    (kept,) = (cache / "kernels").iterdir()
    assert "NVIDIA-L4" in kept.name


def test_an_engine_runs_on_a_gpu_alone(build, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    path = build()
    with pytest.raises(DepthcueError, match="runs on an NVIDIA GPU, not on 'cpu'"):
        TensorRtSession(path, device="cpu")
    with pytest.raises(DepthcueError, match="--lambda must be between"):
        TensorRtSession(path, dial=60.0)
    with pytest.raises(RuntimeError, match="not entered"):
        TensorRtSession(path).run(noise(1))


def test_making_a_runner_touches_no_device(build, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    path = build()
    monkeypatch.setattr("depthcue.backends.tensorrt_backend.find_gpu", lambda device: pytest.fail("the GPU was opened"))
    TensorRtSession(path)


def test_logging_is_quiet(build, monkeypatch, caplog):
    fake_tensorrt.install(monkeypatch)
    with caplog.at_level(logging.INFO, logger="depthcue"), TensorRtSession(build()) as session:
        session.run(noise(2))
    assert caplog.text == ""


@pytest.fixture
def engines(tiny_net, tiny_graph, monkeypatch):
    """Counts builds; the cache compares on one picture."""
    from depthcue.runtime import cached

    monkeypatch.setattr(cached, "rendered_pictures", lambda: [noise(1)[0]])
    monkeypatch.setattr(cached, "depth_net_of", lambda description, source: None)
    monkeypatch.setattr(cached, "find_gpu", lambda device: fake_tensorrt.install.gpu)
    built = []
    write = cached.write_engine
    monkeypatch.setattr(cached, "write_engine", lambda *args: built.append(args[2]) or write(*args))
    return built, lambda **options: cached.cached_engine(tiny_graph, EngineOptions(**options), tiny_net)


def test_an_engine_is_built_once_for_a_graph_its_shapes_and_a_gpu(engines, monkeypatch, cache):
    built, make = engines
    fake_tensorrt.install(monkeypatch)
    path = make(batch=(1, 2, 4))
    assert path == make(batch=(1, 2, 4)) and len(built) == 1 and path.parent == cache / "engines"
    assert json.loads(path.with_suffix(".json").read_text())["parity"]["max_abs"] < 1e-4
    assert make(batch=(1, 2, 8)) != path and make(batch=(1, 2, 4), around=(64, 64)) != path and len(built) == 3
    fake_tensorrt.install(monkeypatch, gpu="NVIDIA H200", capability="9.0")
    assert make(batch=(1, 2, 4)) != path and len(built) == 4
    fake_tensorrt.install(monkeypatch)
    assert make(batch=(1, 2, 4)) == path and len(built) == 4, "one GPU's engine is lost to another's"


@pytest.mark.parametrize(("harm", "reason"), [
    (lambda path: path.write_bytes(path.read_bytes()[:-30]), "cut short"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "sha256 differs"),
    (lambda path: path.with_suffix(".json").unlink(), "has no card"),
    (lambda path: path.with_suffix(".json").write_text("{}"), "not the card"),
    (None, "the library was 10.12.0.36, now 10.13.0.35"),
])
def test_an_engine_that_does_not_fit_any_more_is_built_again_and_the_reason_said(engines, monkeypatch, caplog, harm,
                                                                                 reason):
    built, make = engines
    api = fake_tensorrt.install(monkeypatch)
    path = make()
    caplog.clear()
    if harm is None:
        api.__version__ = "10.13.0.35"
    else:
        harm(path)
    assert make() == path and len(built) == 2
    assert "again" in caplog.text and reason in caplog.text
    with TensorRtSession(path) as session:
        assert session.run(noise(1)).shape == (1, 32, 48)


def test_a_build_that_fails_names_other_ways(engines, monkeypatch):
    _, make = engines
    fake_tensorrt.install(monkeypatch, fault="build")
    with pytest.raises(DepthcueError, match="no engine of last-word for NVIDIA L4") as caught:
        make()
    assert "--backend" in (caught.value.hint or "")
