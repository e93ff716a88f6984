"""Every rule there is; what is not here is read through the API."""

from __future__ import annotations

from alcor_migrate.source.database.networks import NETWORK, SUBNET
from alcor_migrate.source.database.ports import PORT
from alcor_migrate.source.database.routing import FLOATING_IP, ROUTER
from alcor_migrate.source.database.security import SECURITY_GROUP, SECURITY_GROUP_RULE

RULES = (NETWORK, SUBNET, PORT, ROUTER, FLOATING_IP, SECURITY_GROUP, SECURITY_GROUP_RULE)
