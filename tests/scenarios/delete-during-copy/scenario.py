def play(stage):
    kept, doomed = (stage.direct.make("network", name=name)["id"] for name in ("kept", "doomed"))
    wait = stage.lab.directory / "copy-waits"
    wait.touch()
    stage.begin(engine={"throttle_flag_file": str(wait)})
    page = stage.to_neutron.stop("GET", r"/networks\?.*sort_key=id", answered=True)
    wait.unlink()
    page.arrived()  # with both of them in it
    stage.user.delete("network", doomed)
    stage.until(lambda status: status["replay"]["entries"], "replay of the deletion")
    page.let_go()
    status = stage.ready()
    assert status["copy"]["left_out"] >= 1
    assert stage.alcor.get("network", doomed) is None
    stage.same("network", kept, "name")
    stage.level()
