"""What a list's query asks for: filters, fields, order, page.

`parse` reads it and refuses what Neutron refuses; `run` finds the objects. The columns that the store looks up
narrow the search, everything else is looked at object by object, and a page stops reading when it is full.
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from alcor_model import to_neutron
from alcor_model.catalogue import NETWORK
from alcor_sdn.controller.neutron.attributes import ATTRIBUTES
from alcor_sdn.controller.neutron.errors import bad_request, fault, invalid, not_found
from alcor_sdn.controller.store import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multidict import MultiMapping

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_PAGING = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
_STRICT_MARKERS = frozenset({"network", "port", "router"})
"""Resources whose list answers 404 when the marker is gone; the others start over."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One list request."""

    filters: dict[str, list[Any]]
    fields: tuple[str, ...]
    sorts: tuple[tuple[str, bool], ...]
    """(key, ascending)"""
    limit: int | None
    marker: str | None
    reverse: bool


def parse(of: Resource, query: MultiMapping[str]) -> Query:
    """Read a list's query. Raises ApiError as Neutron does."""
    names = list(dict.fromkeys(query))
    table = ATTRIBUTES[of.name]
    wrong = [n for n in names if n not in _PAGING and not (n in table and table[n].filter)]
    if wrong:
        raise bad_request(f"{wrong} is invalid attribute for filtering")
    filters: dict[str, list[Any]] = {}
    for name in names:
        if name not in _PAGING:
            convert = table[name].filter_convert
            given = query.getall(name)
            filters[name] = [convert(value) for value in given] if convert else list(given)
    for name in ("fixed_ips",):
        if name in filters:
            filters[name] = [_pair(value) for value in filters[name]]
    if "tenant_id" in filters:
        if "project_id" in filters:
            raise fault("TenantIdProjectIdFilterConflict")
        filters["project_id"] = filters.pop("tenant_id")
    limit = _limit(query.get("limit", "0"))
    return Query(
        filters=filters,
        fields=tuple(query.getall("fields", [])),
        sorts=_sorts(of, query),
        limit=limit,
        marker=query.get("marker") or None if limit else None,
        reverse=query.get("page_reverse", "False").lower() == "true",
    )


def run(session: Session, of: Resource, query: Query) -> list[Json]:
    """The objects that a query asks for and the caller may see, in Neutron's form without derived fields."""
    marker = _marker(session, of, query)
    by_id = all(key == "id" for key, _ in query.sorts)
    ascending = query.sorts[0][1] if query.sorts else True
    if by_id:
        backwards = ascending is query.reverse
        bound = {} if marker is None else {"before" if backwards else "after": marker["id"]}
        found: list[Json] = []
        for neutron in _candidates(session, of, query, backwards=backwards, **bound):
            found.append(neutron)
            if query.limit and len(found) >= query.limit:
                break
        return found[::-1] if query.reverse else found
    ordered = _ordered(list(_candidates(session, of, query)), query.sorts)
    if not query.limit:
        return ordered
    if marker is not None:
        place = next((i for i, n in enumerate(ordered) if n["id"] == marker["id"]), None)
        if place is not None:
            ordered = ordered[:place] if query.reverse else ordered[place + 1 :]
    return ordered[-query.limit :] if query.reverse else ordered[: query.limit]


def links(url: str, query: MultiMapping[str], parsed: Query, found: list[Json]) -> list[Json]:
    """Where the next and the previous page are."""
    if not parsed.limit:
        return []
    answer = []
    given = [(name, value) for name, value in query.items() if name not in {"marker", "page_reverse"}]
    if parsed.reverse or len(found) >= parsed.limit:
        after = [("marker", found[-1]["id"])] if found else []
        answer.append({"rel": "next", "href": f"{url}?{urlencode(given + after)}"})
    if not parsed.reverse or len(found) >= parsed.limit:
        before = [("marker", found[0]["id"])] if found else []
        answer.append({"rel": "previous", "href": f"{url}?{urlencode([*given, *before, ('page_reverse', 'True')])}"})
    return answer


def _candidates(session: Session, of: Resource, query: Query, **bound: Any) -> Iterator[Json]:
    where: dict[str, Sequence[str]] = {}
    for name, values in query.filters.items():
        if (name in KEYS[of.name] or name == "id") and values and all(values):
            where[name] = [str(value) for value in values]
    projects = query.filters.get("project_id")
    only_own = of.name in {"router", "floatingip", "security_group_rule"} and not session.caller.admin
    if only_own:
        projects = [p for p in projects or [session.caller.project_id] if p == session.caller.project_id]
        if not projects:
            return
    if of.name == "port" and _narrow_ports(session, query, where) is False:
        return
    if of.name == "port" and not (session.caller.admin or session.caller.service):
        bound["owner"] = session.caller.project_id
    tests = [_test(session, of, name, values) for name, values in query.filters.items()]
    for alcor in session.rows.find(of, where, projects=projects, **bound):
        neutron = to_neutron(of, alcor)
        if session.may_see(of, neutron) and all(test(neutron) for test in tests):
            yield neutron


