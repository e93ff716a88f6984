def play(stage):
    old = stage.direct.make("network", name="old")
    stage.begin()
    stage.ready()
    stage.cutover()
    network = stage.user.make("network", name="made on Alcor")
    subnet = stage.user.make("subnet", network_id=network["id"], ip_version=4, cidr="192.0.2.0/24")
    port = stage.user.make("port", network_id=network["id"], name="made on Alcor")
    stage.user.delete("network", old["id"])
    stage.reverse()
    assert stage.direct.get("network", old["id"]) is None
    assert stage.direct.get("subnet", subnet["id"])["cidr"] == "192.0.2.0/24"
    found = stage.direct.get("port", port["id"])
    assert (found["mac_address"], found["fixed_ips"]) == (port["mac_address"], port["fixed_ips"])
    stage.user.change("port", port["id"], name="changed on Neutron")
    stage.level()
    assert stage.same("port", port["id"], "name")["name"] == "changed on Neutron"
