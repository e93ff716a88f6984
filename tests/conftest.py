"""What holds for every test."""

import signal


def pytest_configure():
    """Started in the background of a shell, we ignore SIGINT, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
