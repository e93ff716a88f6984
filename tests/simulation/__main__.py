"""Tries schedules: `python -m tests.simulation 5000` so many at random, without a number a few, always the same ones.

The same, that is, in a process of its own with PYTHONHASHSEED=0: Hypothesis picks constants out of whatever modules
are loaded, and sets of texts have an order of their own in each process.
"""

import logging
import sys

import structlog
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.schedule import TRIED, Schedule

SAMPLE = 150
STEPS = 40
ALWAYS, IN_MANY = ("acknowledged writes", "cutovers", "kills", "reads ahead"), ("reverses", "late handovers")
"""What must have happened: schedules in which nothing happens would keep every promise."""


def main(schedules: int) -> None:
    # Thousands of schedules say too much.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run_state_machine_as_test(
        Schedule,
        settings=settings(
            max_examples=schedules or SAMPLE,
            derandomize=not schedules,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    print("tried:", {what: round(number, 1) for what, number in sorted(TRIED.items())})  # noqa: T201  # for a person
    missing = [what for what in (*ALWAYS, *(IN_MANY if schedules else ())) if not TRIED[what]]
    if missing:
        sys.exit(f"never happened: {', '.join(missing)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 0)
