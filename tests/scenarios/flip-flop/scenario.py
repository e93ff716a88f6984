def play(stage):
    stage.begin()
    stage.ready()
    life = [stage.user.make("network", name="0")["id"] for _ in range(3)]
    changed, doomed = life[0], life[1:]
    gone = []
    for turn, side in enumerate(("target", "source", "target"), 1):
        stage.reverse() if side == "source" else stage.cutover()
        assert stage.status()["active"] == side
        here = stage.alcor if side == "target" else stage.neutron
        assert here.get("network", changed)["name"] == str(turn - 1)
        assert [each for each in gone if here.get("network", each)] == []
        stage.user.change("network", changed, name=str(turn))
        doomed.append(stage.user.make("network", name=f"made in turn {turn}")["id"])
        gone.append(doomed.pop(0))
        stage.user.delete("network", gone[-1])
    stage.level()
    assert stage.same("network", changed, "name")["name"] == "3"
    for each in doomed:
        stage.same("network", each, "name", "project_id")
    for side in (stage.neutron, stage.alcor):
        assert [each for each in gone if side.get("network", each)] == []
