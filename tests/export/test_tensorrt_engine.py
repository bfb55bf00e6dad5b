"""Engines: what they are built of and for, what they refuse, and real ones where `tensorrt-rtx` is installed."""

import json
import os
import signal

import fake_tensorrt
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_nets import FirstLook, LastWord, TopShare

from depthcue.backends.tensorrt_backend import TensorRtEngine
from depthcue.backends.tensorrt_library import (
    choose_library,
    find_gpu,
    is_installed,
    load_library,
    plan_shapes,
    read_engine_card,
)
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.export.tensorrt_engine import EngineOptions, export_engine, write_engine
from depthcue.nets.exported import read_graph_card

VERSIONS = ("10.12.0.36", "11.4.0.16", "1.7.1.116")
SMALL = EngineOptions(batch=(1, 2, 4))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "mask.onnx"
    export_onnx(LastWord(), path, [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)])
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "depthcue"


def write(graph, path, options=SMALL, **more):
    return write_engine(graph, read_graph_card(graph, "mask"), path, options, **more)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_the_wanted_engine(graph, tmp_path, monkeypatch, version):
    fake_tensorrt.install(monkeypatch, version)
    card = write(graph, tmp_path / "mask.engine", EngineOptions(batch=(1, 2, 4), sizes=((32, 48),), workspace_mib=64))
    header = json.loads((tmp_path / "mask.engine").read_bytes().partition(b"\n")[0])
    assert header["profile"] == {"frames": [[1, 32, 48, 3], [2, 32, 48, 3], [4, 32, 48, 3]], "lambda": [[1], [2], [4]]}
    assert header["workspace"] == 64 * 2**20 and header["tf32"] is False
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mask.engine", "mask.json"]
    stored, making = read_engine_card(tmp_path / "mask.engine", "mask")
    assert stored == json.loads(json.dumps(card))
    assert making.version == version and making.graph_sha256 == read_graph_card(graph, "mask")["sha256"]
    assert [each["name"] for each in card["inputs"]] == ["frames", "lambda"]
    assert card["versions"][making.library] == version


def test_an_rtx_engine_is_of_no_gpu_and_others_are_of_theirs(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch, "10.12.0.36")
    assert write(graph, tmp_path / "a.engine")["engine"]["gpu"] == "NVIDIA L4"
    fake_tensorrt.install(monkeypatch, "1.7.1.116")
    card = write(graph, tmp_path / "b.engine", EngineOptions(batch=(1, 2, 4), targets=("8.9", "12.0")))
    assert card["engine"]["gpu"] is None and card["engine"]["targets"] == ["8.9", "12.0"]
    assert json.loads((tmp_path / "b.engine").read_bytes().partition(b"\n")[0])["targets"] == {"0": 89, "1": 120}


def test_without_sizes_any_usual_picture_is_taken(graph):
    shapes = plan_shapes(read_graph_card(graph, "mask"), (1, 8, 32))
    assert (shapes.height.best, shapes.width.best) == (32, 48)
    area = 32 * 48
    for aspect in (1 / 4, 9 / 16, 1, 4 / 3, 16 / 9, 4):
        height = round((area / aspect) ** 0.5 / 8) * 8
        width = round((area * aspect) ** 0.5 / 8) * 8
        assert shapes.height.nearest(height) == height and shapes.width.nearest(width) == width


