"""A large cloud, written by SQL into the real tables of the lab's Neutron: what a benchmark needs and no API makes.

Ports are those of servers: bound to a host, with one address, one security group, and what ML2's extension drivers
add. 250 ports to a network, one subnet each, one router to four networks, one project to 40.
"""

from __future__ import annotations

import sqlalchemy as sa

PORTS_PER_NETWORK = 250
NETWORKS_PER_PROJECT = 40


def _id(kind: str, number: str) -> str:
    """SQL for a UUID that is always the same for a kind and a number."""
    digits = f"MD5(CONCAT('{kind}', {number}))"
    parts = ", '-', ".join(f"SUBSTR({digits}, {start}, {size})" for start, size in _PARTS)
    return f"CONCAT({parts})"


_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def load(url: str, ports: int, series: str = "") -> int:
    """Write about `ports` ports and what they need; answers how many objects of all resources these are.

    Another `series` makes other ids.
    """
    networks = max(1, ports // PORTS_PER_NETWORK)
    ports = networks * PORTS_PER_NETWORK
    projects = networks // NETWORKS_PER_PROJECT + 1
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        first = int(connection.execute(sa.text("SELECT COALESCE(MAX(id), 0) FROM standardattributes")).scalar_one())
        connection.exec_driver_sql("SET SESSION foreign_key_checks = 0, unique_checks = 0")
        for statement in _statements(series, first, projects, networks, ports):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()
    return 2 * networks + projects * 3 + ports


def _statements(series: str, first: int, projects: int, networks: int, ports: int) -> list[str]:
    """In the order of the keys; ids of standard attributes: groups, rules, networks, segments, subnets, ports."""
    groups, rules = first, first + projects
    nets = rules + 2 * projects
    segments, subnets, port_attrs = nets + networks, nets + 2 * networks, nets + 3 * networks
    project = f"MD5(CONCAT('{series}project', {{0}}))".format

    def uid(kind: str, number: str) -> str:
        return _id(f"{series}{kind}", number)

    of_network = project(f"seq DIV {NETWORKS_PER_PROJECT}")
    network = f"((seq - 1) DIV {PORTS_PER_NETWORK} + 1)"
    of_port = project(f"{network} DIV {NETWORKS_PER_PROJECT}")
    host = f"((seq - 1) % {PORTS_PER_NETWORK})"
    prefix = "CONCAT('10.', ({0}) DIV 250 % 250, '.', ({0}) % 250, '.')".format

    def standard(kind: str, base: int, count: int) -> str:
        columns = "id, resource_type, created_at, updated_at, description, revision_number"
        return (
            f"INSERT INTO standardattributes ({columns}) "  # noqa: S608  # our own words
            f"SELECT {base} + seq, '{kind}', '2026-01-02 03:04:05', '2026-01-02 03:04:06', '', 3 "
            f"FROM seq_1_to_{count}"
        )

    def of(table: str, columns: str, values: str, count: int) -> str:
        made = f"SELECT {values} FROM seq_1_to_{count} ORDER BY 1"  # noqa: S608  # our own words
        return f"INSERT INTO {table} ({columns}) {made}"

    port, group = uid("port", "seq"), uid("group", f"{network} DIV {NETWORKS_PER_PROJECT}")
    details = '{"connectivity": "l2", "port_filter": true, "ovs_hybrid_plug": false, "bridge_name": "br-int"}'
    return [
        standard("securitygroups", groups, projects),
        standard("securitygrouprules", rules, 2 * projects),
        standard("networks", nets, networks),
        standard("networksegments", segments, networks),
        standard("subnets", subnets, networks),
        standard("ports", port_attrs, ports),
        of(
            "securitygroups",
            "id, project_id, name, stateful, standard_attr_id",
            f"{uid('group', '(seq - 1)')}, {project('(seq - 1)')}, 'default', 1, {groups} + seq",
            projects,
        ),
        of(
            "securitygrouprules",
            "id, project_id, security_group_id, direction, ethertype, standard_attr_id",
            f"{uid('rule', 'seq')}, {project('((seq - 1) DIV 2)')}, {uid('group', '((seq - 1) DIV 2)')}, 'egress', "
            f"IF(seq % 2, 'IPv4', 'IPv6'), {rules} + seq",
            2 * projects,
        ),
        of(
            "default_security_group",
            "project_id, security_group_id",
            f"{project('(seq - 1)')}, {uid('group', '(seq - 1)')}",
            projects,
        ),
        of(
            "networks",
            "id, project_id, name, status, admin_state_up, mtu, standard_attr_id",
            f"{uid('network', 'seq')}, {of_network}, CONCAT('net-', seq), 'ACTIVE', 1, 1450, {nets} + seq",
            networks,
        ),
        of(
            "networksegments",
            "id, network_id, network_type, segmentation_id, is_dynamic, segment_index, standard_attr_id",
            f"{uid('segment', 'seq')}, {uid('network', 'seq')}, 'vxlan', 100000 + seq, 0, 0, {segments} + seq",
            networks,
        ),
        of(
            "networksecuritybindings",
            "network_id, port_security_enabled",
            f"{uid('network', 'seq')}, 1",
            networks,
        ),
        of(
            "subnets",
            "id, project_id, name, network_id, ip_version, cidr, gateway_ip, enable_dhcp, standard_attr_id",
            f"{uid('subnet', 'seq')}, {of_network}, CONCAT('sub-', seq), {uid('network', 'seq')}, 4, "
            f"CONCAT({prefix('seq')}, '0/24'), CONCAT({prefix('seq')}, '254'), 1, {subnets} + seq",
            networks,
        ),
        of(
            "ipallocationpools",
            "id, subnet_id, first_ip, last_ip",
            f"{uid('pool', 'seq')}, {uid('subnet', 'seq')}, CONCAT({prefix('seq')}, '1'), "
            f"CONCAT({prefix('seq')}, '253')",
            networks,
        ),
        of(
            "ports",
            "id, project_id, name, network_id, mac_address, admin_state_up, status, device_id, device_owner, "
            "standard_attr_id",
            f"{port}, {of_port}, CONCAT('port-', seq), {uid('network', network)}, "
            "CONCAT('fa:16:', SUBSTR(HEX(0x100000000 + seq), 2, 2), ':', SUBSTR(HEX(0x100000000 + seq), 4, 2), ':', "
            "SUBSTR(HEX(0x100000000 + seq), 6, 2), ':', SUBSTR(HEX(0x100000000 + seq), 8, 2)), 1, 'ACTIVE', "
            f"{uid('server', 'seq')}, 'compute:nova', {port_attrs} + seq",
            ports,
        ),
        of(
            "ipallocations",
            "port_id, ip_address, subnet_id, network_id",
            f"{port}, CONCAT({prefix(network)}, 1 + {host}), {uid('subnet', network)}, {uid('network', network)}",
            ports,
        ),
        of(
            "ml2_port_bindings",
            "port_id, host, vif_type, vnic_type, profile, vif_details, status",
            f"{port}, CONCAT('compute-', seq % 1000), 'ovs', 'normal', '', '{details}', 'ACTIVE'",
            ports,
        ),
        of(
            "ml2_port_binding_levels",
            "port_id, host, level, driver, segment_id",
            f"{port}, CONCAT('compute-', seq % 1000), 0, 'openvswitch', {uid('segment', network)}",
            ports,
        ),
        of("portsecuritybindings", "port_id, port_security_enabled", f"{port}, 1", ports),
        of("portuplinkstatuspropagation", "port_id, propagate_uplink_status", f"{port}, 1", ports),
        of("securitygroupportbindings", "port_id, security_group_id", f"{port}, {group}", ports),
    ]
