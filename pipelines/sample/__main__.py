"""``python -m pipelines.sample --port N [--pairs FILE]``: the sample web in the foreground, until it is interrupted."""

import argparse
import contextlib
import threading

from pipelines.sample.pairs import write_pairs
from pipelines.sample.server import serve


def main() -> None:
    description = "serve the sample web as an HTTP proxy on loopback"
    parser = argparse.ArgumentParser(prog="python -m pipelines.sample", description=description)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--pairs", help="also write the list of image addresses and captions (CSV) to this file")
    options = parser.parse_args()
    if options.pairs:
        write_pairs(options.pairs)
    with serve(options.port) as web:
        print(f"sample web: http_proxy={web.proxy}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
