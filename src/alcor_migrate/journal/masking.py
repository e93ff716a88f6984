"""Keeps secrets out of the journal: values under telling keys of a JSON body are replaced."""

from __future__ import annotations

import json
import re
from typing import Any

MASK = "***"
_WORDS = r"passw(?:or)?d|passphrase|secret|token|credential|private_?key|api_?key|psk"
_WHOLE = r"auth|authorization|auth_key"
_SECRET_KEY = re.compile(rf"(?:.*(?:{_WORDS}).*|{_WHOLE})", re.IGNORECASE | re.DOTALL)
# What every telling key has a part of, in lower case (or an escape, which may hide one). Nearly no body has any, and
# to search for each of a few plain strings takes a tenth of the time of the expression that follows.
_HINTS = (b"pass", b"secret", b"token", b"credential", b"key", b"psk", b"auth", b"\\u")
# A cheap look at the raw bytes; it may say yes too often (also for escaped keys), never no wrongly.
_SUSPECT = re.compile(rf'"(?:[^"]*(?:{_WORDS})[^"]*|{_WHOLE}|[^"]*\\u[^"]*)"\s*:'.encode(), re.IGNORECASE)


def mask(body: bytes) -> bytes:
    """The body with its secrets masked. Bytes are kept untouched when there is nothing to mask.

    A body that looks as if it held a secret and is no JSON is not kept at all.
    """
    lowered = body.lower()
    if all(lowered.find(hint) < 0 for hint in _HINTS) or not _SUSPECT.search(body):
        return body
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return json.dumps(MASK).encode()
    masked, changed = _masked(tree)
    return json.dumps(masked, ensure_ascii=False).encode() if changed else body


def _masked(node: Any) -> tuple[Any, bool]:
    if isinstance(node, dict):
        changed = False
        out: dict[str, Any] = {}
        for key, value in node.items():
            if value is not None and not isinstance(value, bool) and _SECRET_KEY.fullmatch(key):
                out[key], below = MASK, True
            else:
                out[key], below = _masked(value)
            changed = changed or below
        return out, changed
    if isinstance(node, list):
        pairs = [_masked(item) for item in node]
        return [item for item, _ in pairs], any(below for _, below in pairs)
    return node, False
