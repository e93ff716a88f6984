"""What holds for every test."""

import signal

from hypothesis import HealthCheck, settings

# Always the same examples, so that a failure is one of the change at hand; and no judgement of this machine's speed.
# Others are tried with `pytest --hypothesis-profile=default`, and schedules of faults with `make simulate`.
settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("suite")


def pytest_configure():
    """Started in the background of a shell, we ignore SIGINT, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
