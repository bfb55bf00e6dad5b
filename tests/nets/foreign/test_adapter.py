"""Nets of others by their specs: Python functions, torch.hub entries, ONNX graphs, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.nets import DepthDescription, DepthNet, depth_from, load_depth_net, load_mask_net, require_gradients
from depthcue.nets.base import DISPARITY, INVERSE_DEPTH, METRIC_DEPTH
from depthcue.nets.foreign import is_foreign
from depthcue.nets.foreign.adapter import ForeignDepthNet, split_spec, statement

CODE = '''
import torch
from torch import nn


class Net(nn.Module):
    """Half-size depth from green, as (B, h, w), in train mode and with dropout until told otherwise."""

    depth_description = {"predicts": "inverse", "relative": True, "size": (32, 48), "multiple": 8, "takes": "rgb",
                         "licence": "mine"}

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(3.0))
        self.drop = nn.Dropout(0.5)

    def forward(self, rgb):
        assert rgb.min() > -1e-5 and rgb.max() < 1 + 1e-5
        return self.drop(self.gain * rgb[:, 1, ::2, ::2] + 1)


def net():
    return Net().train()


def function():
    return lambda normalised: {"features": normalised, "depth": 3 + normalised.mean(dim=1, keepdim=True)}


function.depth_description = {"predicts": "metric", "size": "48x32", "multiple": 16, "max_depth_m": 6}


def nothing():
    return 7


def failing():
    raise RuntimeError("no such file: weights.pt")
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the current directory, its own in every test: Python keeps what it has imported."""
    name = f"mine_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


def test_a_module_says_what_it_is(here: str) -> None:
    net = load_depth_net(f"python:{here}:net")
    message = net.description
    assert (message.predicts, message.relative, message.height, message.width, message.multiple, message.licence) == (
        INVERSE_DEPTH, True, 32, 48, 8, "mine")
    assert not any(module.training for module in net.modules())
    assert len(net.card["sha256"]) == 64 and net.differentiable
    rgb = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    # colours come back from the normalised picture, in [0, 1]
    torch.testing.assert_close(net(net.normalise(rgb))[0, 0], 3 * rgb[0, 1, ::2, ::2] + 1)


def test_a_function_is_enough_and_the_spec_counts_most(here: str) -> None:
    net = load_depth_net(f"python:{here}:function")
    assert (net.description.max_depth_m, net.description.width, net.description.predicts) == (6.0, 48, METRIC_DEPTH)
    zeros = torch.zeros(1, 3, 32, 48)
    assert float(depth_from(net, zeros)[0, 0, 0, 0]) == 3.0
    other = load_depth_net(f"python:{here}:function,predicts=disparity,size=64x64,multiple=32,max_depth_m=80")
    assert other.description.predicts == DISPARITY
    assert (other.description.height, other.description.multiple, other.description.max_depth_m) == (64, 32, 80.0)


def test_what_nobody_says_is_assumed_aloud(here: str, caplog: pytest.LogCaptureFixture) -> None:
    (Path(f"{here}_mute.py")).write_text("def net():\n    return lambda x: 3 + x[:, :1]\n")
    net = load_depth_net(f"python:{here}_mute:net")
    assert "does not say what it predicts; taken as metric depth" in caplog.text and "384x384" in caplog.text
    assert (net.description.height, net.description.multiple) == (384, 32)


