"""Stages whose results are recorded: their names, fields and defaults must stay, or earlier results are not used."""

import dataclasses
from typing import Any

import pytest

from pipelines.crawl.commoncrawl import CommonCrawl
from pipelines.crawl.live import Crawl
from pipelines.fetch.images import Fetch

RECORDED: list[tuple[Any, str, dict[str, object]]] = [
    (
        Crawl,
        "pipelines.crawl.live:Crawl",
        {
            "max_pages": 1000, "max_depth": 5, "delay_s": 0.5, "crawl_delay_cap_s": 30.0, "host_s": 3600.0,
            "deadline_s": 30.0, "max_bytes": 52428800, "give_up_after": 5, "hosts": 16, "sitemaps": True,
            "allow_private": (), "user_agent": "panoramix/0.1",
        },
    ),
    (
        CommonCrawl,
        "pipelines.crawl.commoncrawl:CommonCrawl",
        {
            "prefix": "https://data.commoncrawl.org/", "threads": 8, "tries": 6, "try_s": 60.0, "deadline_s": 300.0,
            "gap": 65536, "most": 8388608, "allow_private": (), "user_agent": "panoramix/0.1",
        },
    ),
    (
        Fetch,
        "pipelines.crawl.fetch:Fetch",
        {
            "deadline_s": 20.0, "max_bytes": 20971520, "max_pixels": 100e6, "threads": 32, "per_host": 2,
            "give_up_after": 8, "max_redirects": 5, "robots": True, "crawl_delay_cap_s": 0.0, "allow_private": (),
            "user_agent": "panoramix/0.1",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "name", "fields"), RECORDED)
def test_a_recorded_stage_has_its_name_and_fields(stage: Any, name: str, fields: dict[str, object]) -> None:
    assert stage.stage_name == name
    assert list(dataclasses.asdict(stage()).items()) == list(fields.items())
