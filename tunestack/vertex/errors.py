"""What Google answered when it did not do what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class GoogleError(Exception):
    """An error answer of a Google API (AIP-193): HTTP status, canonical status name, message, details.

    ``retry_after``: seconds that the server asked to be left alone, None where it asked nothing.
    """

    retry_after: float | None = None

    def __init__(
        self,
        http_status: int,
        status: str,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
        *,
        request: str = "",
    ) -> None:
        self.http_status = http_status
        self.status = status
        self.message = message
        self.details = tuple(details)
        self.request = request
        super().__init__(f"{status}: {message}" + (f" ({request})" if request else ""))


class InvalidArgument(GoogleError):
    """400: the request itself is wrong; sending it again changes nothing."""


class Unauthenticated(GoogleError):
    """401: no valid credentials."""


class PermissionDenied(GoogleError):
    """403: the caller may not do this."""


class NotFound(GoogleError):
    """404: no such resource."""


class Conflict(GoogleError):
    """409: it exists already, or another change is under way."""


class ResourceExhausted(GoogleError):
    """429: a quota or rate limit."""


class ServiceFault(GoogleError):
    """5xx, 408, 499 or no HTTP answer at all: whether the request was carried out is not known."""


class NotSent(ServiceFault):
    """The request never left: no connection could be made."""


_BY_HTTP_STATUS: Mapping[int, type[GoogleError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    408: ServiceFault,
    409: Conflict,
    429: ResourceExhausted,
    499: ServiceFault,
}


def google_error(http_status: int, body: object, *, request: str = "") -> GoogleError:
    """The typed error for an answer; ``body`` is its parsed JSON, or whatever text came instead."""
    kind = _BY_HTTP_STATUS.get(http_status, ServiceFault if http_status >= 500 else GoogleError)
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        text = body if isinstance(body, str) else ""
        return kind(
            http_status, f"HTTP {http_status}", text.strip()[:300] or "no details given", request=request
        )
    details = error.get("details")
    return kind(
        http_status,
        str(error.get("status") or f"HTTP {http_status}"),
        str(error.get("message") or "no details given"),
        [detail for detail in details if isinstance(detail, Mapping)] if isinstance(details, list) else (),
        request=request,
    )
