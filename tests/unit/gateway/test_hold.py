"""The waiting room by itself: who goes when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_migrate.gateway.hold import Room, Turn
from alcor_migrate.gateway.stats import Stats


class Writes:
    """A room, and what went out of it."""

    def __init__(self, max_requests=100, max_bytes=1000):
        self.stats = Stats()
        self.flowed = 0
        self.gone = []
        self.turns = {}
        self.room = Room(max_requests, max_bytes, self.stats, self._flow)

    def _flow(self):
        self.flowed += 1

    def enter(self, name, token="", size=0, arrived=None):
        turn = self.turns[name] = Turn(lambda: self.gone.append(name), size, token, arrived)
        return self.room.enter(turn)

    def leave(self, *names):
        for name in names:
            self.room.leave(self.turns[name])


@pytest.fixture
def writes():
    return Writes()


def test_nobody_goes_while_it_is_closed(writes):
    writes.room.close()
    for name in "abc":
        assert writes.enter(name, token=name)
    assert (writes.gone, len(writes.room)) == ([], 3)


def test_a_project_goes_one_after_the_other_and_projects_go_beside_each_other(writes):
    writes.room.close()
    for name in ("a1", "b1", "a2", "b2", "a3"):
        writes.enter(name, token=name[0])
    writes.room.open()
    assert writes.gone == ["a1", "b1"]
    writes.leave("a1")
    assert writes.gone == ["a1", "b1", "a2"]
    writes.leave("b1", "b2", "a2", "a3")
    assert writes.gone == ["a1", "b1", "a2", "b2", "a3"]
    assert (writes.flowed, len(writes.room)) == (1, 0)


def test_two_tokens_of_one_project_share_its_order(writes):
    writes.room.close()
    writes.enter("first", token="t1")
    writes.enter("second", token="t2")
    assert writes.room.asks_for("t1")
    assert not writes.room.asks_for("t1")
    writes.room.name("t1", "project")
    writes.room.name("t2", "project")
    writes.room.open()
    assert writes.gone == ["first"]
    writes.leave("first")
    assert writes.gone == ["first", "second"]


def test_the_order_is_that_of_arrival_whoever_is_heard_first(writes):
    """Several workers tell of their writes; what one of them says may come late."""
    writes.room.close()
    writes.enter("later", token="t", arrived=2.0)
    writes.enter("earlier", token="t", arrived=1.0)
    writes.room.open()
    assert writes.gone == ["earlier"]


def test_what_arrives_behind_a_lane_does_not_overtake_it(writes):
    writes.room.close()
    writes.enter("a1", token="a")
    writes.enter("a2", token="a")
    writes.room.open()
    writes.enter("a3", token="a")
    writes.enter("b1", token="b")
    assert writes.gone == ["a1", "b1"]
    writes.leave("a1", "a2")
    assert writes.gone == ["a1", "b1", "a2", "a3"]


def test_without_a_token_nobody_waits_for_another(writes):
    writes.room.close()
    writes.enter("x")
    writes.enter("y")
    writes.room.open()
    assert writes.gone == ["x", "y"]


def test_opened_wide_all_go_at_once(writes):
    writes.room.close()
    for name in ("a1", "a2", "b1", "a3"):
        writes.enter(name, token=name[0])
    writes.room.open()
    writes.room.open_wide()
    assert writes.gone == ["a1", "b1", "a2", "a3"]
    assert writes.flowed == 1
    writes.leave("a1", "a2", "b1", "a3")
    assert len(writes.room) == 0


def test_who_leaves_before_its_turn_holds_nobody_up(writes):
    writes.room.close()
    for name in ("a1", "a2", "a3"):
        writes.enter(name, token="a")
    writes.leave("a1")
    writes.room.open()
    assert writes.gone == ["a2"]
    writes.enter("a4", token="a")
    writes.leave("a3", "a2")
    assert writes.gone == ["a2", "a4"]


def test_nobody_is_held_twice(writes):
    writes.room.close()
    writes.enter("a1", token="a")
    writes.enter("a2", token="a")
    writes.room.open()
    writes.room.close()
    assert (writes.gone, len(writes.room)) == (["a1", "a2"], 0)
    writes.enter("a3", token="a")
    writes.leave("a1", "a2")
    assert len(writes.room) == 1
    writes.room.open()
    assert writes.gone == ["a1", "a2", "a3"]


def test_it_is_bounded_in_number_and_bytes():
    writes = Writes(max_requests=3, max_bytes=1000)
    writes.room.close()
    assert [writes.enter(n) for n in "abc"] == [True, True, False]
    writes = Writes(max_requests=100, max_bytes=1000)
    writes.room.close()
    assert [writes.enter(n, size=500) for n in "ab"] == [True, False]
    writes.room.open()
    writes.room.close()
    assert writes.enter("c", size=500)


def act(writes, left, what, which, number):
    """One step; the room is only opened when it is closed, as its owner does."""
    going = [name for name in writes.gone if name not in left]
    if what == "enter":
        writes.enter((which, number), token=which)
    elif what == "leave" and going:
        left.append(going[which % len(going)])
        writes.leave(left[-1])
    elif what == "close":
        writes.room.close()
    elif what == "open" and writes.room.closed:
        writes.room.open()
    elif what == "wide" and not writes.room.closed:
        writes.room.open_wide()


STEP = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from("abc")),
    st.tuples(st.sampled_from(["leave", "close", "open", "wide"]), st.integers(0, 30)),
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_nobody_is_forgotten_and_projects_keep_their_order(steps):
    writes, left, alone = Writes(), [], True
    for number, (what, which) in enumerate(steps):
        act(writes, left, what, which, number)
        # what had its turn when the room was closed again, or opened wide, may still be at work
        alone = alone and what not in ("close", "wide")
        running = [project for project, _ in set(writes.gone) - set(left)]
        assert not alone or len(running) == len(set(running))
    act(writes, left, "open", 0, 0)
    while len(left) < len(writes.gone):
        act(writes, left, "leave", 0, 0)
    assert sorted(writes.gone) == sorted(writes.turns)
    assert len(writes.room) == 0
    for project in "abc":
        order = [number for of, number in writes.gone if of == project]
        assert order == sorted(order)
