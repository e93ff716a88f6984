"""How far replay is behind while the real Neutron is written to as fast as it takes it, through the gateway."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks.real_neutron import accepted
from benchmarks.report import row
from lab.journey import Journey

if TYPE_CHECKING:
    from lab import Lab

WRITERS = 8
WRITING = 30.0  # seconds
PATIENCE = 600.0  # seconds for the copy


def lag(lab: Lab, write_rate: float, reading: str, keys: dict[str, Any]) -> list[dict[str, Any]]:
    """Lag while clients create ports through the gateway without a pause; `reading` says how replay reads."""
    token = lab.connection("lab-admin", direct=True).auth_token
    with Journey(lab, interval=0.05, keys=keys) as journey:
        journey.wait_for("ready", timeout=PATIENCE)
        began = time.time()
        rate = accepted(lab.gateway_url, token, WRITERS, WRITING)
        journey.settle()
        lags = [sample.lag for sample in journey.samples if began <= sample.at]
    p99 = statistics.quantiles(lags, n=100)[98]
    print(
        f"  {rate:.1f} ports/s ({write_rate:.1f} without the gateway), {len(lags)} looks, p99 {p99:.2f} s", flush=True
    )
    name = f"under all the writes that the real Neutron takes, {reading}"
    peer = "without the gateway"
    return [
        row(f"ports created in a second, {name}", "1/s", rate, peer=write_rate, peer_name=peer),
        row(f"lag p99, {name}", "s", p99, bar=1.0, at_most=True),
        row(f"lag p50, {name}", "s", statistics.median(lags)),
        row(f"longest lag, {name}", "s", max(lags)),
    ]
