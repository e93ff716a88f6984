"""What is measured and logged: metering labels with their rules, and logs."""

from __future__ import annotations

from alcor_model.catalogue.common import NAMED, OWNER, STANDARD
from alcor_model.catalogue.declaration import Reference, bundled_only
from alcor_model.fields import FLAG, Shape, same

METERING_LABEL = bundled_only(
    "metering_label",
    "metering/metering-labels",
    "metering_labels",
    (*NAMED, same("shared", FLAG)),
    alias="metering",
)

METERING_LABEL_RULE = bundled_only(
    "metering_label_rule",
    "metering/metering-label-rules",
    "metering_label_rules",
    (
        *OWNER,
        same("metering_label_id", (str,)),
        same("direction"),
        same("excluded", FLAG),
        same("remote_ip_prefix", shape=Shape.ADDRESS),
        same("source_ip_prefix", shape=Shape.ADDRESS),
        same("destination_ip_prefix", shape=Shape.ADDRESS),
    ),
    alias="metering",
    references=(Reference("metering_label_id", "metering_label"),),
)

LOG = bundled_only(
    "log",
    "log/logs",
    "logs",
    (
        *NAMED,
        same("enabled", FLAG),
        same("event"),
        same("resource_type"),
        same("resource_id"),
        same("target_id"),
        *STANDARD,
    ),
    alias="logging",
    references=(
        Reference("resource_id", "security_group", when=("resource_type", ("security_group",))),
        Reference("target_id", "port", when=("resource_type", ("security_group",))),
    ),
)
