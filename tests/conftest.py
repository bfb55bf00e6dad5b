"""Fixtures that several rooms share: real data, and small nets as modules, as weights and as exported graphs."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_nets import SHARES_OF_LAMBDAS, FirstLook, LastWord, TopShare, save_small_pair

from depthcue.export import export_onnx
from depthcue.nets import DepthNet, MaskNet

if "PYTEST_XDIST_WORKER" in os.environ:
    # several processes share the cores: one thread each, in the commands they start too
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures, depths and videos beside the checkout; the test skips where it is absent."""
    folder = Path(os.environ.get("DEPTHCUE_TEST_DATA", SHARED_DATA))
    if not (folder / "nyu2_test.csv").is_file():
        pytest.skip(f"real test data not found at {folder}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or os.environ.get("DEPTHCUE_REQUIRE_GPU"):
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are printed as into a file: readline, once imported, states the width of a window that nobody has."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator of the test's own, so that no test depends on which ran before it."""
    return torch.Generator().manual_seed(20191101)


@pytest.fixture(autouse=True)
def everything_is_heard() -> Iterator[None]:
    """A command sets how much depthcue says, and where: each test hears all, and leaves no handler."""
    logging.getLogger("depthcue").setLevel(logging.NOTSET)
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session")
def tiny_net() -> LastWord:
    return LastWord()


@pytest.fixture(scope="session")
def share_net() -> TopShare:
    return TopShare()


@pytest.fixture(scope="session")
def small_depth_net() -> FirstLook:
    return FirstLook()


def graph_of(net: MaskNet | DepthNet, factory: pytest.TempPathFactory) -> Path:
    path = factory.mktemp("graphs") / "net.onnx"
    export_onnx(net, path, [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)])
    return path


@pytest.fixture(scope="session")
def tiny_graph(tiny_net: LastWord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph_of(tiny_net, tmp_path_factory)


@pytest.fixture(scope="session")
def share_graph(share_net: TopShare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph_of(share_net, tmp_path_factory)


@pytest.fixture(scope="session")
def depth_graph(small_depth_net: FirstLook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph_of(small_depth_net, tmp_path_factory)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact mask net of random weights and, beside it, the depth net that its card names; 32×48."""
    return save_small_pair(tmp_path_factory.mktemp("weights"))[0]


@pytest.fixture(scope="session")
def share_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `weights`, of a net that takes the share to keep."""
    return save_small_pair(tmp_path_factory.mktemp("weights"), keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)[0]
