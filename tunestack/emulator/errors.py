"""Errors as Google's servers word them: an HTTP code, a canonical status, a message, typed details."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

# google.rpc.Code, with the HTTP code that Google's REST front end gives it (googleapis: google/rpc/code.proto).
HTTP_CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "DATA_LOSS": 500,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
RPC_CODES = {
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}
# Cloud Storage words the same thing as a reason (cloud.google.com/storage/docs/json_api/v1/status-codes).
_REASONS = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    429: "rateLimitExceeded",
    500: "internalError",
    501: "notImplemented",
    503: "backendError",
}
_STATUS_OF_CODE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ApiError(Exception):
    """An answer that is an error. ``code`` is the HTTP code; absent, it follows from ``status``."""

    def __init__(
        self,
        status: str,
        message: str,
        *,
        code: int | None = None,
        details: list[Json] | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or HTTP_CODES[status]
        self.details = details or []
        self.reason = reason or _REASONS.get(self.code, "internalError")

    def body(self, service: str) -> Json:
        """The JSON body: Cloud Storage lists ``errors``, all others give ``status`` and ``details``, BigQuery both."""
        if service == "storage":
            entry = {"message": self.message, "domain": "global", "reason": self.reason}
            if self.reason == "conditionNotMet":
                entry |= {"locationType": "header", "location": "If-Match"}
            error: Json = {"code": self.code, "message": self.message, "errors": [entry]}
        else:
            error = {"code": self.code, "message": self.message, "status": self.status}
        if service == "bigquery":
            error["errors"] = [{**self.bigquery(), "domain": "global"}]
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def bigquery(self) -> Json:
        """An ``ErrorProto``, as jobs and answers have it (cloud.google.com/bigquery/docs/error-messages)."""
        reason = {"conflict": "duplicate", "forbidden": "accessDenied"}.get(self.reason, self.reason)
        entry = {"reason": reason, "message": self.message}
        return {**entry, "location": "query"} if reason == "invalidQuery" else entry


def of_code(
    code: int, message: str, details: list[Json] | None = None, reason: str | None = None
) -> ApiError:
    """An error from an HTTP code alone, as faults are given."""
    return ApiError(_STATUS_OF_CODE.get(code, "UNKNOWN"), message, code=code, details=details, reason=reason)


def invalid(message: str, violations: list[tuple[str, str]] | None = None) -> ApiError:
    """400 INVALID_ARGUMENT; ``violations`` are (field, description) pairs."""
    details = []
    if violations:
        details = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": text} for field, text in violations],
            }
        ]
    return ApiError("INVALID_ARGUMENT", message, details=details)


def not_found(message: str) -> ApiError:
    return ApiError("NOT_FOUND", message)


def already_exists(message: str) -> ApiError:
    return ApiError("ALREADY_EXISTS", message)


def failed_precondition(message: str) -> ApiError:
    return ApiError("FAILED_PRECONDITION", message)


def rpc_status(status: str, message: str, details: list[Json] | None = None) -> Json:
    """A ``google.rpc.Status`` as resources carry it in their ``error`` field."""
    body: Json = {"code": RPC_CODES[status], "message": message}
    if details:
        body["details"] = details
    return body
