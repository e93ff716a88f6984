"""Objects as Neutron's API could answer them, for every declared resource; and any JSON."""

from hypothesis import strategies as st

from alcor_model.fields import Kind, Shape

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
addresses = st.ip_addresses().filter(lambda a: not getattr(a, "ipv4_mapped", None)).map(str)
networks = st.builds("{}/{}".format, addresses, st.integers(0, 32))
address_items = addresses | networks | st.fixed_dictionaries({"ip_address": addresses}, optional={"x": json_values})
BY_TYPE = {
    str: st.text(max_size=30),
    bool: st.booleans(),
    int: st.integers(0, 2**31),
    list: st.lists(json_values, max_size=3),
    dict: st.dictionaries(st.text(max_size=8), json_values, max_size=3),
    type(None): st.none(),
}


@st.composite
def objects(draw, of, *, undeclared=True):
    """An object as Neutron's API could answer it, with some fields missing and some that nobody declared."""
    made = {"id": str(draw(st.uuids()))}
    for field in of.fields:
        if field.neutron == "id" or field.kind is Kind.DERIVED:
            continue
        required = field.types and type(None) not in field.types
        if not required and draw(st.booleans()):
            continue
        if field.kind is Kind.CONVERTED and str in field.types:
            unset = st.none() if type(None) in field.types else st.nothing()
            made[field.neutron] = draw(unset | (addresses if field.shape is Shape.ADDRESS else st.text(min_size=1)))
        elif field.shape is Shape.ADDRESS:
            made[field.neutron] = draw(addresses if field.neutron == "floating_ip_address" else addresses | networks)
        elif field.shape is Shape.ADDRESS_SET:
            made[field.neutron] = draw(st.lists(address_items, max_size=3))
        elif field.types:
            made[field.neutron] = draw(st.one_of([BY_TYPE[t] for t in field.types]))
        else:
            made[field.neutron] = draw(json_values)
    if of.name == "subnet":
        made["ip_version"] = 6 if ":" in made["cidr"] else 4
        made.pop("gateway_ip", None)
    if undeclared:
        made.update(draw(st.dictionaries(st.text("xyz:_", min_size=5, max_size=9), json_values, max_size=2)))
    return made
