"""Print, as JSON, every attribute that the definitions of neutron-lib and Neutron's own extensions name.

`{"release": {...}, "collections": {"networks": {"mtu": {"given": true, "shown": true}}}}`; `given` says whether
somebody can give the attribute on create or update, `shown` whether it is in answers. A collection below another
one is named `floatingips/port_forwardings`.
"""

import importlib
import importlib.metadata
import json
import pkgutil
import sys
from typing import Any

PACKAGES = ("neutron", "neutron-lib", "neutron-vpnaas", "neutron-dynamic-routing")
MODULES = ("neutron_lib.api.definitions", "neutron.extensions")
MAPS = ("RESOURCE_ATTRIBUTE_MAP", "EXTENDED_ATTRIBUTES_2_0")


def collections() -> dict[str, dict[str, dict[str, bool]]]:
    """Read all definitions; the ones that say the same of an attribute are joined."""
    found: dict[str, dict[str, dict[str, bool]]] = {}

    def add(collection: str, attributes: dict[str, Any]) -> None:
        for name, definition in attributes.items():
            if not isinstance(definition, dict) or name == "parameters":
                continue
            one = found.setdefault(collection, {}).setdefault(name, {"given": False, "shown": False})
            one["given"] |= bool(definition.get("allow_post") or definition.get("allow_put"))
            one["shown"] |= bool(definition.get("is_visible"))

    for package in MODULES:
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if info.name.startswith("_"):
                continue  # an example for developers
            module = importlib.import_module(f"{package}.{info.name}")
            for key in MAPS:
                for collection, attributes in (getattr(module, key, None) or {}).items():
                    add(collection.replace("-", "_"), attributes)
            for name, below in (getattr(module, "SUB_RESOURCE_ATTRIBUTE_MAP", None) or {}).items():
                parent = (below.get("parent") or {}).get("collection_name", "")
                add(f"{parent}/{name}".strip("/").replace("-", "_"), below.get("parameters", {}))
    return found


def main() -> None:
    """Print the document."""
    release = {name: importlib.metadata.version(name) for name in PACKAGES}
    json.dump({"release": release, "collections": collections()}, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
