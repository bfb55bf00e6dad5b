"""The rendered stage that several tests of experiments share."""

import pytest

from depthcue.probes.stage import RenderedStage


@pytest.fixture(scope="module")
def stage() -> RenderedStage:
    return RenderedStage("road", (48, 160), 1, seed=0)