def _narrow_ports(session: Session, query: Query, where: dict[str, Sequence[str]]) -> bool:
    """Look up the ports that filters on addresses or groups mean; False when there are none."""
    ids: set[str] | None = set(where["id"]) if "id" in where else None
    pairs = query.filters.get("fixed_ips", [])
    addresses = [value for name, value in pairs if name == "ip_address"]
    subnets = [value for name, value in pairs if name == "subnet_id"]
    for values, look_up in (
        (addresses, session.rows.ports_with_address),
        (subnets, session.rows.ports_on_subnet),
        (query.filters.get("security_groups", []), session.rows.ports_in_group),
    ):
        if values:
            found = look_up(values)
            ids = found if ids is None else ids & found
    if ids is None:
        return True
    where["id"] = sorted(ids)
    return bool(ids)


def _test(session: Session, of: Resource, name: str, values: list[Any]) -> Callable[[Json], bool]:
    match name:
        case "tags":
            return lambda n: _split(values) <= set(n.get("tags") or [])
        case "tags-any":
            return lambda n: bool(_split(values) & set(n.get("tags") or []))
        case "not-tags":
            return lambda n: not _split(values) <= set(n.get("tags") or [])
        case "not-tags-any":
            return lambda n: not _split(values) & set(n.get("tags") or [])
        case "fixed_ips":
            return lambda n: _has_addresses(n, values)
        case "security_groups":
            return lambda n: bool(set(values) & set(n.get("security_groups") or []))
        case "shared" if of.name == "subnet":
            return lambda n: bool((session.get(NETWORK, n["network_id"]) or {}).get("shared")) in values
        case "is_default":
            return lambda n: bool(n.get(name)) in values
        case _:
            texts = {str(value) for value in values}
            return lambda n: n.get(name) in values or (n.get(name) is not None and str(n[name]) in texts)


def _split(values: list[str]) -> set[str]:
    return {tag for value in values for tag in value.split(",")}


def _has_addresses(port: Json, pairs: list[tuple[str, str]]) -> bool:
    wanted: dict[str, list[str]] = {}
    for name, value in pairs:
        wanted.setdefault(name, []).append(value)
    return all(
        any(
            value in ip["ip_address"] if name == "ip_address_substr" else ip.get(name) == value
            for ip in port.get("fixed_ips") or []
            for value in values
        )
        for name, values in wanted.items()
    )


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise invalid(f"'{text}' is not of the form <key>=[value]")
    return name, value


def _limit(text: str) -> int | None:
    try:
        limit = int(text)
    except ValueError:
        limit = -1
    if limit < 0:
        raise fault(
            "BadRequest",
            resource="limit",
            reason=f"Limit must be an integer 0 or greater and not '{text}'",
        )
    return limit or None


def _sorts(of: Resource, query: MultiMapping[str]) -> tuple[tuple[str, bool], ...]:
    sort_keys = [key for key in query.getall("sort_key", []) if key]
    directions = [direction for direction in query.getall("sort_dir", []) if direction]
    if len(sort_keys) != len(directions):
        raise bad_request("The number of sort_keys and sort_dirs must be same")
    table = ATTRIBUTES[of.name]
    absent = [key for key in sort_keys if key not in table or not table[key].sort]
    if absent:
        raise bad_request(f"{absent} is invalid attribute for sort_keys")
    wrong = [direction for direction in directions if direction not in {"asc", "desc"}]
    if wrong:
        raise bad_request(f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    return tuple((key, way == "asc") for key, way in zip(sort_keys, directions, strict=True))


def _marker(session: Session, of: Resource, query: Query) -> Json | None:
    if query.marker is None:
        return None
    found = session.get(of, query.marker)
    if found is None or not session.may_see(of, found):
        if of.name in _STRICT_MARKERS:
            raise not_found(of.name, query.marker)
        return None
    return found


def _ordered(found: list[Json], sorts: tuple[tuple[str, bool], ...]) -> list[Json]:
    def compare(one: Json, other: Json) -> int:
        for key, ascending in (*sorts, ("id", True)):
            a, b = one.get(key), other.get(key)
            if a == b:
                continue
            less = a is None if a is None or b is None else a < b
            return -1 if less is ascending else 1
        return 0

    return sorted(found, key=cmp_to_key(compare))
