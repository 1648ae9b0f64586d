"""The same plan on a real Ray cluster: the same bytes, and one row lost for one bad row."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from .test_run import expected, files, go, plan, totals
from .toys import Score

pytestmark = pytest.mark.slow


def test_ray_gives_the_bytes_of_the_local_backend(tmp_path: pathlib.Path) -> None:
    from pipelines.engine.on_ray import OnRay

    def start() -> Any:
        return OnRay(None, 2)

    go(tmp_path / "local", plan(Score(crash_at=333)))
    outcome = go(tmp_path / "ray", plan(Score(crash_at=333)), start)
    assert totals(tmp_path / "ray", outcome) == expected(without=(333,))
    assert files(tmp_path / "ray") == files(tmp_path / "local")