@pytest.mark.parametrize(("spec", "message"), [
    ("python:HERE", "does not say which function"),
    ("python:gone.away:net", "no module gone.away"),
    ("python:HERE:gone", "has no function gone"),
    ("python:HERE:nothing", "returned a int"),
    ("python:HERE:failing", r"RuntimeError: no such file: weights.pt \(.*HERE.py, line \d+\)"),
    ("python:HERE:net,colour=red", "no property called 'colour'"),
    ("python:HERE:net,predicts=distance", "predicts='distance': one of metric, inverse, disparity"),
    ("python:HERE:net,size=50x50", "cannot work at 50x50: it wants multiples of 8"),
    ("python:HERE:function,output=disparity", "no output 'disparity': it gives a dictionary of features, depth"),
    ("hub:nowhere:net", "no folder nowhere, nor is it OWNER/REPO"),
    ("hub:.", "does not say which entry"),
    ("hub:.:net", "no hubconf.py"),
    ("onnx:gone.onnx", "no graph at gone.onnx"),
    ("elsewhere:net", "names no depth net(.|\n)*python:package.module:factory"),
])
def test_mistakes_in_specs_are_told(here: str, spec: str, message: str) -> None:
    with pytest.raises(DepthcueError, match=message.replace("HERE", here)):
        load_depth_net(spec.replace("HERE", here))


def test_what_a_module_cannot_import_is_named(here: str) -> None:
    Path(f"{here}_needy.py").write_text("import surely_not_installed_anywhere\n")
    with pytest.raises(DepthcueError, match="No module named 'surely_not_installed_anywhere'"):
        load_depth_net(f"python:{here}_needy:net")


def test_foreign_nets_are_no_mask_nets(here: str) -> None:
    with pytest.raises(DepthcueError, match="a mask net is wanted here"):
        load_mask_net(f"python:{here}:net")


def test_a_hub_entry_of_a_folder(here: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "hubconf.py").write_text(CODE + "\n\ndef small():\n    print('loading')\n    return Net()\n")
    net = load_depth_net(f"hub:{folder}:small,relative=no")
    assert net.description.predicts == INVERSE_DEPTH and not net.description.relative
    assert capsys.readouterr().out == ""
    with pytest.raises(DepthcueError, match="torch.hub entry gone of .*repository raised"):
        load_depth_net(f"hub:{folder}:gone")


def test_only_words_that_exist_come_off_a_spec() -> None:
    assert split_spec("hf:a,b/c,predicts=metric,size=640x480") == (
        "hf:a,b/c", {"predicts": "metric", "size": "640x480"})
    assert split_spec("onnx:plain.onnx") == ("onnx:plain.onnx", {})
    assert statement("n", {}, {"size": (2, 4), "multiple": 2, "predicts": "metric", "mean": [0, 0, 0]}, {
        "mean": "0.5/0.4/0.3"}).description.mean == (0.5, 0.4, 0.3)


def write_graph(path: Path, sides: list[object], batch: object, layout: str = "NCHW", dtype: int = TensorProto.FLOAT) \
        -> None:
    """A graph whose depth is 2 and the green of the picture, (B, 1, H, W)."""
    shape = [batch, 3, *sides] if layout == "NCHW" else [batch, *sides, 3]
    nodes, last = [], "picture"
    if dtype != TensorProto.FLOAT:
        nodes, last = [helper.make_node("Cast", [last], ["floats"], to=TensorProto.FLOAT)], "floats"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["planes"], perm=[0, 3, 1, 2]))
        last = "planes"
    nodes += [helper.make_node("Gather", [last, "one"], ["green"], axis=1),
              helper.make_node("Add", ["green", "two"], ["depth"])]
    graph = helper.make_graph(
        nodes, "depth", [helper.make_tensor_value_info("picture", dtype, shape)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1]), "one"), numpy_helper.from_array(np.float32(2), "two")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


@pytest.mark.parametrize(("sides", "batch", "layout", "dtype"), [
    (["h", "w"], "b", "NCHW", TensorProto.FLOAT), ([32, 48], 1, "NCHW", TensorProto.FLOAT),
    (["h", "w"], 4, "NHWC", TensorProto.FLOAT), ([32, 48], "b", "NHWC", TensorProto.UINT8)])
