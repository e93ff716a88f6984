"""One lab for all tests that only use it, put back after each module; a test that breaks things starts its own."""

from pathlib import Path

import pytest

from lab import Lab, LabError, rabbitmq
from lab.database import Rows
from lab.neutron import database_url


def pytest_collection_modifyitems(items):
    """Openstacksdk uses what it will drop itself (RemovedInSDK50Warning and so on); all else stays an error."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(r"ignore::PendingDeprecationWarning:openstack\..*"))
            if item.get_closest_marker("timeout") is None:  # the first one starts a lab, too
                item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def shared():
    with Lab(gateway="none") as running, Rows(database_url(running.directory)) as rows:
        yield running, rows, rows.read()


@pytest.fixture(scope="module")
def lab(shared):
    """As fresh as when it started: some things of a cloud there can be only once, and lists show what others made."""
    running, rows, fresh = shared
    yield running
    rows.put_back(fresh)


@pytest.fixture(scope="session")
def broker_trouble():
    """Why there is no RabbitMQ for agents to talk over; empty when there is one."""
    try:
        rabbitmq.provide()
    except LabError as error:
        return f"{error.message}. {error.next_step}"
    return ""


@pytest.fixture
def broker(broker_trouble):
    """Of what needs agents; it is skipped where they cannot be had."""
    if broker_trouble:
        pytest.skip(broker_trouble)


@pytest.fixture
def connect():
    """Open connections of openstacksdk that are closed after the test."""
    opened = []

    def open_one(lab, cloud="lab-admin", **options):
        opened.append(lab.connection(cloud, **options))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()
