"""MAC addresses: unique in their network."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from alcor_model.catalogue import PORT
from alcor_sdn.controller.neutron.errors import fail

if TYPE_CHECKING:
    from alcor_sdn.controller.services.session import Session


def normal(mac: str) -> str:
    """The one spelling: lower case, with colons."""
    digits = mac.replace(":", "").replace("-", "").lower()
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def in_use(session: Session, network_id: str, mac: str) -> bool:
    """Whether a port of the network has the address."""
    return any(port["network_id"] == network_id for port in session.find(PORT, mac_address=mac))


def claim(session: Session, network_id: str, wanted: str | None) -> str:
    """The wanted address, or a new one. Raises MacAddressInUse."""
    if wanted is not None:
        mac = normal(wanted)
        if in_use(session, network_id, mac):
            fail("MacAddressInUse", network=network_id, mac=mac)
        return mac
    while True:
        mac = generate(session.settings.base_mac)
        if not in_use(session, network_id, mac):
            return mac


def generate(base: str) -> str:
    """A random address with the deployment's first three octets."""
    return ":".join([base, *(f"{octet:02x}" for octet in secrets.token_bytes(3))])
