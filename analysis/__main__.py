"""``python -m analysis`` is ``prunescope``."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from types import FrameType

AGAIN_SECONDS = 0.1
# Longer than libraries take to load; code of a user's may run for ever where it is imported.
MOST_SECONDS = 10.0


class Heed:
    """What Ctrl-C does: it raises, but not while a module is loaded.

    There libraries take what is raised for a part that is not installed, and go on without it.
    """

    def __init__(self) -> None:
        self._asked: float | None = None
        threading.Thread(target=self._remind, name="ctrl-c", daemon=True).start()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise, or wait to be reminded."""
        now = time.monotonic()
        self._asked = now if self._asked is None else self._asked
        if not _is_loading(frame) or now - self._asked > MOST_SECONDS:
            self._asked = None
            raise KeyboardInterrupt

    def _remind(self) -> None:
        while True:
            time.sleep(AGAIN_SECONDS)
            if self._asked is not None:
                _thread.interrupt_main()


def _is_loading(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def main() -> int:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, Heed())
    from analysis.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
