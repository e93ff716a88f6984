import pytest


def play(stage):
    network = stage.direct.make("network", name="home")
    stage.begin()
    stage.ready()
    answer = stage.to_neutron.stop("POST", "/ports$", answered=True)
    in_flight = stage.later(stage.user.make, "port", network_id=network["id"], name="in flight")
    answer.arrived()

    cutover = stage.later(stage.cutover)
    stage.holding()
    held = stage.later(stage.user.make, "port", network_id=network["id"], name="held")
    with pytest.raises(TimeoutError):
        cutover.result(0.5)  # it has to wait for a write that Neutron has done and nobody has recorded
    answer.let_go()
    attempt = cutover.result()

    assert stage.alcor.get("port", in_flight.result()["id"])["name"] == "in flight"
    assert attempt["drained_ms"] >= 500
    assert attempt["replayed_ms"] >= attempt["drained_ms"]
    assert stage.user.get("port", held.result()["id"])["name"] == "held"
    stage.level()
