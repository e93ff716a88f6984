"""Objects of every declared resource, as Neutron could answer them."""

from alcor_model.fields import Kind, Shape

TIME = "2026-11-22T20:30:00Z"


def sample(of, number, **fields):
    """One object; with the same number always the same one. Its id sorts by its number."""
    made = {}
    for position, field in enumerate(of.fields):
        if field.kind is Kind.DERIVED or field.neutron == "id":
            continue
        types = field.types or (str,)
        made[field.neutron] = _value(field, types, f"{field.neutron}-{number}", number + position)
    made |= {"from_a_plugin": number} | fields
    if of.identity != ("id",):
        # A slash in the id: it must survive paths and queries.
        made |= {name: f"{name}-{number:05}" for name in of.identity}
        return made | {"id": "/".join(made[name] for name in of.identity)}
    return made | {"id": f"{of.name}-{number:05}"}


def _value(field, types, text, number):
    if field.neutron == "ip_version":
        return 4
    match field.shape:
        case Shape.ADDRESS:
            return f"192.0.2.{number % 250}"
        case Shape.ADDRESS_SET:
            return [{"ip_address": f"192.0.2.{number % 250}", "subnet_id": text}]
        case Shape.MAC:
            return f"fa:16:3e:00:00:{number % 250:02x}"
        case Shape.TIME:
            return TIME
    if list in types:
        return [] if field.neutron == "segments" else [text]
    if dict in types:
        return {"of": text}
    if int in types:
        return number
    return number % 2 == 0 if bool in types else text
