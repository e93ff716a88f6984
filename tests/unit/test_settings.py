"""A wrong configuration file gets one sentence that names the key."""

import pytest

from alcor_migrate.errors import ConfigError
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


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")
