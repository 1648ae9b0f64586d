"""How a command ends: with its exit code, whatever threads of libraries are still running.

Arrow's threads may hold the last reference to bytes that Python allocated (a Parquet file read from memory), and wait
for the interpreter's lock to release them. If the interpreter is finalised at that moment, Python ends such a thread
with pthread_exit, which C++ does not allow there: "terminate called without an active exception", exit code 134 after a
run that was complete (4 of 300 small scripts on a busy machine). So this module does what Python promises to do at
exit, and then ends the process without finalising the interpreter.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def leave(main: Callable[[], object]) -> NoReturn:
    """Call `main` and end the process with the exit code of its SystemExit, or 0.

    Other exceptions end the process as usual, with a traceback.
    """
    try:
        main()
        code = 0
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons, as the interpreter does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader of the output has ended, as with `| head`
        code = code or 1
    os._exit(code)