@pytest.mark.parametrize(("batch", "sizes", "complaint"), [
    ((4, 2, 8), (), "rising order"), ((0, 1, 2), (), "rising order"), ((1, 1, 1), ((30, 48),), "multiples of 8"),
    ((1, 1, 1), ((64, 64), (32, 48), (96, 96)), "rising order"),
])
def test_shapes_that_cannot_be_are_refused(graph, batch, sizes, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        plan_shapes(read_graph_card(graph, "mask"), batch, sizes)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_that_fails_says_why_and_leaves_nothing(graph, tmp_path, monkeypatch, version):
    fake_tensorrt.install(monkeypatch, version, fault="build")
    with pytest.raises(DepthcueError, match=r"(?s)OutOfMemory.*--workspace") as caught:
        write(graph, tmp_path / "mask.engine")
    assert "consequence" not in caught.value.message
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_an_engine_that_does_not_agree_gets_no_name(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)

    def compare(session):
        frames = np.zeros((1, 32, 48, 3), np.uint8)
        assert session.run(frames, 2.0).shape == (1, 32, 48)
        raise DepthcueError("the engine does not agree")

    with pytest.raises(DepthcueError, match="does not agree"):
        write(graph, tmp_path / "mask.engine", compare=compare)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []
    card = write(graph, tmp_path / "mask.engine", compare=lambda session: {"max_abs": 0.0})
    assert card["parity"] == {"max_abs": 0.0} and card["unchecked"] is None


def test_one_card_does_not_serve_two_files(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    beside = tmp_path / "mask.onnx"
    beside.write_bytes(graph.read_bytes())
    beside.with_suffix(".json").write_bytes(graph.with_suffix(".json").read_bytes())
    with pytest.raises(DepthcueError, match=r"card of mask\.onnx") as caught:
        write(beside, tmp_path / "mask.engine")
    assert "mask-engine.engine" in (caught.value.hint or "")
    write(beside, tmp_path / "other.engine")
    with pytest.raises(DepthcueError, match=r"does not end in \.engine"):
        write(graph, tmp_path / "mask.plan")


def test_times_are_kept_for_the_next_build_and_foreign_ones_are_not_used(graph, tmp_path, monkeypatch, cache):
    fake_tensorrt.install(monkeypatch)
    write(graph, tmp_path / "a.engine")
    (times,) = (cache / "timing").iterdir()
    assert times.read_bytes() == b"measured" and "NVIDIA-L4" in times.name
    times.write_bytes(b"of another GPU")
    write(graph, tmp_path / "b.engine")
    assert times.read_bytes() == b"measured"


def test_a_cache_that_cannot_be_written_does_not_lose_the_engine(graph, tmp_path, monkeypatch, cache):
    fake_tensorrt.install(monkeypatch)
    cache.parent.mkdir()
    cache.write_text("a file")
    assert write(graph, tmp_path / "a.engine")["bytes"] > 0


class Bar:
    """Progress that remembers its steps."""

    def __init__(self):
        self.steps, self.total = [], None

    def start(self, what, total=None):
        self.total = total

    def advance(self, step=1, **figures):
        self.steps.append(step)


def test_progress_ends_where_the_bar_ends_and_never_goes_back(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    bar = Bar()
    write(graph, tmp_path / "mask.engine", progress=bar)
    assert sum(bar.steps) == bar.total and min(bar.steps) > 0 and len(bar.steps) > 5


def test_ctrl_c_ends_a_build_cleanly(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)

    class Impatient:
        def start(self, what, total=None): ...

        def advance(self, step=1, **figures):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        write(graph, tmp_path / "mask.engine", progress=Impatient())
    assert signal.getsignal(signal.SIGINT) is before
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_missing_library_is_an_error_with_what_to_install(monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(DepthcueError) as caught:
        load_library("tensorrt-rtx")
    assert "depthcue[tensorrt-rtx]" in (caught.value.hint or "")
    monkeypatch.setattr("depthcue.backends.tensorrt_library.is_installed", lambda name: False)
    with pytest.raises(DepthcueError, match="no TensorRT here") as caught:
        choose_library()
    assert "depthcue[tensorrt]" in (caught.value.hint or "") and "depthcue[tensorrt-rtx]" in (caught.value.hint or "")
    with pytest.raises(DepthcueError, match="'trt'"):
        choose_library("trt")


def test_a_version_that_is_too_old_is_refused(monkeypatch):
    api = fake_tensorrt.install(monkeypatch)
    api.__version__ = "10.9.0.34"
    with pytest.raises(DepthcueError, match=r"10\.9\.0\.34 is too old: 10\.12 or newer"):
        choose_library("tensorrt")


def test_without_a_gpu_only_rtx_builds_and_nothing_runs(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch, gpu=None)
    with pytest.raises(DepthcueError, match="torch sees none"):
        find_gpu("cuda")
    with pytest.raises(DepthcueError, match="there is none here") as caught:
        write(graph, tmp_path / "mask.engine")
    assert "tensorrt-rtx" in (caught.value.hint or "")


def test_rtx_takes_the_capabilities_it_knows_and_tensorrt_none(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch, "1.7.1.116")
    with pytest.raises(DepthcueError, match=r"no compute capability 9\.0") as caught:
        write(graph, tmp_path / "mask.engine", EngineOptions(targets=("9.0",)))
    assert "8.0, 8.6, 8.9, 12.0" in (caught.value.hint or "")
    fake_tensorrt.install(monkeypatch)
    with pytest.raises(DepthcueError, match="no --compute-capability"):
        write(graph, tmp_path / "mask.engine", EngineOptions(targets=("8.9",)))


def test_a_damaged_engine_or_card_is_an_error(graph, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    path = tmp_path / "mask.engine"
    write(graph, path)
    whole, card = path.read_bytes(), path.with_suffix(".json").read_text()
    for content, complaint in ((whole[:-9], "cut short"), (whole[:-1] + b"?", "sha256"), (whole + b"?", "sha256")):
        path.write_bytes(content)
        with pytest.raises(DepthcueError, match=complaint):
            read_engine_card(path, "mask")
    path.write_bytes(whole)
    path.with_suffix(".json").write_text(card.replace('"graph_sha256"', '"another"'))
    with pytest.raises(DepthcueError, match="not the card of an exported engine"):
        read_engine_card(path, "mask")
    with pytest.raises(DepthcueError, match="no exported engine"):
        read_engine_card(tmp_path / "absent.engine", "mask")


# the real library: engines are built on any machine, and run on one with a GPU

needs_rtx = pytest.mark.skipif(not is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")
RTX = EngineOptions(library="tensorrt-rtx", batch=(1, 2, 4))


@needs_rtx
def test_a_real_engine_is_built_without_a_gpu(graph, tmp_path, monkeypatch):
    for module in ("export.tensorrt_engine", "backends.tensorrt_library"):
        monkeypatch.setattr(f"depthcue.{module}.has_gpu", lambda: False)
    bar = Bar()
    card = write(graph, tmp_path / "mask.engine", RTX, progress=bar)
    assert card["bytes"] == (tmp_path / "mask.engine").stat().st_size > 1000
    assert card["parity"] is None and "no GPU" in card["unchecked"]
    assert sum(bar.steps) == bar.total
    making = read_engine_card(tmp_path / "mask.engine", "mask")[1]
    with pytest.raises(DepthcueError, match="runs on an NVIDIA GPU"), \
            TensorRtEngine(tmp_path / "mask.engine", making, dial_input="lambda"):
        pass


@needs_rtx
def test_a_real_builder_takes_graphs_of_shares(tmp_path, monkeypatch):
    """Their threshold is found inside: by minimum, maximum, and steps of halving."""
    for module in ("export.tensorrt_engine", "backends.tensorrt_library"):
        monkeypatch.setattr(f"depthcue.{module}.has_gpu", lambda: False)
    export_onnx(TopShare(), tmp_path / "mask.onnx", [np.zeros((40, 50, 3), np.uint8)])
    # of one size: a builder that has to look for what is fastest at many takes minutes over the steps of halving
    card = write(tmp_path / "mask.onnx", tmp_path / "built.engine",
                 EngineOptions(library="tensorrt-rtx", batch=(1, 1, 1), sizes=((48, 32),)))
    assert [each["name"] for each in card["inputs"]] == ["frames", "keep"] and card["bytes"] > 1000


@needs_rtx
def test_a_real_builder_refuses_a_graph_it_cannot_read(graph, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(graph.read_bytes()[:300])
    with pytest.raises(DepthcueError, match="does not understand"):
        write_engine(broken, read_graph_card(graph, "mask"), tmp_path / "mask.engine", RTX)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_a_real_engine_gives_what_the_graph_gives(graph, tmp_path, name):
    if not is_installed(name):
        pytest.skip(f"{name} is not installed")
    import onnxruntime

    path = tmp_path / "mask.engine"
    try:
        card = write(graph, path, EngineOptions(library=name, batch=(1, 2, 4)))
    except DepthcueError as error:
        pytest.skip(f"{name} builds nothing for this GPU: {error}")
    reference = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(3)
    with TensorRtEngine(path, read_engine_card(path, "mask")[1], dial_input="lambda", sha256=card["sha256"]) as session:
        for count, height, width in ((1, 32, 48), (3, 32, 48), (3, 32, 48), (3, 32, 48), (9, 24, 64)):
            frames = generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
            wanted = reference.run(None, {"frames": frames, "lambda": np.full(count, 3.0, np.float32)})[0]
            # float32 sums in another order
            np.testing.assert_allclose(session.run(frames, 3.0), wanted, atol=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Graphs of a mask net and of its depth net, and pictures."""
    folder = tmp_path_factory.mktemp("nets")
    pictures = [np.random.default_rng(number).integers(0, 256, (40, 64, 3), dtype=np.uint8) for number in range(3)]
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    export_onnx(LastWord("first-look"), folder / "mask.onnx", pictures, FirstLook())
    export_onnx(FirstLook(), folder / "depth.onnx", pictures)
    return folder


@pytest.fixture(autouse=True)
def by_name(monkeypatch):
    """The nets by name."""
    for module in ("depthcue.export.tensorrt_engine", "depthcue.export.onnx"):
        monkeypatch.setattr(f"{module}.load_mask_net", lambda spec: LastWord("first-look"))
        monkeypatch.setattr(f"{module}.load_depth_net", lambda spec: FirstLook())
    monkeypatch.setattr("depthcue.export.onnx.load_target_of", lambda description, source: FirstLook())


def _spec(folder, name):
    return str(folder / name) if name.endswith(".onnx") else name


def export(folder, tmp_path, weights=None, target=None, options=None, precision="fp32"):
    options = options or EngineOptions(batch=(1, 2, 4))
    return export_engine(weights and _spec(folder, weights), target and _spec(folder, target), tmp_path / "made.engine",
                         f"folder:{folder / 'pictures'}", precision, options)


@pytest.mark.parametrize(("nets", "sizes"), [
    ({"weights": "last-word"}, ()), ({"weights": "mask.onnx"}, ((64, 32),)),
    ({"target": "first-look"}, ()), ({"target": "depth.onnx"}, ((32, 48),)),
])
def test_an_engine_is_compared_with_what_it_was_made_of(folder, tmp_path, monkeypatch, nets, sizes):
    fake_tensorrt.install(monkeypatch)
    card = export(folder, tmp_path, **nets, options=EngineOptions(batch=(1, 2, 4), sizes=sizes))
    parity = card["parity"]
    assert parity["provider"] == "tensorrt 10.12.0.36" and parity["max_abs"] < 1e-3 and parity["cases"] >= 4
    assert parity["task_rmse_m"] < 1e-3
    assert card["kind"] == ("mask" if "weights" in nets else "depth") and card["unchecked"] is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["made.engine", "made.json"]


@pytest.mark.parametrize(("harm", "complaint"), [
    (lambda maps: maps * 0, "does not agree"), (lambda maps: maps * np.nan, "NaN"),
])
@pytest.mark.parametrize("weights", ["last-word", "mask.onnx"])
def test_an_engine_that_computes_wrongly_is_not_written(folder, tmp_path, monkeypatch, weights, harm, complaint):
    fake_tensorrt.install(monkeypatch)
    run = fake_tensorrt.Context.execute_async_v3

    def wrong(self, stream):
        result = run(self, stream)
        maps = fake_tensorrt._at(self.addresses["mask"], self.get_tensor_shape("mask"), np.float32)
        maps[...] = harm(maps)
        return result

    monkeypatch.setattr(fake_tensorrt.Context, "execute_async_v3", wrong)
    with pytest.raises(DepthcueError, match=complaint):
        export(folder, tmp_path, weights)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_wrong_options_are_errors_before_minutes_go_into_a_graph(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("depthcue.export.tensorrt_engine.export_spec", lambda *_: pytest.fail("a graph was written"))
    with pytest.raises(DepthcueError, match="takes one net"):
        export_engine("a", "b", tmp_path / "x.engine")
    with pytest.raises(DepthcueError, match=r"does not end in \.engine"):
        export_engine("a", None, tmp_path / "x.onnx")
    monkeypatch.setattr("depthcue.backends.tensorrt_library.is_installed", lambda name: False)
    with pytest.raises(DepthcueError, match="no TensorRT here"):
        export(folder, tmp_path, "last-word")


def test_a_graph_keeps_its_own_precision(folder, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    with pytest.raises(DepthcueError, match="computes in fp32; --precision fp16"):
        export(folder, tmp_path, "mask.onnx", precision="fp16")
    with pytest.raises(DepthcueError, match="depth net"):
        export(folder, tmp_path, weights="depth.onnx")


def test_an_engine_is_no_net_to_measure(tmp_path, capsys):
    assert main(["compare-edges", "--target", str(tmp_path / "x.engine"), "--data", "scenes:indoor", "--limit", "1",
                 "--out", str(tmp_path / "out")]) == 1
    assert "is an engine" in capsys.readouterr().err


@pytest.mark.parametrize("options", [
    ["--batch", "1,2"], ["--batch", "many"], ["--size", "32"], ["--size", "32x32,64x64"], ["--library", "trt"],
    ["--workspace", "0"], ["--format", "onnx", "--batch", "4"], ["--format", "onnx", "--compute-capability", "8.9"],
])
def test_wrong_options_are_wrong_options(folder, tmp_path, options):
    assert main(["export", "-w", str(folder / "mask.onnx"), "--format", "tensorrt",
                 "--out", str(tmp_path / "x.engine"), *options]) == 2


@pytest.mark.skipif(not is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_builds_a_real_engine_without_a_gpu_and_running_it_is_an_error(folder, tmp_path, capfd):
    out = tmp_path / "mask.engine"
    assert main(["export", "-w", str(folder / "mask.onnx"), "--format", "tensorrt", "--batch", "1,2,4",
                 "--size", "32x32,48x32,64x64", "--compute-capability", "8.9", "--out", str(out), "--json"]) == 0
    printed = capfd.readouterr()
    card = json.loads(printed.out)
    assert card["engine"]["library"] == "tensorrt-rtx" and card["engine"]["targets"] == ["8.9"]
    assert card["engine"]["shapes"]["width"] == {"least": 32, "best": 48, "most": 64}
    assert card["parity"] is None and "was not compared" in printed.err
    assert main(["mask", str(folder / "pictures"), "--weights", str(out), "--out", str(tmp_path / "masks")]) == 1
    assert "runs on an NVIDIA GPU" in capfd.readouterr().err
