"""A few of the kills of `make chaos`."""

import pathlib

import pytest

from tests.chaos import Chaos


@pytest.mark.slow
def test_chaos_on_this_machine(tmp_path: pathlib.Path) -> None:
    chaos = Chaos("local", tmp_path, seed=3)
    chaos.drivers(5)
    chaos.workers(5)
