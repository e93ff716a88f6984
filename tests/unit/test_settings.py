"""A wrong configuration file gets one sentence that names the key."""

import pytest

from alcor_migrate.errors import ConfigError
from alcor_migrate.gateway import Policy, configured
from alcor_migrate.settings import load_settings

GOOD = """
state_dir: state
source: {cloud: prod, url: "http://127.0.0.1:9696"}
target: {url: "http://127.0.0.1:9009"}
gateway: {listen: "127.0.0.1:9797"}
"""


def write(tmp_path, text):
    path = tmp_path / "alcor-migrate.yaml"
    path.write_text(text)
    return path


def test_a_good_file_has_defaults_and_a_directory_beside_it(tmp_path):
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.gateway.policy == "fail_closed"
    assert settings.gateway.max_hold == 3.0
    assert settings.state_dir == str(tmp_path / "state")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("state_dir: state", "state_dir: state\nspeed: 9"), "speed"),
        (("listen", "lisen"), "lisen"),
        (('{listen: "127.0.0.1:9797"}', '{listen: "nowhere"}'), "gateway.listen"),
        (('{listen: "127.0.0.1:9797"}', '{listen: "h:1", policy: maybe}'), "maybe"),
        (('{listen: "127.0.0.1:9797"}', '{listen: "h:1", max_hold: 0}'), "max_hold"),
        (("http://127.0.0.1:9009", "127.0.0.1:9009"), "target.url"),
        (('"http://127.0.0.1:9009"', '["http://127.0.0.1:9009", "127.0.0.1:9010"]'), "target.url"),
        (('"http://127.0.0.1:9009"', '["http://h:9009", "http://h:9009"]'), "target.url"),
        (('"http://127.0.0.1:9009"', "[]"), "target.url"),
        (("cloud: prod, ", ""), "cloud"),
        (("{cloud", "{{{cloud"), "not YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, words):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_side_may_have_several_servers(tmp_path):
    urls = ["http://127.0.0.1:9009", "http://127.0.0.2:9009"]
    text = GOOD.replace('"http://127.0.0.1:9009"', str(urls))
    settings = load_settings(write(tmp_path, text))
    assert settings.source.urls == ("http://127.0.0.1:9696",)
    assert settings.target.urls == tuple(urls)
    assert [a.host for a in configured(settings).sides["target"]] == ["127.0.0.1", "127.0.0.2"]


def test_keys_of_the_gateway_reach_the_gateway(tmp_path):
    """Every key has a namesake there; a new one that does not would raise here."""
    options = 'listen: "127.0.0.1:1", workers: 3, policy: fail_open, checks: {path: /healthcheck, fall: 5}'
    made = configured(load_settings(write(tmp_path, GOOD.replace('listen: "127.0.0.1:9797"', options))))
    assert (made.listen, made.workers, made.policy) == ("127.0.0.1:1", 3, Policy.FAIL_OPEN)
    assert (made.checks.path, made.checks.fall, made.checks.rise) == ("/healthcheck", 5, 2)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")
