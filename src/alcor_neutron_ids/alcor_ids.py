"""Neutron API extension ``alcor-ids``: an administrator may give the ids and the age of what a POST creates.

Reverse (moving API traffic from Alcor back to Neutron) needs it: what was created while Alcor was active has
to appear in Neutron under the same ids, and Neutron refuses ids ("Attribute 'id' not allowed in POST").

What it lets in, each guarded by a policy whose default is ``rule:admin_only``:

* ``id`` in POST of the collections in `MODELS`, single and bulk: a lower-case hyphenated UUID;
* ``created_at`` in the same POST, together with an ``id``: UTC, as Neutron writes it (``2026-11-22T10:20:30Z``);
* ``port_identity`` (``{"id": UUID, "mac_address": MAC, "created_at": TIME}``, each optional, a time only with an
  id) in POST of a floating IP and in POST and PUT of a router: for the port that Neutron makes for the floating
  IP or for the router's gateway. It is used only when the request does make that port. Never shown;
* ``default_group`` (boolean) in POST of a security group: the group becomes the ``default`` group of its
  project. ``name`` is left out then, for Neutron refuses the name "default" in a request. Never shown.

``updated_at`` and ``revision_number`` stay Neutron's own: they tell about writes to Neutron, and move with the next.

An id that is in use answers 409; nothing is ever overwritten. Other requests are served as before.

Neutron finds the class by the file's name (``alcor_ids.py`` -> ``Alcor_ids``) in the folders of its option
``api_extensions_path``. Written against Neutron 29; where a hook had to be put around
Neutron's own code (``Alcor_ids.__init__`` does it), the hook says so and why.
"""

import functools
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import pecan
import sqlalchemy
from neutron import policy
from neutron.api import extensions
from neutron.db import l3_db, models_v2, securitygroups_db
from neutron.db.models import l3, securitygroup
from neutron_lib import constants, exceptions
from neutron_lib import policy as rules
from neutron_lib.api import converters, validators
from neutron_lib.api import extensions as api_extensions
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.db import api as db_api
from oslo_policy import policy as oslo_policy
from oslo_utils import timeutils, uuidutils

ALIAS = "alcor-ids"

# Collection of the API -> the callbacks' name of the resource, the table that holds its ids.
MODELS = {
    "networks": (resources.NETWORK, models_v2.Network),
    "subnets": (resources.SUBNET, models_v2.Subnet),
    "ports": (resources.PORT, models_v2.Port),
    "routers": (resources.ROUTER, l3.Router),
    "floatingips": (resources.FLOATING_IP, l3.FloatingIP),
    "security_groups": (resources.SECURITY_GROUP, securitygroup.SecurityGroup),
    "security_group_rules": (resources.SECURITY_GROUP_RULE, securitygroup.SecurityGroupRule),
}
MODEL_OF = dict(MODELS.values())

# One spelling only: MariaDB compares ids without regard to case.
UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"

# From the year 1000, where the DATETIME of MariaDB begins. strptime alone would take "2026-1-1T1:1:1Z", too.
TIME_PATTERN = re.compile(r"[1-9][0-9]{3}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z", re.ASCII)
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

# The ports that Neutron makes by itself while it serves a floating IP or a router.
IMPLICIT_PORTS = (constants.DEVICE_OWNER_FLOATINGIP, constants.DEVICE_OWNER_ROUTER_GW)

