"""The tar format: writing shards, reading and checking them, loading them for training, publishing them."""

from shards.datasets import as_webdataset

__all__ = ["as_webdataset"]
