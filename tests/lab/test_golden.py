"""The golden list of attributes is that of the installed Neutron."""

import json
import subprocess

import pytest

from lab.cloud import OPENSTACK_BIN
from lab.golden import ATTRIBUTES, GOLDEN
from lab.process import INSIDE

pytestmark = pytest.mark.lab


def test_the_installed_neutron_defines_what_the_golden_list_says():
    said = subprocess.run(
        [OPENSTACK_BIN / "python", "-W", "ignore", INSIDE / "neutron_attributes.py"], capture_output=True, check=True
    ).stdout
    assert json.loads(said) == json.loads((GOLDEN / ATTRIBUTES).read_text("utf-8")), "run python -m lab.golden"
