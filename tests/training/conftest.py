"""Eight pictures with depth and a depth net for them, as all trainings take them."""

from pathlib import Path

import pytest
from small_trainings import save_pictures_with_depth, save_target


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    return save_pictures_with_depth(tmp_path / "pictures", 8, (6, 8))


@pytest.fixture
def target(tmp_path: Path) -> str:
    return save_target(tmp_path / "target.safetensors", 48, 64)
