"""What a writer of files leaves that is killed, at every moment: ``python -m tests.support.killed PLAN``.

PLAN is a JSON file: the function that writes ("write", as "module:function"), the texts by name ("texts"), the names
to remove ("remove"), a directory with the files of before ("before"), and one for what is left ("left"): there the
directory N is as after a process that ended, as by SIGKILL, right before its Nth change of a directory or of a file.
The last one is that of a process that was not killed.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
MOST = 200  # changes


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    module, _, function = plan["write"].partition(":")
    write = getattr(importlib.import_module(module), function)
    for number in range(1, MOST):
        output = Path(plan["left"]) / f"{number:03}"
        shutil.copytree(plan["before"], output)
        child = os.fork()
        if not child:
            killed(number, lambda output=output: write(output, plan["texts"], plan["remove"]))
        if not os.waitpid(child, 0)[1]:
            return


def killed(number: int, write: Callable[[], None]) -> None:
    """End this process before its so manieth change."""
    left = number

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            left -= 1
            if not left:
                os._exit(9)

    sys.addaudithook(hook)
    write()
    os._exit(0)


if __name__ == "__main__":
    main()
