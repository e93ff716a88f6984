"""The state machine: durable, exclusive, and with no way around its arrows."""

import contextlib
import sqlite3

import pytest

from alcor_migrate.engine.state import State, StateStore, may_follow
from alcor_migrate.errors import StateDirectoryBusy, StateError

JOURNEY = [State.CAPTURING, State.COPYING, State.CATCHING_UP, State.READY, State.CUTTING_OVER, State.SWITCHED]


@pytest.fixture
def store(tmp_path):
    opened = StateStore(tmp_path / "state")
    yield opened
    opened.close()


def test_it_begins_new_and_remembers_every_transition(tmp_path):
    store = StateStore(tmp_path)
    assert store.state is State.NEW
    for state in JOURNEY:
        store.move(state, "alice", "because", {"n": 1})
    store.close()
    again = StateStore(tmp_path)
    assert again.state is State.SWITCHED
    assert [t.after for t in again.transitions()] == [s.value for s in JOURNEY]
    assert again.transitions()[0].actor == "alice"
    assert again.transitions()[0].evidence == {"n": 1}
    again.close()


def test_what_has_no_arrow_is_refused_and_changes_nothing(store):
    store.move(State.CAPTURING, "alice", "")
    with pytest.raises(StateError, match="cannot become switched"):
        store.move(State.SWITCHED, "mallory", "")
    assert store.state is State.CAPTURING


def test_there_is_no_way_out_of_the_two_ends():
    for end in (State.COMPLETED, State.CANCELLED):
        assert not any(may_follow(end, state) for state in State)


def test_a_switched_migration_cannot_be_cancelled():
    assert not may_follow(State.SWITCHED, State.CANCELLED)
    assert may_follow(State.REVERSED, State.CANCELLED)


@pytest.mark.usefixtures("store")
def test_one_engine_for_one_directory(tmp_path):
    with pytest.raises(StateDirectoryBusy) as caught:
        StateStore(tmp_path / "state")
    assert "status" in caught.value.next_step


def test_a_start_that_failed_leaves_no_directory_behind(tmp_path):
    StateStore(tmp_path / "fresh").discard()
    assert not (tmp_path / "fresh").exists()
    (tmp_path / "old").mkdir()
    StateStore(tmp_path / "old").discard()
    assert (tmp_path / "old").exists()


def test_facts_survive(tmp_path):
    store = StateStore(tmp_path)
    assert store.recall("applied", int, 7) == 7
    store.keep("applied", 42)
    store.keep("applied", 43)
    store.close()
    again = StateStore(tmp_path)
    assert again.recall("applied", int, 0) == 43
    again.close()


def test_what_needs_attention_goes_back_to_where_it_was_and_never_on(store):
    for state in JOURNEY[:4]:
        store.move(state, "alice", "")
    store.move(State.NEEDS_ATTENTION, "alcor-migrate", "objects were not taken")
    assert (store.state, store.standing) == (State.NEEDS_ATTENTION, State.READY)
    with pytest.raises(StateError, match="cannot become cutting over"):
        store.move(State.CUTTING_OVER, "mallory", "")
    store.move(State.READY, "alcor-migrate", "they were")
    assert (store.state, store.standing) == (State.READY, State.READY)


@pytest.mark.parametrize(
    ("standing", "possible"),
    [(State.READY, State.CANCELLED), (State.REVERSED, State.CANCELLED), (State.SWITCHED, State.REVERSING)],
)
def test_the_way_back_stays_open_while_something_needs_attention(standing, possible):
    assert may_follow(State.NEEDS_ATTENTION, possible, standing)
    forward = {State.COMPLETED, State.CUTTING_OVER, State.SWITCHED} - {standing}
    assert not any(may_follow(State.NEEDS_ATTENTION, state, standing) for state in forward)


def test_no_handover_is_interrupted_by_attention():
    for state in (State.CUTTING_OVER, State.REVERSING, State.COMPLETED, State.CANCELLED):
        assert not may_follow(state, State.NEEDS_ATTENTION)


def test_attention_and_what_lies_beneath_survive_a_restart(tmp_path):
    store = StateStore(tmp_path)
    for state in JOURNEY:
        store.move(state, "alice", "")
    store.move(State.NEEDS_ATTENTION, "alcor-migrate", "")
    store.note("command", "bob", "throttle")
    store.close()
    again = StateStore(tmp_path)
    assert (again.state, again.standing) == (State.NEEDS_ATTENTION, State.SWITCHED)
    again.close()


def test_what_was_done_besides_is_in_the_audit_log_and_no_transition(store):
    store.move(State.CAPTURING, "alice", "")
    store.note("command", "bob", "throttle", {"answer": "throttled"})
    assert [t.after for t in store.transitions()] == ["capturing"]
    last = store.audit()[-1]
    assert (last.act, last.actor, last.before, last.after) == ("command", "bob", "capturing", "capturing")
    assert last.evidence == {"answer": "throttled"}


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_the_audit_log_cannot_be_changed_not_even_by_hand(tmp_path, statement):
    store = StateStore(tmp_path)
    store.move(State.CAPTURING, "alice", "")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
        assert connection.execute("SELECT actor FROM audit").fetchall() == [("alice",)]
