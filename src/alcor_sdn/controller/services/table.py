"""Which functions serve which resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from alcor_model.catalogue import (
    FLOATING_IP,
    NETWORK,
    PORT,
    ROUTER,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    SUBNET,
)
from alcor_sdn.controller.services import (
    floating_ips,
    networks,
    ports,
    routers,
    security_groups,
    subnets,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session


class Service(msgspec.Struct, frozen=True):
    """How objects of a resource come, change and go; `bulk`: whether Neutron creates several at once."""

    create: Callable[[Session, Json], Json]
    update: Callable[[Session, Json, Json], Json]
    delete: Callable[[Session, Json], None]
    bulk: bool = True
    tagged: bool = True


def _create_rule(session: Session, rule: Json) -> Json:
    return security_groups.create_rules(session, [rule])[0]


SERVICES: dict[str, Service] = {
    NETWORK.name: Service(networks.create, networks.update, networks.delete),
    SUBNET.name: Service(subnets.create, subnets.update, subnets.delete),
    PORT.name: Service(ports.create, ports.update, ports.delete),
    SECURITY_GROUP.name: Service(security_groups.create, security_groups.update, security_groups.delete),
    SECURITY_GROUP_RULE.name: Service(
        _create_rule, security_groups.update_rule, security_groups.delete_rule, tagged=False
    ),
    ROUTER.name: Service(routers.create, routers.update, routers.delete, bulk=False),
    FLOATING_IP.name: Service(floating_ips.create, floating_ips.update, floating_ips.delete, bulk=False),
}
"""Resource -> its service."""
