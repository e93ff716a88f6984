"""The HTTP reverse proxy in the API path.

Owns: connections of clients and to the API servers, the route, the hold, the count of writes in flight.
Never: decides when to switch, reads what a write means, or changes a request or an answer.
"""

from alcor_migrate.gateway.face import ApiGateway
from alcor_migrate.gateway.pool import GatewayPool, open_gateway
from alcor_migrate.gateway.routes import Kind, Route, kind_of
from alcor_migrate.gateway.server import Gateway
from alcor_migrate.gateway.settings import ORPHAN_PATIENCE, GatewaySettings, Policy, configured
from alcor_migrate.gateway.stats import BOUNDS, Stats
from alcor_migrate.gateway.switch import Caller

__all__ = [
    "BOUNDS",
    "ORPHAN_PATIENCE",
    "ApiGateway",
    "Caller",
    "Gateway",
    "GatewayPool",
    "GatewaySettings",
    "Kind",
    "Policy",
    "Route",
    "Stats",
    "configured",
    "kind_of",
    "open_gateway",
]
