"""Who asks: the API key of a request, and whose it is for fairness and caches."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from fastapi import Request

from dsvl2_app.api.failures import ProtocolError
from dsvl2_app.request import Caller

VARIABLE = "DSVL2_API_KEYS"


def read_keys(env: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that may ask, which are no flag because flags are seen by everybody on the machine; without any,
    everybody may."""
    return tuple(key.strip() for key in env.get(VARIABLE, "").split(",") if key.strip())


def identify(request: Request, keys: Sequence[str]) -> Caller:
    """Whoever asks; their name is their key's digest, or without keys their address. Raises ProtocolError 401."""
    address = request.client.host if request.client else ""
    if not keys:
        return Caller(f"api {address}", address)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip() if scheme.lower() == "bearer" else ""
    if not given:
        raise ProtocolError(401, "There is no API key; send it as Authorization: Bearer KEY.", "invalid_api_key")
    if not any([hmac.compare_digest(key.encode(), given.encode()) for key in keys]):  # all of them, in the same time
        raise ProtocolError(401, "The API key is not one of this server's; check it.", "invalid_api_key")
    return Caller(f"api {hashlib.blake2b(given.encode(), digest_size=12).hexdigest()}", address)
