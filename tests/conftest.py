"""Fixtures every room shares."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

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
