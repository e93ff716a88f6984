"""The project's own lab: a real Keystone and a real Neutron, for demo, tests and benchmarks alike.

`Lab` runs the cloud, `build_topology` fills it, `Workload` uses it like its users would. `python -m lab` does
the first by hand.
"""

from lab.cloud import Credentials, Lab, Project
from lab.errors import LabError

__all__ = ["Credentials", "Lab", "LabError", "Project"]
