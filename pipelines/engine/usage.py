"""What a process used while it ran a part: processor time, memory, and bytes of files."""

import contextlib
import pathlib
import resource
import sys
import time
from dataclasses import dataclass

_OF_THIS_PROCESS = pathlib.Path("/proc/self")


@dataclass(frozen=True)
class Usage:
    """Of one part; or, added up, of several: the sums, and the largest peak."""

    cpu_s: float = 0.0
    peak_bytes: int = 0  # resident memory; of the process since its start on systems without /proc
    read_bytes: int = 0  # of files, also from the page cache; 0 on systems without /proc
    written_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_s + other.cpu_s,
            max(self.peak_bytes, other.peak_bytes),
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
        )


class Meter:
    """Measures this process from now on."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            (_OF_THIS_PROCESS / "clear_refs").write_text("5")  # the peak begins again at the present size: proc(5)
        self.cpu, (self.read, self.written) = time.process_time(), _bytes_of_files()

    def usage(self) -> Usage:
        read, written = _bytes_of_files()
        return Usage(time.process_time() - self.cpu, peak_bytes(), read - self.read, written - self.written)


def peak_bytes() -> int:
    """The largest resident memory of this process since its start, or since the last `Meter` began."""
    with contextlib.suppress(OSError, StopIteration):
        lines = (_OF_THIS_PROCESS / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def _bytes_of_files() -> tuple[int, int]:
    """Bytes that this process has read and written through calls of the system."""
    with contextlib.suppress(OSError):
        values = dict(line.split(": ") for line in (_OF_THIS_PROCESS / "io").read_text().splitlines())
        return int(values["rchar"]), int(values["wchar"])
    return 0, 0