GIVEN_ID = {
    "allow_post": True,
    "default": None,
    "validate": {"type:regex_or_none": UUID_PATTERN},
    "enforce_policy": True,
}
GIVEN_TIME = {
    "allow_post": True,
    "allow_put": False,
    "default": None,
    "validate": {"type:alcor_time": None},
    "enforce_policy": True,
    "is_visible": True,
}
PORT_IDENTITY = {
    "allow_post": True,
    "allow_put": False,
    "default": None,
    "validate": {"type:alcor_port_identity": None},
    "enforce_policy": True,
    "is_visible": False,
}
DEFAULT_GROUP = {
    "allow_post": True,
    "allow_put": False,
    "default": False,
    "convert_to": converters.convert_to_boolean,
    "enforce_policy": True,
    "is_visible": False,
}
NEW_ATTRIBUTES = {collection: {"created_at": GIVEN_TIME} for collection in MODELS}
NEW_ATTRIBUTES["floatingips"] |= {"port_identity": PORT_IDENTITY}
NEW_ATTRIBUTES["routers"] |= {"port_identity": PORT_IDENTITY | {"allow_put": True}}
NEW_ATTRIBUTES["security_groups"] |= {"default_group": DEFAULT_GROUP}

POLICIES = [
    oslo_policy.DocumentedRuleDefault(
        name=f"{action}:{attribute}",
        check_str=rules.RULE_ADMIN_ONLY,
        scope_types=["project"],
        description=f"Give ``{attribute}`` ({ALIAS})",
        operations=[{"method": method, "path": path}],
    )
    for action, attribute, method, path in [
        *(
            (f"create_{c[:-1]}", attribute, "POST", "/" + c.replace("_", "-"))
            for c in MODELS
            for attribute in ("id", "created_at")
        ),
        ("create_floatingip", "port_identity", "POST", "/floatingips"),
        ("create_router", "port_identity", "POST", "/routers"),
        ("update_router", "port_identity", "PUT", "/routers/{id}"),
        ("create_security_group", "default_group", "POST", "/security-groups"),
    ]
]


class IdInUse(exceptions.Conflict):
    """The given id belongs to something that exists, or stands twice in the request (409)."""

    message = "The %(resource)s id %(id)s is already in use."


class TimeWithoutId(exceptions.BadRequest):
    """A time is given for something whose id is not (400): the id is what the time is found by."""

    message = "Attribute 'created_at' is allowed only together with 'id'."


class DefaultGroupExists(exceptions.Conflict):
    """The project has a default security group already (409)."""

    message = "Project %(project)s has the default security group %(id)s."


# The body of the request for a floating IP, router, security group or rule that is being served: what makes their
# rows and ports is not handed the request.
REQUESTED: ContextVar[dict[str, Any]] = ContextVar("REQUESTED", default={})  # noqa: B039 - never changed


REMEMBERED = (resources.FLOATING_IP, resources.ROUTER, resources.SECURITY_GROUP, resources.SECURITY_GROUP_RULE)


