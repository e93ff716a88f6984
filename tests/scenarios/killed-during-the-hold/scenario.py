from stage import LONG


def play(stage):
    network = stage.direct.make("network", name="home")
    stage.begin()
    stage.ready()
    answer = stage.to_neutron.stop("POST", "/ports$", answered=True)
    in_flight = stage.later(stage.user.call, "POST", "ports", {"port": {"network_id": network["id"], "name": "done"}})
    answer.arrived()  # Neutron has made it
    cutover = stage.later(stage.ask, "cutover", max_hold=LONG)
    stage.holding()
    held = stage.later(stage.user.call, "POST", "ports", {"port": {"network_id": network["id"], "name": "held"}})
    stage.until(lambda status: status["gateway"]["held"], "a held write")
    stage.crash()
    answer.let_go()
    assert cutover.exception() is not None
    assert (in_flight.result()[0], held.result()[0]) == (0, 0)  # nobody was told anything

    stage.start_again()
    assert stage.ready()["active"] == "source"
    stage.until(lambda status: status["replay"]["entries"], "replay of the write that was cut off")
    stage.level()
    ports = {port["name"]: port for port in stage.neutron.listed("port", network_id=network["id"])}
    assert set(ports) == {"done"}  # what waited was never sent
    stage.same("port", ports["done"]["id"], "name", "mac_address", "fixed_ips")
    stage.cutover()
