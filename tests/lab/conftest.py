"""One lab for the tests of a module that only use it; a test that breaks things starts its own."""

from pathlib import Path

import pytest

from lab import Lab, LabError, rabbitmq


def pytest_collection_modifyitems(items):
    """Openstacksdk uses what it will drop itself (RemovedInSDK50Warning and so on); all else stays an error."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(r"ignore::PendingDeprecationWarning:openstack\..*"))


@pytest.fixture(scope="module")
def lab():
    """Of a module, not of all: some things of a cloud there can be only once, and lists show what others made."""
    with Lab(gateway="none") as running:
        yield running


@pytest.fixture(scope="module")
def broker():
    """RabbitMQ for agents to talk over, or the module is skipped."""
    try:
        rabbitmq.provide()
    except LabError as error:
        pytest.skip(f"{error.message}. {error.next_step}")


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
