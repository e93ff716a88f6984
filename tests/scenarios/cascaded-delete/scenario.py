RULE = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}


def play(stage):
    outside = stage.neutron.make("network", name="outside", **{"router:external": True})
    stage.neutron.make("subnet", network_id=outside["id"], ip_version=4, cidr="203.0.113.0/24")
    network = stage.direct.make("network", name="home")
    subnets = [
        stage.direct.make("subnet", network_id=network["id"], ip_version=4, cidr=f"10.0.{number}.0/24")["id"]
        for number in range(2)
    ]
    router = stage.direct.make("router", name="edge", external_gateway_info={"network_id": outside["id"]})
    floating = stage.direct.make("floatingip", floating_network_id=outside["id"])
    group, other = (stage.direct.make("security_group", name=name) for name in ("group", "other"))
    own = stage.direct.make("security_group_rule", security_group_id=group["id"], **RULE)
    naming = stage.direct.make(
        "security_group_rule", security_group_id=other["id"], remote_group_id=group["id"], **RULE
    )
    gateways = [stage.neutron.listed("port", device_id=owner)[0]["id"] for owner in (router["id"], floating["id"])]
    vanishing = [("subnet", each) for each in subnets] + [("port", each) for each in gateways]
    vanishing += [("security_group_rule", own["id"]), ("security_group_rule", naming["id"])]
    stage.begin()
    stage.ready()
    assert all(stage.alcor.get(kind, each) for kind, each in vanishing)

    stage.user.delete("floatingip", floating["id"])
    stage.user.delete("router", router["id"])
    stage.user.delete("network", network["id"])
    stage.user.delete("security_group", group["id"])
    stage.level()
    assert [each for each in vanishing if stage.neutron.get(*each)] == []
    assert [each for each in vanishing if stage.alcor.get(*each)] == []
    stage.same("security_group", other["id"], "name")
