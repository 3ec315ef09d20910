"""The command as a user types it, in this process: importing all of it takes one of its own some seconds."""

from __future__ import annotations

import io
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from corrstore.command_line import main


def corrstore(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; a traceback that would have reached the terminal is in `stderr`."""
    words = ["corrstore", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", words):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(words, int(str(code)), out.getvalue(), err.getvalue())
