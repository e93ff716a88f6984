NEEDS_AGENTS = True


def play(stage):
    network = stage.direct.make("network", name="served")
    subnet = stage.direct.make("subnet", network_id=network["id"], ip_version=4, cidr="192.0.2.0/24")
    port = stage.neutron.make("port", network_id=network["id"], **{"binding:host_id": "compute-2"})
    stage.begin(engine={"sweep_interval": 1})
    before = stage.ready()
    assert stage.alcor.get("port", port["id"])["status"] == "DOWN"

    agent = stage.lab.agent("compute-2")
    agent.device_up(port["id"])
    made = agent.dhcp_port(network["id"], stage.user.project_id, [subnet["id"]])
    stage.until(lambda _: stage.alcor.get("port", port["id"])["status"] == "ACTIVE", "the port that was wired")
    stage.until(lambda _: stage.alcor.get("port", made["id"]), "the port of the DHCP agent")
    after = stage.until(lambda status: status["sweep"]["found"] >= 2, "sweeps that count both")
    assert after["gateway"]["captured"] == before["gateway"]["captured"]  # nothing of it came by the API
    assert stage.same("port", port["id"], "status")["status"] == "ACTIVE"
    stage.same("port", made["id"], "device_owner", "fixed_ips", "mac_address")
    stage.cutover()
    assert stage.user.get("port", made["id"])["device_owner"] == "network:dhcp"
