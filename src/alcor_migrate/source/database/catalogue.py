"""Every rule there is; what is not here is read through the API.

Left to it on purpose: RBAC policies (six tables, few objects), quotas (a table turned on its side), agents (they
change with every heartbeat), and what clouds have a handful of.
"""

from __future__ import annotations

from alcor_migrate.source.database.networks import NETWORK, SUBNET
from alcor_migrate.source.database.ports import PORT
from alcor_migrate.source.database.quality import POLICY, QOS_RULES
from alcor_migrate.source.database.routing import FLOATING_IP, ROUTER
from alcor_migrate.source.database.security import SECURITY_GROUP, SECURITY_GROUP_RULE
from alcor_migrate.source.database.services import CONNTRACK_HELPER, METERING_LABEL, PORT_FORWARDING, TRUNK
from alcor_migrate.source.database.sharing import ADDRESS_GROUP, ADDRESS_SCOPE, SEGMENT, SUBNET_POOL

RULES = (
    NETWORK,
    SUBNET,
    PORT,
    ROUTER,
    FLOATING_IP,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    SEGMENT,
    SUBNET_POOL,
    ADDRESS_SCOPE,
    ADDRESS_GROUP,
    POLICY,
    *QOS_RULES,
    TRUNK,
    PORT_FORWARDING,
    CONNTRACK_HELPER,
    METERING_LABEL,
)
