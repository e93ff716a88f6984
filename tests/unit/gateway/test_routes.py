import pytest

from alcor_migrate.gateway import Kind, Route, kind_of


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        (b"GET", b"/v2.0/ports", Kind.READ),
        (b"HEAD", b"/v2.0/ports", Kind.READ),
        (b"OPTIONS", b"*", Kind.READ),
        (b"POST", b"/v2.0/ports", Kind.WRITE),
        (b"PUT", b"/", Kind.WRITE),
        (b"PATCH", b"/", Kind.WRITE),
        (b"DELETE", b"/v2.0/ports/x", Kind.WRITE),
        (b"PROPFIND", b"/v2.0/ports/x", Kind.WRITE),
        (b"get", b"/v2.0/ports", Kind.WRITE),
        (b"GET", b"/v2.0/auto-allocated-topology/p", Kind.WRITE),
        (b"GET", b"/v2.0/auto-allocated-topology/p?fields=dry-run", Kind.WRITE),
        (b"GET", b"/networking/v2.0/auto-allocated-topology/null.json", Kind.WRITE),
        (b"GET", b"/v2.0/auto%2Dallocated-topology/p", Kind.WRITE),
        (b"GET", b"/v2%2E0/auto-allocated-topology/p", Kind.WRITE),
        (b"GET", b"/v2.0/security-groups", Kind.READ_THAT_MAY_WRITE),
        (b"GET", b"/v2.0/security-groups.json?name=default", Kind.READ_THAT_MAY_WRITE),
        (b"GET", b"/v2.0/security-groups/", Kind.READ_THAT_MAY_WRITE),
        (b"GET", b"/v2.0/security-group-rules", Kind.READ_THAT_MAY_WRITE),
        (b"GET", b"/v2.0/security-groups/some-id", Kind.READ),
        (b"GET", b"/v2.0/default-security-group-rules", Kind.READ),
        (b"GET", b"/v2.0/ports?x=/v2.0/security-groups", Kind.READ),
    ],
)
def test_what_a_request_may_change(method, target, kind):
    assert kind_of(method, target) is kind


def test_sides_and_recording():
    assert {route: (route.side, route.captures) for route in Route} == {
        Route.PASS: ("source", False),
        Route.CAPTURE: ("source", True),
        Route.HOLD: ("source", False),
        Route.TARGET: ("target", True),
    }
