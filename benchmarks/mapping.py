"""How fast ports are converted between Neutron's JSON and Alcor's, and digested; and that memory stays what it is.

    python -m benchmarks.mapping [--ports 50000] [--many 1000000] [--rounds 5]

Writes build/bench/mapping.json. Everything runs on one core, from bytes to bytes, in pages of 500 ports as Neutron
lists them: decode, check, convert, encode. Times are those of the processor, so that they say what a core gives
whatever else the machine does. The peers do the same pages in the same run without any conversion: `json` is what
Python has for it, msgspec is what there is to reach. Each round measures everything once, and the figures are the
medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model import digest, resource, to_alcor, to_neutron
from alcor_model.mapping import check
from benchmarks.report import row, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PORT = resource("port")
PAGE = 500
FEW = 10_000


def port(number: int) -> dict[str, Any]:
    """One port as a real Neutron 29 lists it: names, order and typical values; no two are alike."""
    low = number & 0xFFFF
    uuid = f"{number:08x}-7b87-4ab4-bc09-b63073f3ce02"
    ips = [{"subnet_id": f"{number // 200:08x}-810d-4e30-8bcb-6b2263db01fc", "ip_address": _ipv4(number)}]
    if number % 4 == 0:
        ips.append(
            {"subnet_id": f"{number // 200:08x}-3a2c-4f68-9da7-0b1cfdae3bf4", "ip_address": f"fd00::{low:x}:1"}
        )
    project = f"{number // 1000:032x}"
    bound = number % 8 != 0
    return {
        "id": uuid,
        "name": f"backend-{number:03d}",
        "network_id": f"{number // 200:08x}-110a-4e42-bc80-15ab6cc86495",
        "tenant_id": project,
        "mac_address": f"fa:16:3e:{number >> 16 & 0xFF:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}",
        "admin_state_up": True,
        "status": "ACTIVE" if bound else "DOWN",
        "device_id": f"{number:08x}-0d37-4e30-8bcb-6b2263db01fc" if bound else "",
        "device_owner": "compute:nova" if bound else "",
        "fixed_ips": ips,
        "allowed_address_pairs": []
        if number % 10
        else [{"mac_address": "fa:16:3e:00:00:01", "ip_address": "10.0.0.0/24"}],
        "extra_dhcp_opts": [] if number % 16 else [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}],
        "security_groups": [f"{number // 1000:08x}-1cf9-4453-bffc-ce136cd9df5f"],
        "description": "" if number % 3 else "Grüße aus Köln: das Schaufenster",
        "binding:vnic_type": "normal",
        "binding:profile": {},
        "binding:host_id": f"compute-{number % 300}" if bound else "",
        "binding:vif_type": "ovs" if bound else "unbound",
        "binding:vif_details": {
            "connectivity": "l2",
            "port_filter": True,
            "ovs_hybrid_plug": False,
            "datapath_type": "system",
            "bridge_name": "br-int",
            "bound_drivers": {"0": "openvswitch"},
        }
        if bound
        else {},
        "port_security_enabled": True,
        "qos_policy_id": None,
        "qos_network_policy_id": None,
        "dns_name": "",
        "dns_assignment": [
            {"ip_address": ip["ip_address"], "hostname": f"host-{number}", "fqdn": f"host-{number}.lab.example."}
            for ip in ips
        ],
        "dns_domain": "",
        "propagate_uplink_status": True,
        "resource_request": None,
        "ip_allocation": "immediate",
        "tags": [] if number % 5 else ["pci", "team:grün"],
        "created_at": "2026-11-22T20:58:21Z",
        "updated_at": "2026-11-22T20:58:25Z",
        "revision_number": 4,
        "project_id": project,
        "data_plane_status": None,
        "numa_affinity_policy": None,
        "device_profile": None,
        "hints": None,
        "trusted": None,
        "hardware_offload_type": None,
    }


def _ipv4(number: int) -> str:
    return f"10.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}.{number & 0xFF}"


def pages(ports: int) -> Iterator[bytes]:
    """Neutron's answers to the listing of that many ports, each made when it is asked for."""
    for first in range(0, ports, PAGE):
        yield msgspec.json.encode({"ports": [port(n) for n in range(first, min(first + PAGE, ports))]})


class Page(msgspec.Struct):
    """A listing whose objects are not decoded yet: so only one of them is in memory at a time."""

    ports: list[msgspec.Raw]


