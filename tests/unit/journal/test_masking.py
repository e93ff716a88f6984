import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_migrate.journal.masking import MASK, mask


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"port": {"name": "a", "port_security_enabled": true,  "tags": []}}',
        b'{"port": {"description": "the \\"password\\": is not here"}}',
        '{"name": "größe"}'.encode(),
    ],
)
def test_a_body_without_secrets_is_kept_byte_by_byte(body):
    assert mask(body) == body


@pytest.mark.parametrize(
    "key",
    [
        *("password", "adminPass" + "word", "Passphrase", "user_secret", "X-Auth-Token", "CREDENTIALS", "PSK"),
        *("private_key", "privateKey", "apikey", "API_KEY", "auth", "Authorization", "auth_key"),
    ],
)
def test_values_under_telling_keys_are_masked_at_any_depth(key):
    body = json.dumps({"a": [{"b": {key: {"x": "hidden"}}}], "c": "kept"}).encode()
    masked = json.loads(mask(body))
    assert masked == {"a": [{"b": {key: MASK}}], "c": "kept"}


def test_an_escaped_key_hides_nothing():
    assert b"hidden" not in mask(b'{"pass\\u0077ord": "hidden"}')


def test_what_looks_like_a_secret_and_is_no_json_is_dropped():
    assert b"hidden" not in mask(b'{"password": "hidden", broken')


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "token", "name"]) | st.text(), inner),
    )
)
def test_nothing_but_telling_values_changes(tree):
    def expected(node):
        if isinstance(node, dict):
            return {
                k: expected(v) if not any(w in k.lower() for w in ("token",)) or v is None else MASK
                for k, v in node.items()
            }
        return [expected(n) for n in node] if isinstance(node, list) else node

    assert json.loads(mask(json.dumps(tree).encode())) == expected(tree)
