"""Goal states: what Alcor tells an agent its host must look like, as protobuf messages.

The `.proto` files here say the contract; `make proto` generates the `_pb2` modules from them. The services' classes
are in `goalstateprovisioner_pb2_grpc` and `subscribeinfoprovisioner_pb2_grpc`, which need grpcio as well.
Needs the extra `goalstate`.
"""

from alcor_model.goalstate.common_pb2 import (
    EtherType,
    NetworkType,
    OperationStatus,
    OperationType,
    Protocol,
    RequestType,
    ResourceType,
    UpdateType,
)
from alcor_model.goalstate.dhcp_pb2 import DHCPConfiguration, DHCPState
from alcor_model.goalstate.gateway_pb2 import GatewayConfiguration, GatewayState, GatewayType
from alcor_model.goalstate.goalstate_pb2 import GoalState, GoalStateV2, HostResources, ResourceIdType
from alcor_model.goalstate.goalstateprovisioner_pb2 import (
    GoalStateOperationReply,
    HostRequest,
    HostRequestReply,
    NeighborRulesRequest,
)
from alcor_model.goalstate.neighbor_pb2 import NeighborConfiguration, NeighborState, NeighborType
from alcor_model.goalstate.port_pb2 import PortConfiguration, PortState
from alcor_model.goalstate.router_pb2 import DestinationType, RouterConfiguration, RouterState
from alcor_model.goalstate.securitygroup_pb2 import SecurityGroupConfiguration, SecurityGroupState
from alcor_model.goalstate.subnet_pb2 import SubnetConfiguration, SubnetState
from alcor_model.goalstate.subscribeinfoprovisioner_pb2 import (
    NodeSubscribeInfo,
    SubscribeOperation,
    SubscribeOperationReply,
)
from alcor_model.goalstate.vpc_pb2 import VpcConfiguration, VpcState

__all__ = [
    "DHCPConfiguration",
    "DHCPState",
    "DestinationType",
    "EtherType",
    "GatewayConfiguration",
    "GatewayState",
    "GatewayType",
    "GoalState",
    "GoalStateOperationReply",
    "GoalStateV2",
    "HostRequest",
    "HostRequestReply",
    "HostResources",
    "NeighborConfiguration",
    "NeighborRulesRequest",
    "NeighborState",
    "NeighborType",
    "NetworkType",
    "NodeSubscribeInfo",
    "OperationStatus",
    "OperationType",
    "PortConfiguration",
    "PortState",
    "Protocol",
    "RequestType",
    "ResourceIdType",
    "ResourceType",
    "RouterConfiguration",
    "RouterState",
    "SecurityGroupConfiguration",
    "SecurityGroupState",
    "SubnetConfiguration",
    "SubnetState",
    "SubscribeOperation",
    "SubscribeOperationReply",
    "UpdateType",
    "VpcConfiguration",
    "VpcState",
]