_page = msgspec.json.Decoder(Page).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def forward(page: bytes) -> bytes:
    """Neutron's bytes to Alcor's."""
    return _encode(Page([msgspec.Raw(_encode(to_alcor(PORT, _decode(each)))) for each in _page(page).ports]))


def backward(page: bytes) -> bytes:
    """Alcor's bytes to Neutron's, checked as thoroughly."""
    return _encode(
        Page([msgspec.Raw(_encode(_checked(to_neutron(PORT, _decode(each))))) for each in _page(page).ports])
    )


def _checked(neutron: dict[str, Any]) -> dict[str, Any]:
    check(PORT, neutron)
    return neutron


def plain_json(page: bytes) -> bytes:
    """No conversion at all, with what Python brings."""
    return json.dumps(json.loads(page)).encode()


def plain_msgspec(page: bytes) -> bytes:
    """No conversion at all, with the codec that the conversion uses."""
    return _encode(Page([msgspec.Raw(_encode(_decode(each))) for each in _page(page).ports]))


def digests(page: bytes) -> list[bytes]:
    """The digest of every port of a page."""
    return [digest(PORT, _decode(each)) for each in _page(page).ports]


def rate(work: Callable[[bytes], Any], over: Iterable[bytes], ports: int) -> float:
    """Ports a second of the processor's time."""
    started = time.process_time()
    for page in over:
        work(page)
    return ports / (time.process_time() - started)


def stream(ports: int) -> dict[str, float]:
    """Convert and digest that many ports page by page, keeping none; seconds of the digests and peak memory."""
    seconds = 0.0
    for page in pages(ports):
        started = time.process_time()
        digests(page)
        seconds += time.process_time() - started
        forward(page)
    # Not getrusage: its high-water mark is inherited from the process that started this one.
    peak = next(
        line for line in Path("/proc/self/status").read_text("ascii").splitlines() if line.startswith("VmHWM")
    )
    return {"seconds": seconds, "mib": int(peak.split()[1]) / 1024}


def streamed(ports: int) -> dict[str, float]:
    """The same in a process of its own, whose memory is nothing else's."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.mapping", "--stream", str(ports)], check=True, capture_output=True
    )
    found: dict[str, float] = json.loads(run.stdout)
    print(f"  {ports:,} ports streamed: {found['mib']:.0f} MiB, digests {found['seconds']:.1f} s")
    return found


def measured(ports: int, rounds: int) -> dict[str, float]:
    """The medians of the rounds, by the name of what was done."""
    neutron = list(pages(ports))
    alcor = [forward(page) for page in neutron]
    back = json.loads(backward(alcor[0]))["ports"]
    if back != [dict(each) for each in islice(map(port, range(PAGE)), len(back))]:
        raise SystemExit("what came back is not what was there")
    works = {
        "forward": (forward, neutron),
        "backward": (backward, alcor),
        "json": (plain_json, neutron),
        "msgspec": (plain_msgspec, neutron),
        "digest": (digests, neutron),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, over) in works.items():
            rates[name].append(rate(work, over, ports))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"  {name:9} {medians[name]:10,.0f} ports/s  ({min(found):,.0f} to {max(found):,.0f})")
    return medians


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", type=int, default=50_000, help="how many the rates are measured on")
    parser.add_argument("--many", type=int, default=1_000_000, help="how many are streamed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream is not None:
        print(json.dumps(stream(options.stream)))
        return
    found = measured(options.ports, options.rounds)
    few, many = streamed(FEW), streamed(options.many)
    there, back = "ports, Neutron JSON to Alcor JSON", "ports, Alcor JSON to Neutron JSON"
    rows = [
        row(there, "1/s", found["forward"], bar=100_000),
        row(there, "1/s", found["forward"], peer=found["json"], peer_name="json without conversion"),
        row(there, "1/s", found["forward"], peer=found["msgspec"], peer_name="msgspec without conversion"),
        row(back, "1/s", found["backward"], bar=100_000),
        row(back, "1/s", found["backward"], peer=found["json"], peer_name="json without conversion"),
        row("digests of ports, from JSON", "1/s", found["digest"]),
        row(f"digest of {options.many:,} ports, from JSON", "s", many["seconds"], bar=60, at_most=True),
        row(
            f"peak memory, {options.many:,} ports streamed",
            "MiB",
            many["mib"],
            peer=few["mib"],
            peer_name=f"with {FEW:,}",
            bar=1.2,
            at_most=True,
        ),
    ]
    print(f"written to {write('mapping', rows)}")


if __name__ == "__main__":
    main()
