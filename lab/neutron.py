"""A real Neutron API: its configuration, its tables, its process, and the hosts it believes in."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ClientException

from lab.errors import LabError
from lab.keystone import PASSWORD, REGION
from lab.ports import HOST
from lab.process import INSIDE, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keystoneauth1.session import Session

    from lab.database import Database
    from lab.process import Processes, Service

HOSTS = ("compute-1", "compute-2", "compute-3", "compute-4")
PHYSICAL_NETWORK = "physnet1"
PUBLIC_NETWORK = "public"
EXTENSION = Path(__file__).resolve().parents[1] / "src" / "alcor_neutron_ids"
"""The API extension of this project, which Neutron loads where it is present."""

NOBODY = "fake://"
"""The transport_url with which Neutron talks to its agents and nobody hears it."""

NEUTRON_CONF = """\
[DEFAULT]
auth_strategy = keystone
core_plugin = ml2
service_plugins = router,trunk,qos,segments,port_forwarding,metering,network_ip_availability,flavors,\
auto_allocate,conntrack_helper,ndp_proxy,local_ip,revisions,tag,timestamp,network_segment_range,log,vpnaas,bgp
api_paste_config = {paste}
api_extensions_path = {extensions}
state_path = {state}
transport_url = {transport_url}
dns_domain = lab.example.
dhcp_agents_per_network = 1
max_subnet_host_routes = 100
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
use_stderr = true
rpc_workers = 1
rpc_state_report_workers = 0
[service_providers]
service_provider = VPN:strongswan:neutron_vpnaas.services.vpn.service_drivers.ipsec.IPsecVPNDriver:default
[oslo_concurrency]
lock_path = {state}/lock
[oslo_policy]
policy_file = {policy}
[oslo_messaging_notifications]
driver = noop
[database]
connection = {database_url}
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1
quota_subnetpool = -1
quota_rbac_policy = -1
quota_trunk = -1
[keystone_authtoken]
www_authenticate_uri = {auth_url}
auth_url = {auth_url}
auth_type = password
username = neutron
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = {region}
service_type = network
interface = internal
"""

ML2_CONF = f"""\
[ml2]
type_drivers = flat,vlan,vxlan,local
tenant_network_types = vxlan
mechanism_drivers = openvswitch,l2population
extension_drivers = port_security,qos,subnet_dns_publish_fixed_ip,uplink_status_propagation,\
uplink_status_propagation_updatable,data_plane_status,port_numa_affinity_policy,port_device_profile,port_hints,\
port_trusted,port_hardware_offload_type,tag_ports_during_bulk_creation
path_mtu = 1500
[ml2_type_flat]
flat_networks = *
[ml2_type_vlan]
network_vlan_ranges = {PHYSICAL_NETWORK}:100:1999
[ml2_type_vxlan]
vni_ranges = 1:10000
[securitygroup]
enable_security_group = true
"""

POLICY = """\
# By default only the service role may write binding:profile; the lab's administrator stands in for Nova.
"create_port:binding:profile": "rule:admin_only or rule:service_api"
"update_port:binding:profile": "rule:admin_only or rule:service_api"
"""


SWITCH: dict[str, Any] = {
    "bridge_mappings": {PHYSICAL_NETWORK: "br-phys", PUBLIC_NETWORK: "br-ex"},
    "tunnel_types": ["vxlan"],
    "l2_population": True,
    "integration_bridge": "br-int",
    "datapath_type": "system",
    "ovs_capabilities": {"datapath_types": ["system"], "iface_types": ["vxlan"]},
    "ovs_hybrid_plug": False,
    "arp_responder_enabled": True,
    "extensions": [],
    "devices": 0,
}
"""What an Open vSwitch agent says of itself."""


def write_configuration(
    directory: Path, openstack_bin: Path, database_url: str, auth_url: str, transport_url: str = NOBODY
) -> list[Path]:
    """Write neutron.conf, ml2.ini and policy.yaml into `directory`; returns what Neutron is given."""
    state = directory / "neutron"
    state.mkdir(exist_ok=True)
    policy = directory / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    main = directory / "neutron.conf"
    main.write_text(
        NEUTRON_CONF.format(
            paste=openstack_bin.parent / "etc" / "neutron" / "api-paste.ini",
            extensions=EXTENSION if EXTENSION.is_dir() else "",
            state=state,
            policy=policy,
            database_url=database_url,
            auth_url=auth_url,
            transport_url=transport_url,
            password=PASSWORD,
            region=REGION,
        ),
        encoding="utf-8",
    )
    ml2 = directory / "ml2.ini"
    ml2.write_text(ML2_CONF, encoding="utf-8")
    return [main, ml2]


def database_url(directory: Path) -> str:
    """Where the Neutron that was configured in `directory` has its tables, for SQLAlchemy."""
    lines = (directory / "neutron.conf").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("connection = ") for line in lines if line.startswith("connection = "))


def initialise(
    processes: Processes, openstack_bin: Path, configuration: Sequence[Path], database: Database
) -> Service:
    """Start making Neutron's tables; `wait` on what is returned."""
    files = [word for path in configuration for word in ("--config-file", path)]
    if database.kind == "sqlite":
        argv = [openstack_bin / "python", "-W", "ignore", INSIDE / "neutron_schema.py", *files]
    else:
        argv = [openstack_bin / "neutron-db-manage", *files, "upgrade", "heads"]
    return processes.spawn("neutron-initialise", argv)


