"""What the Neutron API answers when it refuses: status, type and message, as Neutron 29 words them.

Clients and their tests match these types and sentences, so they are part of the API. Source: observed answers
of Neutron 29 and the Network API v2.0 reference ("Faults").
"""

from __future__ import annotations

from typing import Any, NoReturn

from alcor_model.errors import AlcorError


class ApiError(AlcorError):
    """A request that is answered with a NeutronError body."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"NeutronError": {"type": self.kind, "message": self.message, "detail": ""}}


_ERRORS: dict[str, tuple[int, str]] = {
    # Not found
    "NetworkNotFound": (404, "Network {id} could not be found."),
    "SubnetNotFound": (404, "Subnet {id} could not be found."),
    "PortNotFound": (404, "Port {id} could not be found."),
    "RouterNotFound": (404, "Router {id} could not be found"),
    "FloatingIPNotFound": (404, "Floating IP {id} could not be found"),
    "SecurityGroupNotFound": (404, "Security group {id} does not exist"),
    "SecurityGroupRuleNotFound": (404, "Security group rule {id} does not exist"),
    "QosPolicyNotFound": (404, "QoS policy {id} could not be found."),
    "FlavorNotFound": (404, "Flavor {id} could not be found."),
    "SubnetPoolNotFound": (404, "Subnet pool {id} could not be found."),
    "AddressGroupNotFound": (404, "Address group {id} could not be found."),
    "TagResourceNotFound": (404, "Resource {resource} {id} could not be found."),
    "TagNotFound": (404, "Tag {tag} could not be found."),
    "RouterInterfaceNotFound": (404, "Router {router} does not have an interface with id {port}"),
    "RouterInterfaceNotFoundForSubnet": (404, "Router {router} has no interface on subnet {subnet}"),
    "ExternalGatewayForFloatingIPNotFound": (
        404,
        (
            "External network {network} is not reachable from subnet {subnet}.  Therefore, cannot associate Port "
            "{port} with a Floating IP."
        ),
    ),
    # In use, or against what is there
    "NetworkInUse": (409, "Unable to complete operation on network {id}. {reason}."),
    "SubnetInUse": (409, "Unable to complete operation on subnet {id}: {reason}."),
    "RouterInUse": (409, "Router {id} {reason}"),
    "SecurityGroupInUse": (409, "Security Group {id} {reason}."),
    "ServicePortInUse": (409, "Port {id} cannot be deleted directly via the port API: {reason}."),
    "PortInUse": (
        409,
        (
            "Unable to complete operation on port {id} for network {network}. Port already has an attached device "
            "{device}."
        ),
    ),
    "PortBound": (
        409,
        (
            "Unable to complete operation on port {id}, port is already bound, port type: {vif_type}, old_mac "
            "{old}, new_mac {new}."
        ),
    ),
    "UnsupportedPortDeviceOwner": (
        409,
        "Operation {operation} is not supported for device_owner {owner} on port {id}.",
    ),
    "MacAddressInUse": (
        409,
        "Unable to complete operation for network {network}. The mac address {mac} is in use.",
    ),
    "IpAddressAlreadyAllocated": (409, "IP address {address} already allocated in subnet {subnet}"),
    "IpAddressGenerationFailure": (409, "No more IP addresses available on network {network}."),
    "VlanIdInUse": (
        409,
        "Unable to create the network. The VLAN {vlan} on physical network {physical} is in use.",
    ),
    "TunnelIdInUse": (409, "Unable to create the network. The tunnel ID {tunnel} is in use."),
    "FlatNetworkInUse": (
        409,
        "Unable to create the flat network. Physical network {physical} is in use.",
    ),
    "InvalidSharedSetting": (
        409,
        "Unable to reconfigure sharing settings for network {name}. Multiple projects are using it.",
    ),
    "ExternalNetworkInUse": (
        409,
        "External network {id} cannot be updated to be made non-external, since it has existing gateway ports.",
    ),
    "NetworkMTUSubnetConflict": (409, "MTU of {id} is not valid, subnet requires a minimum of {mtu}"),
    "GatewayConflictWithAllocationPools": (
        409,
        "Gateway ip {address} conflicts with allocation pool {pool}.",
    ),
    "GatewayIpInUse": (409, "Current gateway ip {address} already in use by port {port}. Unable to update."),
    "OverlappingAllocationPools": (
        409,
        "Found overlapping allocation pools: {one} {other} for subnet {cidr}.",
    ),
    "RouterInterfaceInUseByFloatingIP": (
        409,
        (
            "Router interface for subnet {subnet} on router {router} cannot be deleted, as it is required by one "
            "or more floating IPs."
        ),
    ),
    "RouterInterfaceInUseByRoute": (
        409,
        (
            "Router interface for subnet {subnet} on router {router} cannot be deleted, as it is required by one "
            "or more routes."
        ),
    ),
    "RouterExternalGatewayInUseByFloatingIp": (
        409,
        (
            "Gateway cannot be updated for router {router}, since a gateway to external network {network} is "
            "required by one or more floating IPs."
        ),
    ),
    "FloatingIPPortAlreadyAssociated": (
        409,
        (
            "Cannot associate floating IP {address} ({id}) with port {port} using fixed IP {fixed}, as that fixed "
            "IP already has a floating IP on external network {network}."
        ),
    ),
    "FipAssociated": (
        409,
        "Unable to complete the operation on port {port} because the port still has an associated floating IP.",
    ),
    "AddressPairAndPortSecurityRequired": (
        409,
        "Port Security must be enabled in order to have allowed address pairs on a port.",
    ),
    "PortSecurityPortHasSecurityGroup": (
        409,
        (
            "Port has security group associated. Cannot disable port security or IP address until security group "
            "is removed."
        ),
    ),
    "SecurityGroupDefaultAlreadyExists": (409, "Default security group already exists."),
    "SecurityGroupCannotRemoveDefault": (409, "Insufficient rights for removing default security group."),
    "SecurityGroupCannotUpdateDefault": (409, "Updating default security group not allowed."),
    "SecurityGroupRuleExists": (409, "Security group rule already exists. Rule id is {id}."),
    "DuplicateSecurityGroupRuleInPost": (409, "Duplicate Security Group Rule in POST."),
    "SecurityGroupConflict": (409, "Error {reason} while attempting the operation."),
    "Conflict": (409, "{reason}"),
    "DeviceIDNotOwnedByTenant": (
        409,
        "The following device_id {device} is not owned by your project or matches another project router.",
    ),
    "IPAddressChangeNotAllowed": (409, "IP updates for Neutron router port {id} are not allowed."),
    "OverQuota": (409, "Quota exceeded for resources: {overs}."),
    "RevisionNumberConstraintFailed": (
        412,
        "Constrained to {wanted}, but current revision is {current}",
    ),
    # Bad requests
    "BadRequest": (400, "Bad {resource} request: {reason}."),
    "InvalidInput": (400, "Invalid input for operation: {reason}."),
    "InvalidCIDR": (400, "Invalid CIDR {cidr} given as IP prefix."),
    "InvalidIpForNetwork": (
        400,
        "IP address {address} is not a valid IP for any of the subnets on the specified network.",
    ),
    "InvalidIpForSubnet": (400, "IP address {address} is not a valid IP for the specified subnet."),
    "InvalidAllocationPool": (400, "The allocation pool {pool} is not valid."),
    "OutOfBoundsAllocationPool": (400, "The allocation pool {pool} spans beyond the subnet cidr {cidr}."),
    "DNSNameServersExhausted": (
        400,
        "Unable to complete operation for {id}. The number of DNS nameservers exceeds the limit {limit}.",
    ),
    "HostRoutesExhausted": (
        400,
        "Unable to complete operation for {id}. The number of host routes exceeds the limit {limit}.",
    ),
    "AllocationOnAutoAddressSubnet": (
        400,
        (
            "IPv6 address {address} cannot be directly assigned to a port on subnet {subnet} as the subnet is "
            "configured for automatic addresses"
        ),
    ),
    "SubnetMismatchForPort": (400, "Subnet on port {port} does not match the requested subnet {subnet}."),
    "ExternalIpAddressExhausted": (400, "Unable to find any IP address on external network {network}."),
    "InvalidRoutes": (400, "Invalid format for routes: {routes}, {reason}"),
    "RoutesExhausted": (
        400,
        "Unable to complete operation for {router}. The number of routes exceeds the maximum {limit}.",
    ),
    "PortSecurityAndIPRequiredForSecurityGroups": (
        400,
        "Port security must be enabled and port must have an IP address in order to use security groups.",
    ),
    "AllowedAddressPairsMissingIP": (400, "AllowedAddressPair must contain ip_address"),
    "DuplicateAddressPairInRequest": (
        400,
        "Request contains duplicate address pair: mac_address {mac} ip_address {ip}.",
    ),
    "SecurityGroupInvalidPortRange": (
        400,
        "For TCP/UDP protocols, port_range_min must be <= port_range_max",
    ),
    "SecurityGroupInvalidPortValue": (400, "Invalid value for port {port}"),
    "SecurityGroupInvalidIcmpValue": (
        400,
        "Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255.",
    ),
    "SecurityGroupMissingIcmpType": (
        400,
        "ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing.",
    ),
    "SecurityGroupInvalidProtocolForPort": (
        400,
        "Ports cannot be specified for protocol {protocol}. Ports are only supported for {supported}.",
    ),
    "SecurityGroupProtocolRequiredWithPorts": (400, "Must also specify protocol if port range is given."),
    "SecurityGroupRuleInvalidProtocol": (
        400,
        (
            "Security group rule protocol {protocol} not supported. Only protocol values {values} and integer "
            "representations [0 to 255] are supported."
        ),
    ),
    "SecurityGroupRuleInvalidEtherType": (
        400,
        "Security group rule for ethertype '{ethertype}' not supported. Allowed values are {values}.",
    ),
    "SecurityGroupEthertypeConflictWithProtocol": (
        400,
        "Invalid ethertype {ethertype} for protocol {protocol}.",
    ),
    "SecurityGroupRuleParameterConflict": (400, "Conflicting value ethertype {ethertype} for CIDR {cidr}"),
    "SecurityGroupMultipleRemoteEntites": (
        400,
        "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
    ),
    "SecurityGroupNotSingleGroupRules": (
        400,
        "Only allowed to update rules for one security profile at a time",
    ),
    "SecurityGroupRulesNotSingleProject": (
        400,
        "Multiple project_ids in bulk security group rule create not allowed",
    ),
    "TenantIdProjectIdFilterConflict": (400, "Both tenant_id and project_id passed as filters."),
    "PolicyNotAuthorized": (403, "{rule} is disallowed by policy"),
    "NoNetworkAvailable": (
        503,
        "Unable to create the network. No project network is available for allocation.",
    ),
    "ServiceUnavailable": (503, "The service is unavailable."),
    # The web framework's own
    "HTTPBadRequest": (400, "{reason}"),
    "HTTPNotFound": (404, "The resource could not be found."),
    "HTTPMethodNotAllowed": (
        405,
        "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    ),
    "HTTPInternalServerError": (
        500,
        "Request Failed: internal server error while processing your request.",
    ),
}


def fault(kind: str, **values: Any) -> ApiError:
    """The error of a type, its message filled in."""
    status, message = _ERRORS[kind]
    return ApiError(status, kind, message.format(**values))


def fail(kind: str, **values: Any) -> NoReturn:
    """Raise the error of a type."""
    raise fault(kind, **values)


def bad_request(reason: str) -> ApiError:
    """A body that does not follow the rules of its resource."""
    return fault("HTTPBadRequest", reason=reason)


def invalid(reason: str) -> ApiError:
    """A value that the operation cannot use."""
    return fault("InvalidInput", reason=reason)


NOT_FOUND = {
    "network": "NetworkNotFound",
    "subnet": "SubnetNotFound",
    "port": "PortNotFound",
    "router": "RouterNotFound",
    "floatingip": "FloatingIPNotFound",
    "security_group": "SecurityGroupNotFound",
    "security_group_rule": "SecurityGroupRuleNotFound",
}
"""The type of error for an object that is not there, by resource."""


def not_found(resource: str, object_id: str) -> ApiError:
    """The error for an object that is not there, or that the caller may not know of."""
    return fault(NOT_FOUND[resource], id=object_id)
