"""Children that end when we do, even if we are killed: Linux sends them a signal then. Starts nothing itself."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def tether(number: signal.Signals) -> Callable[[], None] | None:
    """What a new child runs before its program so that it gets `number` when this process dies; None off Linux.

    The kernel watches the thread that starts the child, so only children of the main thread are tethered.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    library, parent = ctypes.CDLL(None), os.getpid()

    def set_signal() -> None:
        library.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return set_signal
