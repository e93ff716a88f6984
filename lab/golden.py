"""Golden files: what a real Neutron answers for every resource of the catalogue, with unusual settings.

    python -m lab.golden        # writes tests/unit/model/golden/

One file per resource with the objects as Neutron lists them, and `attributes.json` with every attribute that this
Neutron's own definitions name. Ids and times are replaced by ones that follow from the order of their appearance,
so that a new run differs only where Neutron does. The tests in tests/unit/model read the files; nothing else does.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import RESOURCES
from lab.cloud import Lab
from lab.maker import Maker
from lab.process import INSIDE
from lab.unusual import build

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "unit" / "model" / "golden"
ATTRIBUTES = "attributes.json"

_UUID = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d(Z?)")


def readable(objects: Mapping[str, list[Any]]) -> dict[str, str]:
    """The files' texts, with ids and times that follow from the order of their appearance."""
    texts = {name: json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) for name, found in objects.items()}
    ids: dict[str, str] = {}
    times: dict[str, str] = {}

    def calm_id(found: re.Match[str]) -> str:
        bare = found[0].replace("-", "")
        number = ids.setdefault(bare, f"{len(ids) + 1:012x}")
        return f"00000000-0000-4000-8000-{number}" if "-" in found[0] else f"0000000000004000800{number:0>13}"

    def calm_time(found: re.Match[str]) -> str:
        second = int(times.setdefault(found[0], str(len(times))))
        return f"2026-01-01{found[1]}{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{found[2]}"

    return {name: _TIME.sub(calm_time, _UUID.sub(calm_id, text)) + "\n" for name, text in texts.items()}


def write(directory: Path = GOLDEN) -> int:
    """Start a lab, make the objects and write the files; returns how many objects they hold."""
    directory.mkdir(parents=True, exist_ok=True)
    with Lab() as lab:
        maker = Maker(lab)
        unlisted = build(maker)
        found = {of.name: unlisted.get(of.name) or maker.listed(of) for of in RESOURCES}
        definitions = subprocess.run(
            [lab.openstack_bin / "python", "-W", "ignore", INSIDE / "neutron_attributes.py"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    ranges = found["network_segment_range"]
    found["network_segment_range"] = [r for r in ranges if not r["default"]]  # those name 10,000 numbers
    for name, text in readable(found).items():
        (directory / f"{name}.json").write_text(text, encoding="utf-8")
    (directory / ATTRIBUTES).write_text(definitions, encoding="utf-8")
    return sum(map(len, found.values()))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"{write()} objects in {GOLDEN}")
