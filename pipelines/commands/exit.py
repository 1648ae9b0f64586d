"""How a command ends: with its exit code, whatever threads of libraries are still running.

Arrow's threads may hold the last reference to bytes that Python allocated (a Parquet file read from memory), and wait
for the interpreter's lock to release them. If the interpreter is finalised at that moment, Python ends such a thread
with pthread_exit, which C++ does not allow there: "terminate called without an active exception", exit code 134 after a
run that was complete (4 of 300 small scripts on a busy machine). So this module does what Python promises to do at
exit, and then ends the process without finalising the interpreter.
"""

import atexit
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from pipelines.commands.faults import report


def leave(main: Callable[[], object]) -> NoReturn:
    """Call `main` and end the process with the exit code of its SystemExit, or 0.

    Other exceptions end it with one line and a code (`faults.report`). A character that the encoding of stdout does not
    have is printed as `?`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        main()
        code = 0
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BrokenPipeError:
        code = 1
    except Exception as e:
        code = report(e)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons, as the interpreter does
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: the caller has closed it
            stream.flush()
    except BrokenPipeError:  # the reader of the output has ended, as with `| head`
        code = code or 1
    except OSError as e:  # the disk of the output is full
        code = code or report(e)
    os._exit(code)
