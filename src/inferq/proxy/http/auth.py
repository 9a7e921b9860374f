"""Authentication: API keys as `Authorization: Bearer`, known by their SHA-256."""

import hashlib
from collections.abc import Sequence
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from inferq.errors import ErrorKind
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES

_REFUSAL = problems.Refusal(401, TYPES[ErrorKind.UNAUTHORIZED].example, ErrorKind.UNAUTHORIZED)


class Authenticator:
    """Accepts requests that have a known key, and stores the name of the key in `request.state.owner`.

    Args:
        app: The next ASGI application.
        api_keys: The setting of that name: `name:sha256` pairs.
        open_paths: Paths that need no key, nor do those below them.
    """

    def __init__(self, app: ASGIApp, api_keys: str, open_paths: Sequence[str] = ()) -> None:
        self.app = app
        self._open_paths = frozenset(open_paths)
        self._open_folders = tuple(f"{path}/" for path in open_paths)
        pairs = (pair.split(":") for pair in api_keys.split(","))
        self._keys = [(bytes.fromhex(digest), name) for name, digest in pairs]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 where no known key is given, also to a WebSocket."""
        if scope["type"] not in ("http", "websocket") or self._is_open(scope):
            return await self.app(scope, receive, send)
        owner = self.find_owner(scope)
        if owner is None:
            return await _REFUSAL(scope, receive, send)
        scope.setdefault("state", {})["owner"] = owner
        return await self.app(scope, receive, send)

    def find_owner(self, scope: Scope) -> str | None:
        """Returns the name of a request's key; None if it has no known key."""
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("latin-1")).digest()
        owner = None
        for known, name in self._keys:  # compares all keys, so that the time does not depend on the key
            if compare_digest(known, digest):
                owner = name
        return owner if scheme.lower() == "bearer" else None

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path in self._open_paths or path.startswith(self._open_folders)