def test_a_foreign_graph(tmp_path: Path, sides: list[object], batch: object, layout: str, dtype: int) -> None:
    path = tmp_path / "green.onnx"
    write_graph(path, sides, batch, layout, dtype)
    message = {"predicts": "metric", "mean": [0, 0, 0], "std": [1, 1, 1]} | (
        {"size": "48x32", "multiple": 8} if sides == ["h", "w"] else {})
    path.with_suffix(".json").write_text(json.dumps(message))
    net = load_depth_net(f"onnx:{path}")
    # 8 bits pass no gradients
    assert net.differentiable == (dtype == TensorProto.FLOAT)
    assert getattr(net, "fixed") == (sides != ["h", "w"])  # noqa: B009
    assert (net.description.height, net.description.width) == (32, 48)
    rgb = torch.randint(0, 256, (3, 3, 32, 48), generator=torch.Generator().manual_seed(0)).float() / 255
    expected = 2 + rgb[:, 1:2] * (255 if dtype == TensorProto.UINT8 else 1)
    torch.testing.assert_close(depth_from(net, net.normalise(rgb)), expected, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("layout", "stated"), [
    ("NCHW", ["b", "c", "h", "w"]), ("NHWC", ["b", "c", "h", "w"]), ("NCHW", ["b", "x", "x", "x"]),
    ("NHWC", [None, None, None, None]), ("NHWC", ["b", 32, 48, "c"])])
def test_a_graph_that_names_none_of_its_axes(tmp_path: Path, layout: str, stated: list[object],
                                             capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "open.onnx"
    nodes = [helper.make_node("Conv", ["planes", "green"], ["depth"])]
    if layout == "NHWC":
        nodes.insert(0, helper.make_node("Transpose", ["planes_last"], ["planes"], perm=[0, 3, 1, 2]))
    graph = helper.make_graph(
        nodes, "depth", [helper.make_tensor_value_info(nodes[0].input[0], TensorProto.FLOAT, stated)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32([0, 2, 0]).reshape(1, 3, 1, 1), "green")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    size = "" if 32 in stated else ",size=48x32,multiple=16"
    net = load_depth_net(f"onnx:{path},relative=yes,takes=rgb{size}")
    rgb = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(net.normalise(rgb)), 2 * rgb[:, 1:2])
    assert (net.description.height, net.description.width) == (32, 48) and net.differentiable
    assert capfd.readouterr().err == ""  # what was tried and did not run is nobody's business


def test_colours_that_nobody_states_are_assumed_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "green.onnx"
    write_graph(path, [32, 48], 1)
    assert load_depth_net(f"onnx:{path},takes=rgb").stated.takes == "rgb"  # type: ignore[attr-defined]
    assert "colours" not in caplog.text
    load_depth_net(f"onnx:{path}")
    assert "does not say what colours it takes; taken as normalised" in caplog.text


def test_a_graph_that_takes_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 12])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 12])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(DepthcueError, match=r"takes x tensor\(float\) \[1, 12\]; a depth net takes one picture"):
        load_depth_net(str(path))
    path.write_bytes(b"\x00 no graph")
    with pytest.raises(DepthcueError, match="ONNX Runtime cannot load"):
        load_depth_net(str(path))


class Inverse(DepthNet):
    """Sees the inverse of 0.2 and a third of the mean colour's height above black, at half size."""

    def forward(self, normalised: Tensor) -> Tensor:
        rgb = normalised * self._std + self._mean
        return torch.nn.functional.avg_pool2d(0.2 + rgb.mean(dim=1, keepdim=True) / 3, 2)