def remembering_request(method: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Put around Neutron's methods that create (or make ports), to keep in mind what they are asked."""

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> dict[str, Any]:
        bodies = [value for value in (*args, *kwargs.values()) if isinstance(value, dict)]
        asked = next((body[name] for body in bodies for name in REMEMBERED if name in body), {})
        # Here, for from a callback it would reach the client as a conflict when it is about a security group.
        refuse_time_without_id(asked)
        token = REQUESTED.set(asked)
        try:
            return method(*args, **kwargs)
        finally:
            REQUESTED.reset(token)

    return wrapped


def refuse_time_without_id(item: dict[str, Any]) -> None:
    """Raise TimeWithoutId for such an item of a request's body."""
    if item.get("created_at") and not item.get("id"):
        raise TimeWithoutId


def before_create(resource: str, _event: str, _trigger: object, payload: events.DBEventPayload) -> None:
    """Refuse an id that is in use or a time without an id; give an implicit port the identity that is asked for."""
    requested = requested_items()
    for item in requested:
        refuse_time_without_id(item)
    new = payload.latest_state or payload.request_body["floatingip"]
    if resource == resources.PORT and new.get("device_owner") in IMPLICIT_PORTS:
        identity = REQUESTED.get().get("port_identity") or {}
        new.update({key: value for key, value in identity.items() if value})
    if not new.get("id"):
        # The attribute's default. Where the key is missing Neutron generates an id; for routers it has
        # already tried, so here that is up to us.
        new.pop("id", None)
        if resource == resources.ROUTER:
            new["id"] = payload.resource_id = uuidutils.generate_uuid()
    # Without a look first, the database's refusal would be retried for minutes before the client hears it.
    # Networks, subnets and ports can stand twice in a bulk request unnoticed: all are announced, then created.
    elif exists(payload.context, resource, new["id"]) or [item.get("id") for item in requested].count(new["id"]) > 1:
        raise IdInUse(resource=resource, id=new["id"])


def requested_items() -> list[dict[str, Any]]:
    """What the request being served asks to create or change; empty where this thread serves none.

    Neutron's older controllers serve what is `REMEMBERED`, and pecan the rest.
    """
    if remembered := REQUESTED.get():
        return [remembered]
    try:
        return pecan.request.context.get("resources", [])
    except AttributeError:
        return []


def before_init(_target: object, _args: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    """Give a new row of one of `MODELS` the time that the request gives to its id.

    The models pass ``created_at`` on to their row of standard attributes (HasStandardAttributes.__init__). The
    timestamp plugin stamps only rows that have neither time, so the other one is stamped here.
    """
    for item in requested_items():
        for given in (item, item.get("port_identity") or {}):
            if given.get("created_at") and given.get("id") == attributes.get("id"):
                # Without a zone, as Neutron's own times are.
                attributes["created_at"] = datetime.strptime(given["created_at"], TIME_FORMAT)  # noqa: DTZ007
                attributes["updated_at"] = timeutils.utcnow()


def exists(context: Any, resource: str, given: str) -> bool:
    """Whether any project's resource has this id: Neutron's own lookups would hide those of others."""
    model = MODEL_OF[resource]
    with db_api.CONTEXT_READER.using(context):
        return context.session.query(model.id).filter(model.id == given).first() is not None


class GivenIds:
    """Stands for ``uuidutils`` inside neutron.db.l3_db, whose _create_floatingip knows generated ids only."""

    def __getattr__(self, name: str) -> Any:
        return getattr(uuidutils, name)

    @staticmethod
    def generate_uuid() -> str:
        """The id in the request that is being served, else a new one."""
        return REQUESTED.get().get("id") or uuidutils.generate_uuid()


def with_default_group(create: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Put around SecurityGroupDbMixin.create_security_group, which no request can tell to make a default."""

    @functools.wraps(create)
    def create_security_group(
        self: Any,
        context: Any,
        security_group: dict[str, Any],
        default_sg: bool = False,  # noqa: FBT001, FBT002 - Neutron's signature
    ) -> dict[str, Any]:
        group = security_group["security_group"]
        if group.get("default_group"):
            if existing := self._get_default_sg_id(context, group["project_id"]):
                raise DefaultGroupExists(project=group["project_id"], id=existing)
            group["name"], default_sg = "default", True
        return create(self, context, security_group, default_sg=default_sg)

    return create_security_group


def with_policies(register: Callable[[Any], None]) -> Callable[[Any], None]:
    """Put around neutron.policy.register_rules: it takes its rules from installed distributions only.

    Without a rule of their own the attributes would fall to the rule "default", which lets owners in.
    """

    @functools.wraps(register)
    def register_rules(enforcer: Any) -> None:
        register(enforcer)
        enforcer.register_defaults(rule for rule in POLICIES if rule.name not in enforcer.registered_rules)

    return register_rules


def validate_time(data: Any, _valid_values: Iterable[Any] | None = None) -> str | None:
    """None when `data` is None or a time as Neutron writes it, else the reason why not."""
    if data is None:
        return None
    if isinstance(data, str) and TIME_PATTERN.fullmatch(data):
        try:
            datetime.strptime(data, TIME_FORMAT)  # noqa: DTZ007 - only looked at
        except ValueError as error:
            return str(error)
        return None
    return "a time written YYYY-MM-DDTHH:MM:SSZ is expected"


def validate_port_identity(data: Any, _valid_values: Iterable[Any] | None = None) -> str | None:
    """None when `data` is what the module's docstring says, else the reason why not."""
    if data is None:
        return None
    if not isinstance(data, dict) or not data.keys() <= {"id", "mac_address", "created_at"}:
        return "an object that holds nothing but 'id', 'mac_address' and 'created_at' is expected"
    if data.get("created_at") and not data.get("id"):
        return "'created_at' is allowed only together with 'id'"
    return validators.validate_regex_or_none(data.get("id"), UUID_PATTERN) or (
        validators.validate_mac_address_or_none(data.get("mac_address")) or validate_time(data.get("created_at"))
    )


class Alcor_ids(api_extensions.ExtensionDescriptor):  # noqa: N801 - Neutron derives this name from the file's
    """What Neutron loads, once per process; making it puts the hooks in place."""

    def __init__(self) -> None:
        policy.register_rules = with_policies(policy.register_rules)
        policy.reset()
        l3_db.uuidutils = GivenIds()
        for method in ("_create_floatingip", "create_router", "update_router"):
            original = getattr(l3_db.L3_NAT_dbonly_mixin, method)
            setattr(l3_db.L3_NAT_dbonly_mixin, method, remembering_request(original))
        mixin = securitygroups_db.SecurityGroupDbMixin
        mixin.create_security_group = remembering_request(with_default_group(mixin.create_security_group))
        create_rule = mixin._create_security_group_rule  # noqa: SLF001 - where single and bulk requests meet
        mixin._create_security_group_rule = remembering_request(create_rule)  # noqa: SLF001
        for resource, model in MODELS.values():
            sqlalchemy.event.listen(model, "init", before_init)
            # First of all listeners: the others may rely on a router's id.
            registry.subscribe(before_create, resource, events.BEFORE_CREATE, priority=0)

    @classmethod
    def get_name(cls) -> str:
        """Shown in GET /v2.0/extensions."""
        return "Client-given ids and times of creation"

    @classmethod
    def get_alias(cls) -> str:
        """How the extension is detected: GET /v2.0/extensions/alcor-ids answers 200."""
        return ALIAS

    @classmethod
    def get_description(cls) -> str:
        """Shown in GET /v2.0/extensions."""
        return "Lets administrators give the ids and the times of creation of what a POST creates"

    @classmethod
    def get_updated(cls) -> str:
        """Shown in GET /v2.0/extensions; to be moved when the attributes above change."""
        return "2026-11-23T00:00:00-00:00"

    @classmethod
    def get_optional_extensions(cls) -> list[str]:
        """What Neutron has to merge first: its definition of ``created_at``, which no request may give."""
        return ["standard-attr-timestamp"]

    @classmethod
    def get_extended_resources(cls, version: str) -> dict[str, dict[str, Any]]:
        """The attributes that this extension adds or defines anew, by collection."""
        return NEW_ATTRIBUTES if version == "2.0" else {}

    @classmethod
    def update_attributes_map(
        cls,
        extended_attributes: dict[str, dict[str, Any]],
        extension_attrs_map: None = None,  # noqa: ARG003 - Neutron's signature
    ) -> None:
        """Open ``id`` for POST; Neutron calls this when the attributes of all extensions are merged.

        In place, for the definition of one ``id`` is shared by several maps, and a new one would reach only
        those that are completed later.
        """
        for collection in MODELS:
            if "id" in (attributes := extended_attributes.get(collection, {})):
                attributes["id"].update(GIVEN_ID)


validators.add_validator("alcor_time", validate_time)
validators.add_validator("alcor_port_identity", validate_port_identity)
# No plugin claims the extension; it works with whatever plugin has the resources.
extensions.register_custom_supported_check(ALIAS, lambda: True, plugin_agnostic=True)
