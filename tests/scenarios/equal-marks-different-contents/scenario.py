def play(stage):
    network = stage.direct.make("network", name="home")
    subnet = stage.direct.make("subnet", network_id=network["id"], ip_version=4, cidr="192.0.2.0/24")
    stage.begin()
    stage.ready()
    marks = subnet["revision_number"]
    after = stage.direct.change("subnet", subnet["id"], dns_nameservers=["192.0.2.53"])  # past the gateway
    assert after["revision_number"] == marks
    found = stage.ask("verify")
    assert [shown["id"] for shown in found["shown"]] == [subnet["id"]]
    assert "dns_nameservers" in found["shown"][0]["problem"]
    assert stage.ask("verify", repair=True)["mismatches"] == 0
    assert stage.same("subnet", subnet["id"], "dns_nameservers")["dns_nameservers"] == ["192.0.2.53"]