def test_an_exported_depth_net_is_a_net_again(tmp_path: Path) -> None:
    net = Inverse(DepthDescription("inverse", 32, 48, 8, predicts=INVERSE_DEPTH)).eval()
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    export_onnx(net, tmp_path / "n.onnx", [picture])
    again = load_depth_net(str(tmp_path / "n.onnx"))
    assert again.description.predicts == METRIC_DEPTH  # the graph ends in metres
    rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(depth_from(again, again.normalise(rgb)), depth_from(net, net.normalise(rgb)),
                               atol=1e-4, rtol=1e-4)
    # under a soft mask the graph's frames are rounded to 8 bits
    mask = torch.full((1, 1, 32, 48), 0.37)
    torch.testing.assert_close(depth_from(again, again.normalise(rgb), mask),
                               depth_from(net, net.normalise(rgb), mask), atol=0.02, rtol=0.02)
    with pytest.raises(DepthcueError, match="is an ONNX graph already"):
        export_onnx(again, tmp_path / "m.onnx", [picture])
    with pytest.raises(DepthcueError, match="frames of 8 bits, which carry no gradient"):
        require_gradients(again, "training")
    with pytest.raises(DepthcueError, match="has a card"):
        load_depth_net(f"{tmp_path / 'n.onnx'},predicts=inverse")


class Sum(torch.nn.Module):
    """Depth whose units nobody knows."""

    def forward(self, rgb: Tensor) -> Tensor:
        return 700 * torch.nn.functional.avg_pool2d(rgb.mean(dim=1, keepdim=True), 3, stride=1, padding=1) - 3000


def test_a_relative_net_is_exported_as_it_predicts(tmp_path: Path) -> None:
    net = ForeignDepthNet(Sum(), statement("sum", {}, {"predicts": "inverse", "relative": True, "size": (32, 48),
                                                       "multiple": 8}, {})).eval()
    picture = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    card = export_onnx(net, tmp_path / "sum.onnx", [picture])
    assert card["outputs"][0]["meaning"].startswith("inverse depth up to a scale and a shift")
    again = load_depth_net(str(tmp_path / "sum.onnx"))
    assert again.description.relative and again.description.predicts == INVERSE_DEPTH
    rgb = torch.from_numpy(picture[:32, :48].copy()).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(again(again.normalise(rgb)), net(net.normalise(rgb)), atol=0.05, rtol=1e-4)
    # the graph stretches every frame to the working size, and says so
    assert again.fixed and again(torch.zeros(1, 3, 50, 40)).shape == (1, 1, 32, 48)  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["lr=0.1,bs=32", "size=3,predicts=metric", "a,b", "größe=1,x"])
def test_a_path_that_is_there_wins_over_what_it_looks_like(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    path = Path(folder) / "net.onnx"
    path.parent.mkdir()
    path.touch()
    for spec in (f"onnx:{path}", str(path), f"onnx:{path.absolute()}"):
        assert split_spec(spec) == (spec, {})
        assert split_spec(f"{spec},size=96x64,predicts=inverse") == (spec, {"size": "96x64", "predicts": "inverse"})
        assert is_foreign(spec) and is_foreign(f"{spec},size=96x64")
    odd = path.with_name("net.onnx,size=96x64")
    odd.touch()
    assert split_spec(f"onnx:{odd}") == (f"onnx:{odd}", {})
    assert split_spec(f"hub:{folder}:entry,size=8x8") == (f"hub:{folder}:entry", {"size": "8x8"})
    assert split_spec(f"hf:{folder},size=8x8") == (f"hf:{folder}", {"size": "8x8"})


def test_a_path_that_is_not_there_is_named_whole(tmp_path):
    with pytest.raises(DepthcueError, match=r"no graph at .*lr=0\.1,bs=32/net\.onnx"):
        load_depth_net(f"onnx:{tmp_path}/lr=0.1,bs=32/net.onnx,size=96x64")
    with pytest.raises(DepthcueError, match="no property called 'bs'"):
        load_depth_net("onnx:net.onnx,bs=32")


def test_a_checkpoint_in_a_folder_named_like_a_graph_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("net.onnx,size=3") / "model.pth"
    path.parent.mkdir()
    path.touch()
    assert not is_foreign(str(path)) and not is_foreign(f"hu-resnet50:{path}")
