def play(stage):
    stage.begin()
    stage.ready()
    # A listing by project would be such a GET itself.
    assert stage.user.project_id not in {rule["project_id"] for rule in stage.alcor.listed("security_group_rule")}

    (group,) = stage.user.listed("security_group")  # looking for one makes it
    stage.until(lambda status: status["replay"]["changes"], "what the GET made")
    stage.level()
    stage.same("security_group", group["id"], "name", "project_id")
    for rule in stage.neutron.listed("security_group_rule", security_group_id=group["id"]):
        stage.same("security_group_rule", rule["id"], "direction", "ethertype", "remote_group_id")
