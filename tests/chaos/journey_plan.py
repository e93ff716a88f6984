"""What a run of a journey is to be, by its seed; without any I/O."""

import random
from dataclasses import dataclass

LEGS = ("ready", "switched", "reversed", "switched")
WORKERS = (1, 2, 3)
AHEAD, BACK = "reads ahead", "reads back"
HOW_OFTEN = 0.4  # share of handovers before which reads are sent ahead, and of journeys that end so
AND_BACK = 0.25  # share of those after which they come back before the writes follow
VERBS = {"switched": "cutover", "reversed": "reverse"}
SIDES = ("source", "target")


@dataclass(frozen=True)
class Plan:
    """What the seed decides before anything runs. Blows are drawn while it runs, from the same seed."""

    seed: int
    store: str = "sqlite"
    workers: int = 1
    turns_clock: bool = False
    steps: tuple = LEGS
    """States of the migration, and between them AHEAD and BACK."""
    holds_at_once: bool = False
    """Whether handovers wait for no quiet moment, so that more happens within their holds."""
    reads_database: bool = False
    """Whether Neutron's database is read, too, where the lab has one that can be."""

    @property
    def words(self):
        """On one line."""
        clock = ", clock" if self.turns_clock else ""
        holds = ", holds at once" if self.holds_at_once else ""
        source = ", source read by its database" if self.reads_database else ""
        return f"journal {self.store}, workers {self.workers}{clock}{holds}{source}, to {', '.join(self.steps)}"


def planned(seed, stores):
    """The plan of a seed, on a machine with these stores."""
    rng = random.Random(seed ^ 0x5EED)
    store = rng.choice(stores) if rng.random() < 0.5 else "sqlite"
    workers = rng.choice(WORKERS)
    # a faked clock is in the way of every system call for the time, so few runs have one
    turns_clock = rng.random() < 0.2
    return Plan(seed, store, workers, turns_clock, _steps(rng), rng.random() < 0.5, rng.random() < 0.5)


def _steps(rng):
    steps = []
    for leg in LEGS[: rng.randint(2, len(LEGS))]:
        if leg in VERBS and rng.random() < HOW_OFTEN:
            steps += [AHEAD, BACK] if rng.random() < AND_BACK else [AHEAD]
        steps.append(leg)
    return (*steps, AHEAD) if rng.random() < HOW_OFTEN else tuple(steps)


def reads_at(step, status):
    """The side to which reads go after AHEAD or BACK, by what the status says of the writes."""
    active = status["active"]
    return active if step == BACK else SIDES[active == SIDES[0]]


def is_there(step, status):
    """Whether a step is done."""
    if step in (AHEAD, BACK):
        return status["reads"]["side"] == reads_at(step, status)
    return status["state"] == step
