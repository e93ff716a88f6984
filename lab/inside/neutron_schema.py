"""Create Neutron's tables in SQLite, where its migrations cannot run (they ALTER constraints).

usage: neutron_schema.py --config-file FILE ...

The tables come from Neutron's models, and the one thing the migrations put into them that a new cloud needs,
the template of default security group rules, from the migration itself.
"""

import importlib
import importlib.util
import sys
import uuid
from pathlib import Path
from typing import Any

PLUGINS = ("neutron_vpnaas.db.models.head", "neutron_dynamic_routing.db.migration.models.head")
"""Importing these adds the tables of the plugins that have a repository of their own."""


def template_rules(versions: Path) -> list[dict[str, Any]]:
    """Find the rules that a new project's default security group is made of."""
    for path in sorted(versions.glob("*/expand/*.py")):
        if "default_template_rules" in path.read_text(encoding="utf-8"):
            spec = importlib.util.spec_from_file_location("seed", path)
            if spec is None or spec.loader is None:
                break
            seed = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(seed)
            return [dict(rule) for rule in seed.default_template_rules]
    sys.exit("neutron's migrations hold no default_template_rules")


def main() -> None:
    """Create the tables, seed them, and stamp them with the heads of the migrations."""
    sa = importlib.import_module("sqlalchemy")
    config = importlib.import_module("neutron.common.config")
    migration = importlib.import_module("neutron.db.migration")
    head = importlib.import_module("neutron.db.migration.models.head")
    for plugin in PLUGINS:
        importlib.import_module(plugin)
    config.register_common_config_options()
    importlib.import_module("oslo_db.options").set_defaults(importlib.import_module("oslo_config.cfg").CONF)
    config.init(sys.argv[1:], prog="neutron-schema")

    engine = sa.create_engine(importlib.import_module("oslo_config.cfg").CONF.database.connection)
    metadata = head.get_metadata()
    metadata.create_all(engine)
    versions = Path(str(migration.__file__)).parent / "alembic_migrations" / "versions"
    attributes = metadata.tables["standardattributes"]
    rules = metadata.tables["securitygroupdefaultrules"]
    heads = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
    heads.create(engine)
    with engine.begin() as connection:
        for rule in template_rules(versions):
            described = {"description": rule.pop("description"), "resource_type": rules.name}
            made = connection.execute(sa.insert(attributes).values(**described))
            key = made.inserted_primary_key[0]
            connection.execute(sa.insert(rules).values({"id": str(uuid.uuid4())} | rule | {"standard_attr_id": key}))
        for name in ("EXPAND_HEAD", "CONTRACT_HEAD"):
            version = (versions / name).read_text(encoding="utf-8").strip()
            connection.execute(sa.insert(heads).values(version_num=version))


if __name__ == "__main__":
    main()