def start(
    processes: Processes,
    openstack_bin: Path,
    configuration: Sequence[Path],
    port: int,
    workers: int,
    threads: int,
) -> Service:
    """Start the API; it is ready when it answers, and truly so after `prove`."""
    argv: list[str | Path | int] = [openstack_bin / "python", "-W", "ignore", INSIDE / "serve.py"]
    argv += ["neutron.wsgi.api", HOST, port, workers, threads]
    # Left alone, Neutron does these with the first request, and a second one meanwhile is answered 403 or 500.
    argv += ["neutron.policy:init", "sqlalchemy.orm:configure_mappers"]
    env = {
        "OS_NEUTRON_CONFIG_DIR": "/",
        "OS_NEUTRON_CONFIG_FILES": ";".join(str(path) for path in configuration),
    }
    if EXTENSION.is_dir():
        env["PYTHONPATH"] = str(EXTENSION.parent)
    ready = f"http://{HOST}:{port}/healthcheck"
    return processes.spawn("neutron", argv, env=env, ready=lambda: answers(ready))


def start_rpc_server(
    processes: Processes, openstack_bin: Path, configuration: Sequence[Path], ready: Callable[[], bool]
) -> Service:
    """Start the process that takes what agents say; it shares the API's configuration and database."""
    files = [word for path in configuration for word in ("--config-file", path)]
    argv = [openstack_bin / "python", "-W", "ignore", INSIDE / "rpc_server.py", *files]
    return processes.spawn("neutron-rpc", argv, ready=ready)


def prove(service: Service, session: Session, url: str, timeout: float = 60) -> None:
    """Return when a network can be created, and leave nothing of the attempt; raises LabError.

    Reads are answered before the table of VNIs is filled, a POST is not: only it proves that Neutron is
    ready.
    """
    api = Adapter(session, endpoint_override=f"{url}/v2.0", connect_retries=0, status_code_retries=0)
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = api.post("/networks", json={"network": {"name": "readiness"}}, raise_exc=False)
            status, body = answer.status_code, answer.text
        except ClientException as error:
            status, body = 0, str(error)
        if status == 201:  # noqa: PLR2004  # created
            break
        if time.monotonic() > deadline or not service.alive:
            msg = f"neutron does not create a network: {status} {body[:300]}\nThe end of its log:\n{service.tail()}"
            raise LabError(msg, f"Read {service.log}.")
        time.sleep(0.1)
    api.delete(f"/networks/{answer.json()['network']['id']}")
    for group in api.get("/security-groups").json()["security_groups"]:  # the administrator's `default`
        api.delete(f"/security-groups/{group['id']}")


def register_agents(database_url: str, hosts: Sequence[str] = HOSTS) -> None:
    """Put agents into Neutron's table that are alive until 2099: ports bind without any agent's process."""
    engine = sa.create_engine(database_url)
    table = sa.Table("agents", sa.MetaData(), autoload_with=engine)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    router = {"agent_mode": "legacy", "handle_internal_only_routers": True, "interface_driver": "openvswitch"}
    dhcp = {"dhcp_driver": "neutron.agent.linux.dhcp.Dnsmasq", "dhcp_lease_duration": 86400}

    def agent(
        kind: str, binary: str, topic: str, host: str, zone: str | None, conf: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "agent_type": kind,
            "binary": binary,
            "topic": topic,
            "host": host,
            "availability_zone": zone,
            "admin_state_up": True,
            "created_at": now,
            "started_at": now,
            "heartbeat_timestamp": dt.datetime(2099, 1, 1),  # noqa: DTZ001  # the column has no zone
            "configurations": json.dumps(conf),
            "load": 0,
        }

    with engine.begin() as connection:
        for number, host in enumerate(hosts, 11):
            tunnel = SWITCH | {"tunneling_ip": f"10.255.0.{number}"}
            rows = [
                agent("Open vSwitch agent", "neutron-openvswitch-agent", "N/A", host, None, tunnel),
                agent("L3 agent", "neutron-l3-agent", "l3_agent", host, "nova", router),
                agent("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", host, "nova", dhcp),
            ]
            connection.execute(sa.insert(table), rows)
    engine.dispose()
