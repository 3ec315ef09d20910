"""The command `corrstore`: signals stop it from its first moment on, while its libraries are loaded too."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command of this process; a signal that nobody hears ends it with 75, unless it is ignored."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _stop)
    from corrstore.command_line import main as run

    run()


def _stop(number: int, _: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":
        print(f"corrstore: stopped by {signal.Signals(number).name}; the same command continues", file=sys.stderr)
    os._exit(75)


if __name__ == "__main__":
    main()
