"""The fixtures of the crawl tests: a faulty web server on loopback, and the real web."""

from tests.pipelines.crawl.conftest import _origin, fresh_origin, local, no_proxy_variables, origin, proxied

__all__ = ["_origin", "fresh_origin", "local", "no_proxy_variables", "origin", "proxied"]
