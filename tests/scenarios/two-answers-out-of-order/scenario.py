def play(stage):
    network = stage.direct.make("network", name="zero")
    stage.begin()
    stage.ready()
    answer = stage.to_neutron.stop("PUT", f"/networks/{network['id']}", answered=True)
    first = stage.later(stage.user.change, "network", network["id"], name="first")
    answer.arrived()
    assert stage.user.change("network", network["id"], name="second")["name"] == "second"
    stage.until(lambda status: status["replay"]["changes"], "replay of the second")
    answer.let_go()
    assert first.result()["name"] == "first"  # so says the last entry of the journal

    stage.level()
    assert stage.same("network", network["id"], "name", "revision_number")["name"] == "second"
