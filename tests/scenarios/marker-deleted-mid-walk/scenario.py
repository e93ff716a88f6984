def play(stage):
    home, *others = sorted(stage.direct.make("network", name=f"net-{number}")["id"] for number in range(5))
    subnets = sorted(
        stage.direct.make("subnet", network_id=home, ip_version=4, cidr=f"10.0.{number}.0/24")["id"]
        for number in range(5)
    )
    wait = stage.lab.directory / "copy-waits"
    wait.touch()
    stage.begin(engine={"throttle_flag_file": str(wait), "page_size": 2})
    second_pages = {
        kind: stage.to_neutron.stop("GET", rf"/{kind}s\?.*marker=({'|'.join(ids)})")
        for kind, ids in (("network", others), ("subnet", subnets))
    }
    wait.unlink()
    gone = {}
    for kind, page in second_pages.items():
        gone[kind] = page.arrived().request.rpartition("marker=")[2].partition("&")[0]
        stage.user.delete(kind, gone[kind])
        page.let_go()
    copied = {of["resource"]: of["copied"] for of in stage.ready()["copy"]["resources"]}
    for kind, ids in (("network", [home, *others]), ("subnet", subnets)):
        assert stage.alcor.get(kind, gone[kind]) is None
        for kept in set(ids) - {gone[kind]}:
            stage.same(kind, kept, "name", "project_id")
        assert copied[f"{kind}s"] == len(stage.neutron.listed(kind)) + 1  # each once, and the one that is gone
    stage.level()
