from stage import PATIENCE


def play(stage):
    network = stage.direct.make("network", name="home")
    stage.begin()
    stage.ready()
    answer = stage.to_neutron.stop("POST", "/ports$", answered=True)
    in_flight = stage.later(stage.user.make, "port", network_id=network["id"], name="in flight")
    answer.arrived()
    cutover = stage.later(stage.ask, "cutover", max_hold=8.0)
    stage.holding()
    held = stage.later(stage.user.make, "port", network_id=network["id"], name="held")
    stage.until(lambda status: status["gateway"]["held"], "a held write")
    stage.to_alcor.closed = True
    answer.let_go()

    attempt = cutover.result(PATIENCE)  # while Alcor is still away
    assert not attempt["succeeded"]
    ports = [in_flight.result()["id"], held.result()["id"]]  # both were answered, by Neutron
    assert all(stage.neutron.get("port", port) for port in ports)
    assert stage.status()["active"] == "source"

    stage.to_alcor.closed = False
    stage.level()
    stage.cutover()
    assert all(stage.user.get("port", port) for port in ports)
