"""Neutron's tables in SQLite, with the columns that our rules name and nothing else."""

import sqlite3

from alcor_migrate.source.database.catalogue import RULES

EXTENSIONS = frozenset(
    {
        "address-scope",
        "allowed-address-pairs",
        "availability_zone",
        "binding",
        "dns-domain-ports",
        "dns-integration",
        "dvr",
        "ext-gw-mode",
        "external-net",
        "extra_dhcp_opt",
        "extraroute",
        "l2_adjacency",
        "l3-ha",
        "network_availability_zone",
        "port-hints",
        "port-resource-request",
        "port-security",
        "port-trusted-vif",
        "provider",
        "qos",
        "qos-port-network-policy",
        "rbac-security-groups",
        "router_availability_zone",
        "security-group",
        "segment",
        "standard-attr-revisions",
        "standard-attr-tag",
        "standard-attr-timestamp",
        "stateful-security-group",
        "subnet-external-network",
        "subnet-service-types",
        "trunk",
        "uplink-status-propagation",
    }
)

TIMES = {"created_at", "updated_at"}


def declared():
    """Table to the columns that rules name, under their newest names."""
    tables = {}

    def add(table, *columns):
        tables.setdefault(table, {}).update(dict.fromkeys(c.rstrip("?").partition("|")[0] for c in columns))

    for rule in RULES:
        add(rule.table, *rule.columns, *(name for name, _ in rule.where))
        for part in rule.parts:
            add(part.table, part.key, *part.columns, *(name for name, _ in part.where))
            if part.bridge:
                add(part.bridge.table, part.bridge.key, part.bridge.link, *(n for n, _ in part.bridge.where))
    return {table: list(columns) for table, columns in tables.items()}


def create(path, without=(), renamed=()):
    """An empty Neutron; `without` are tables or (table, column) that it lacks, `renamed` {(table, column): name}."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    for table, columns in declared().items():
        if table not in without:
            names = [dict(renamed).get((table, c), c) for c in columns if (table, c) not in without]
            types = ["DATETIME" if n in TIMES else "" for n in names]
            body = ", ".join(f'"{n}" {t}' for n, t in zip(names, types, strict=True))
            connection.execute(f'CREATE TABLE "{table}" ({body})')
    connection.commit()
    return connection


def insert(connection, table, **values):
    """One row."""
    names = ", ".join(f'"{n}"' for n in values)
    marks = ", ".join("?" * len(values))
    statement = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608  # names of our own rules
    connection.execute(statement, list(values.values()))
    connection.commit()


def standard(connection, key, **values):
    """The standard attributes that an object's row points to."""
    given = {"description": "", "revision_number": 1} | values
    times = {"created_at": "2026-01-02 03:04:05", "updated_at": "2026-01-02 03:04:06"}
    insert(connection, "standardattributes", id=key, **(times | given))


def port(connection, object_id, number, **values):
    """A port of a server with what makes it whole."""
    given = {"project_id": "p1", "name": "", "network_id": "n1", "mac_address": "fa:16:3e:00:00:01", "status": "DOWN"}
    given |= {"admin_state_up": 1, "device_id": "", "device_owner": "", "standard_attr_id": number} | values
    insert(connection, "ports", id=object_id, **given)
    standard(connection, number)
    insert(connection, "ipallocations", port_id=object_id, subnet_id="s1", ip_address=f"10.0.0.{number}")
    insert(connection, "securitygroupportbindings", port_id=object_id, security_group_id="g1")
    insert(
        connection,
        "ml2_port_bindings",
        port_id=object_id,
        host="h1",
        vif_type="ovs",
        vnic_type="normal",
        profile="",
        vif_details='{"port_filter": true}',
        status="ACTIVE",
    )
