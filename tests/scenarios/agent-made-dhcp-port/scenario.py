NEEDS_AGENTS = True


def play(stage):
    network = stage.direct.make("network", name="served")
    subnet = stage.direct.make("subnet", network_id=network["id"], ip_version=4, cidr="192.0.2.0/24")
    stage.begin(engine={"sweep_interval": 1})
    before = stage.ready()
    made = stage.lab.agent("compute-2").dhcp_port(network["id"], stage.user.project_id, [subnet["id"]])
    after = stage.until(lambda status: status["sweep"]["found"] >= 1, "a sweep that finds it")
    assert after["gateway"]["captured"] == before["gateway"]["captured"]  # it did not come by the API
    stage.same("port", made["id"], "device_owner", "fixed_ips", "mac_address")
    stage.cutover()
    assert stage.user.get("port", made["id"])["device_owner"] == "network:dhcp"
