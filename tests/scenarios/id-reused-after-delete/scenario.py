def play(stage):
    old = stage.direct.make("network", name="old")
    wait = stage.lab.directory / "copy-waits"
    wait.touch()
    stage.begin(engine={"throttle_flag_file": str(wait)})
    page = stage.to_neutron.stop("GET", r"/networks\?.*sort_key=id", answered=True)
    wait.unlink()
    page.arrived()  # with the old one in it
    subnet = anew(stage, old, "new")
    stage.until(lambda status: status["replay"]["entries"] >= 3, "replay of the deletion and of both creations")
    page.let_go()
    stage.ready()
    stage.level()
    assert stage.same("network", old["id"], "name", "created_at")["name"] == "new"
    stage.same("subnet", subnet["id"], "cidr", "network_id")

    newer = anew(stage, old, "newer")
    stage.level()
    assert stage.same("network", old["id"], "name", "created_at")["name"] == "newer"
    stage.same("subnet", newer["id"], "cidr", "network_id")
    assert stage.alcor.get("subnet", subnet["id"]) is None
    stage.cutover()
    assert stage.user.get("network", old["id"])["name"] == "newer"


def anew(stage, old, name):
    """Another network under the same id, which only the administrator may ask for, with a subnet."""
    stage.user.delete("network", old["id"])
    stage.admin.make("network", id=old["id"], project_id=stage.user.project_id, name=name)
    return stage.user.make("subnet", network_id=old["id"], ip_version=4, cidr="192.0.2.0/24")
