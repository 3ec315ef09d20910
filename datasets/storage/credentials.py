"""Credentials, which recipes and URLs must not hold: stores keep them. What `storage_options` may say is listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corrstore.datasets.errors import BadInput

_TOKENS = (None, "anon", "cloud", "google_default", "cache", "browser")
_QUERY = re.compile("[#;][^/]*=")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_SECRET = (
    "may hold a secret, and a store keeps its recipe; give credentials by the environment"
    " (GOOGLE_APPLICATION_CREDENTIALS, AWS_PROFILE), by a named profile, or by the path of a key file (.json)"
)


def holds_credentials(text: str) -> bool:
    """Return whether a URL, or one of those chained by `::`, has a user or a query: passwords and signatures.

    The user of abfs:// is a container.
    """
    for part in text.split("::") if "://" in text else ():
        protocol, _, rest = part.partition("://")
        user = rest.split("/", 1)[0].rpartition("@")[0]
        if "?" in rest or _QUERY.search(rest) or (user and (":" in user or not protocol.startswith("abfs"))):
            return True
    return False


def _is_key_file(token: object) -> bool:
    if token in _TOKENS:  # the words that gcsfs knows
        return True
    return isinstance(token, str) and "://" not in token and (token.endswith(".json") or Path(token).is_file())


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_endpoint(value: object) -> bool:
    return isinstance(value, str) and not set("@?#;") & set(value)


_SWITCHES = ("anon", "requester_pays", "use_ssl", "version_aware", "use_listings_cache")
_NUMBERS = ("cache_timeout", "timeout", "block_size", "default_block_size", "max_concurrency")
_NAMES = ("account_name", "access", "consistency", "default_cache_type", "location_mode", "profile", "project")
_KINDS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(_SWITCHES, _is_switch),
    **dict.fromkeys(_NUMBERS, _is_number),
    **dict.fromkeys((*_NAMES, "region", "region_name"), _is_name),
    "endpoint_url": _is_endpoint,
    "token": _is_key_file,
}
"""The keys that `storage_options`, and `client_kwargs` in it, may have, and what their values must be."""


def refuse_secrets(options: dict[str, Any], *places: str | None) -> None:
    """Raise BadInput, which shows no value, where the options or the places of a source may hold a secret."""
    inner = options.get("client_kwargs", {})
    plain = {key: value for key, value in options.items() if key != "client_kwargs"}
    for key, value in [*plain.items(), *(inner.items() if isinstance(inner, dict) else [("client_kwargs", inner)])]:
        if key not in _KINDS or not _KINDS[key](value):
            shown = key if re.fullmatch("[a-z_]{1,40}", str(key)) else "(a key)"
            raise BadInput(
                f"storage_options.{shown} {_SECRET}; the keys that are known to hold none:"
                f" {', '.join(sorted([*_KINDS, 'client_kwargs']))}"
            )
    if any(place is not None and holds_credentials(place) for place in places):
        raise BadInput(f"path or type: a URL {_SECRET}")
