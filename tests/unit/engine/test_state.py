"""The state machine: durable, exclusive, and with no way around its arrows."""

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
