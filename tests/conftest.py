"""What every test may ask for."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of photos, annotations and reference numbers that lies beside a developer's checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, the reference material that is not part of the repository")
    return SHARED


@pytest.fixture(scope="session")
def oracles(shared_dir: Path) -> Path:
    """What the public reference implementations answer, as .npz and .json files."""
    return shared_dir / "oracles"
