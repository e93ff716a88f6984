def play(stage):
    made = [stage.direct.make("network", name=f"net-{number}")["id"] for number in range(5)]
    stage.begin(engine={"page_size": 2})
    status = stage.ready()
    assert status["gateway"]["captured"] == 0
    assert status["copy"]["finished_at"]
    for network_id in made:
        stage.same("network", network_id, "name", "project_id")
    stage.cutover()
    assert stage.user.get("network", made[-1])["name"] == "net-4"
