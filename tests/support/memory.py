"""How much memory a piece of Python takes at most, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT
from tests.support.wait import PATIENCE

GUARD = 3 << 30  # bytes of address space; what takes more fails, and does not take the machine with it
_FRAME = """
import resource
resource.setrlimit(resource.RLIMIT_AS, ({guard}, {guard}))
{code}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(code: str, *arguments: str) -> tuple[int, str]:
    """Run code, with the arguments in sys.argv; return its peak of resident memory in MiB, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", _FRAME.format(guard=GUARD, code=code), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *printed, highest = done.stdout.splitlines()
    return int(highest) >> 10, "\n".join(printed)
