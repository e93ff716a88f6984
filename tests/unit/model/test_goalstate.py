"""The goal-state protocol is Alcor's: the same names and numbers, and the same bytes on the wire."""

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

from alcor_model import goalstate as gs
from alcor_model.goalstate import (
    goalstateprovisioner_pb2,
    goalstateprovisioner_pb2_grpc,
    subscribeinfoprovisioner_pb2,
)
from tools import proto

CONTRACT = Path(__file__).parent / "alcor_goalstate_contract.txt"
SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def contract():
    """What the contract's text says: {"message VpcState": ["OperationType operation_type = 1", …], …}."""
    blocks = CONTRACT.read_text().split("\n\n")[1:]
    return {lines[0]: [line.strip() for line in lines[1:]] for lines in (block.splitlines() for block in blocks)}


def type_name(field):
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        return f"map<{type_name(key)}, {type_name(value)}>"
    named = field.message_type or field.enum_type
    name = named.name if named else SCALARS[field.type]
    return f"repeated {name}" if field.is_repeated else name


def declared():
    """The same of our descriptors."""
    names = {path.stem for path in proto.PACKAGE.glob("*.proto")}
    said = {}

    def enum(of):
        said[f"enum {of.full_name.removeprefix('alcor.schema.')}"] = [f"{v.name} = {v.number}" for v in of.values]

    def message(of):
        if of.GetOptions().map_entry:
            return
        fields = [f"{type_name(f)} {f.name} = {f.number}" for f in of.fields]
        said[f"message {of.full_name.removeprefix('alcor.schema.')}"] = fields
        for inner in of.nested_types:
            message(inner)
        for inner in of.enum_types:
            enum(inner)

    for name in names:
        file = descriptor_pool.Default().FindFileByName(f"alcor_model/goalstate/{name}.proto")
        assert file.package == "alcor.schema"
        for of in file.enum_types_by_name.values():
            enum(of)
        for of in file.message_types_by_name.values():
            message(of)
        for service in file.services_by_name.values():
            said[f"service {service.name}"] = [
                f"{m.name}: {'stream ' * m.client_streaming}{m.input_type.name} → "
                f"{'stream ' * m.server_streaming}{m.output_type.name}"
                for m in service.methods
            ]
    return said


def test_every_message_enum_and_service_is_the_contracts():
    expected, ours = contract(), declared()
    assert sorted(ours) == sorted(expected)
    for heading, lines in expected.items():
        assert sorted(ours[heading]) == sorted(lines), heading


# Bytes by the wire format's own rules: a field is its number and kind as a varint, then a varint or length and bytes.
def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number(field, value):
    return varint(field << 3 | 0) + varint(value)


