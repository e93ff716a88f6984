def play(stage):
    there = stage.direct.make("network", name="there before")
    brake = stage.lab.directory / "brake"
    brake.touch()
    stage.begin(engine={"throttle_flag_file": str(brake)})
    status = stage.until(lambda status: status["throttle"]["waiting"], "a copy that waits")
    assert str(brake) in status["throttle"]["reason"]
    written = stage.user.make("network", name="written meanwhile")
    stage.until(lambda _: stage.alcor.get("network", written["id"]), "replay while the copy waits")
    status = stage.status()
    assert (status["state"], status["copy"]["finished_at"]) == ("copying", 0)
    assert stage.alcor.get("network", there["id"]) is None

    brake.unlink()
    stage.ready()
    stage.level()
    stage.same("network", there["id"], "name")
    brake.touch()
    stage.cutover()  # else it would wait for ever
    reverse = stage.later(stage.reverse)  # which begins with a comparison of everything
    stage.until(lambda status: status["active"] == "source", "the way back, with the brake on")
    brake.unlink()
    reverse.result()
    assert stage.user.get("network", written["id"])["name"] == "written meanwhile"