def text(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def test_a_port_of_a_host():
    message = gs.PortState(
        operation_type=gs.OperationType.CREATE,
        configuration=gs.PortConfiguration(
            revision_number=1,
            id="p1",
            update_type=gs.UpdateType.FULL,
            vpc_id="n1",
            mac_address="fa:16:3e:00:00:01",
            admin_state_up=True,
            host_info=gs.PortConfiguration.HostInfo(ip_address="10.9.0.1"),
            fixed_ips=[
                gs.PortConfiguration.FixedIp(subnet_id="s1", ip_address="10.0.0.5"),
                gs.PortConfiguration.FixedIp(subnet_id="s2", ip_address="2001:db8::5"),
            ],
            security_group_ids=[gs.PortConfiguration.SecurityGroupId(id="g1")],
        ),
    )
    configuration = (
        number(1, 1)
        + text(3, "p1")
        + number(4, 1)
        + text(5, "n1")
        + text(9, "fa:16:3e:00:00:01")
        + number(10, 1)
        + text(11, text(1, "10.9.0.1"))
        + text(12, text(1, "s1") + text(2, "10.0.0.5"))
        + text(12, text(1, "s2") + text(2, "2001:db8::5"))
        + text(14, text(1, "g1"))
    )
    assert message.SerializeToString() == number(1, 1) + text(2, configuration)


def test_a_port_of_a_host_byte_by_byte():
    message = gs.PortState(
        operation_type=4, configuration=gs.PortConfiguration(revision_number=300, id="p", name="é")
    )
    assert message.SerializeToString() == bytes.fromhex(
        "08 04"  # 1 operation_type: DELETE
        "12 0a"  # 2 configuration: ten bytes
        "  08 ac 02"  # 1 revision_number: 300, in two bytes
        "  1a 01 70"  # 3 id: "p"
        "  32 02 c3 a9"  # 6 name: "é" in UTF-8
    )


def test_a_subnet_whose_tunnel_id_needs_64_bits():
    message = gs.SubnetState(
        configuration=gs.SubnetConfiguration(
            network_type=gs.NetworkType.GENEVE,
            cidr="10.0.0.0/24",
            tunnel_id=2**40 + 1,
            gateway=gs.SubnetConfiguration.Gateway(ip_address="10.0.0.1", mac_address="fa:16:3e:00:00:02"),
            dhcp_enable=True,
            dns_entry_list=[gs.SubnetConfiguration.DnsEntry(entry="9.9.9.9")],
        )
    )
    configuration = (
        number(5, 3)
        + text(8, "10.0.0.0/24")
        + number(9, 2**40 + 1)
        + text(10, text(1, "10.0.0.1") + text(2, "fa:16:3e:00:00:02"))
        + number(11, 1)
        + text(13, text(1, "9.9.9.9"))
    )
    assert message.SerializeToString() == text(2, configuration)


def test_goal_states_of_many_hosts_are_maps():
    neighbor = gs.NeighborState(operation_type=gs.OperationType.UPDATE)
    neighbor.configuration.id = "p1"
    neighbor.configuration.fixed_ips.add(neighbor_type=gs.NeighborType.L3, ip_address="10.0.0.5", tunnel_id=77)
    message = gs.GoalStateV2(format_version=102, neighbor_states={"L3/p1": neighbor})
    message.host_resources["10.9.0.1"].resources.add(type=gs.ResourceType.NEIGHBOR, id="L3/p1")
    message.vpc_states["n1"].configuration.tunnel_id = 77
    to_the_port = number(1, 1) + text(3, "10.0.0.5") + number(5, 77)
    written = (
        number(1, 102)
        + text(2, text(1, "10.9.0.1") + text(2, text(1, number(1, 3) + text(2, "L3/p1"))))
        + text(3, text(1, "n1") + text(2, text(2, number(8, 77))))
        + text(
            7,
            text(1, "L3/p1")
            + text(
                2,
                number(1, 2) + text(2, text(3, "p1") + text(10, to_the_port)),
            ),
        )
    )
    assert message.SerializeToString(deterministic=True) == written
    assert gs.GoalStateV2.FromString(written) == message


def test_goal_states_of_one_host_are_lists():
    message = gs.GoalState(format_version=101)
    for states in ("vpc", "subnet", "port", "neighbor", "security_group", "dhcp", "router", "gateway"):
        getattr(message, f"{states}_states").add(operation_type=gs.OperationType.GET)
    state = number(1, 3)
    assert message.SerializeToString() == number(1, 101) + b"".join(text(n, state) for n in range(2, 10))


def test_what_an_agent_answers():
    written = number(1, 102) + text(2, text(1, "p1") + number(2, 2) + number(3, 1) + number(4, 2) + number(7, 1500))
    reply = gs.GoalStateOperationReply.FromString(written + number(3, 1600))
    (status,) = reply.operation_statuses
    assert (status.resource_id, status.resource_type) == ("p1", gs.ResourceType.PORT)
    assert status.operation_status == gs.OperationStatus.INVALID_ARG
    assert (status.state_elapse_time, reply.message_total_operation_time) == (1500, 1600)


def test_what_a_later_version_adds_is_carried():
    later = number(1, 3) + text(2, text(3, "p1") + text(99, "new")) + number(17, 5)
    assert gs.PortState.FromString(later).SerializeToString() == later


@pytest.mark.parametrize(
    ("module", "method"),
    [
        (goalstateprovisioner_pb2, "GoalStateProvisioner.PushNetworkResourceStates"),
        (goalstateprovisioner_pb2, "GoalStateProvisioner.PushGoalStatesStream"),
        (subscribeinfoprovisioner_pb2, "SubscribeInfoProvisioner.PushNodeSubscribeInfo"),
    ],
)
def test_methods_are_called_by_the_contracts_names(module, method):
    service, name = method.split(".")
    assert module.DESCRIPTOR.services_by_name[service].methods_by_name[name].full_name == f"alcor.schema.{method}"
    stub = Path(module.__file__.replace("_pb2.py", "_pb2_grpc.py")).read_text()
    assert f"'/alcor.schema.{service}/{name}'" in stub


@pytest.mark.process  # protoc starts its plug-in
def test_the_generated_code_is_current():
    with tempfile.TemporaryDirectory() as scratch:
        proto.generate(Path(scratch))
        assert proto.stale(Path(scratch)) == [], "run `make proto`"


class Agent(goalstateprovisioner_pb2_grpc.GoalStateProvisionerServicer):
    """Answers each message of a stream with what it was told to do."""

    def PushGoalStatesStream(self, request_iterator, context):  # noqa: N802, ARG002 - the contract's name
        for message in request_iterator:
            reply = gs.GoalStateOperationReply(format_version=message.format_version)
            for port in message.port_states.values():
                reply.operation_statuses.add(resource_id=port.configuration.id, operation_type=port.operation_type)
            yield reply


def test_controller_and_agent_talk_over_grpc():
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    goalstateprovisioner_pb2_grpc.add_GoalStateProvisionerServicer_to_server(Agent(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    message = gs.GoalStateV2(format_version=102)
    message.port_states["p1"].operation_type = gs.OperationType.CREATE
    message.port_states["p1"].configuration.id = "p1"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = goalstateprovisioner_pb2_grpc.GoalStateProvisionerStub(channel)
        empty, told = stub.PushGoalStatesStream(iter([gs.GoalStateV2(), message]), timeout=30)
        with pytest.raises(grpc.RpcError) as refused:
            stub.RequestGoalStates(gs.HostRequest(), timeout=30)
    server.stop(grace=None).wait()
    assert empty == gs.GoalStateOperationReply()
    assert told.format_version == 102
    assert [(s.resource_id, s.operation_type) for s in told.operation_statuses] == [("p1", gs.OperationType.CREATE)]
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_only_goal_states_need_protobuf():
    for path in proto.PACKAGE.parent.rglob("*.py"):
        if proto.PACKAGE not in path.parents:
            assert not re.search(
                r"^\s*(from|import) (google|grpc|alcor_model\.goalstate)", path.read_text(), re.MULTILINE
            )
