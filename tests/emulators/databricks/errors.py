"""What the emulator answers when it refuses a request."""

from typing import Any

STATUSES = {
    "ABORTED": 409,
    "BAD_REQUEST": 400,
    "DIRECTORY_NOT_EMPTY": 400,
    "DIRECTORY_PROTECTED": 400,
    "ENDPOINT_NOT_FOUND": 404,
    "FEATURE_DISABLED": 404,
    "INTERNAL_ERROR": 500,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 400,
    "IO_ERROR": 400,
    "MALFORMED_REQUEST": 400,
    "MAX_BLOCK_SIZE_EXCEEDED": 400,
    "MAX_NOTEBOOK_SIZE_EXCEEDED": 400,
    "MAX_READ_SIZE_EXCEEDED": 400,
    "NOT_FOUND": 404,
    "NOT_IMPLEMENTED": 501,
    "PERMISSION_DENIED": 403,
    "RESOURCE_ALREADY_EXISTS": 400,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "RESOURCE_EXHAUSTED": 429,
    "TEMPORARILY_UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


class Refusal(Exception):
    """An answer with an error code. `violation` marks requests that no careful client sends."""

    def __init__(
        self,
        code: str | int,
        message: str,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        violation: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or (code if isinstance(code, int) else STATUSES[code])
        self.headers = headers or {}
        self.violation = violation

    @property
    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error_code": self.code, "message": self.message}


class CloudRefusal(Exception):
    """An answer of a cloud's storage, which speaks XML and knows nothing of Databricks."""

    def __init__(self, status: int, code: str, message: str, *, violation: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.violation = violation

    @property
    def document(self) -> bytes:
        """The body of the answer."""
        text = f"<Error><Code>{self.code}</Code><Message>{self}</Message></Error>"
        return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()


def invalid(message: str) -> Refusal:
    """A value that is not allowed."""
    return Refusal("INVALID_PARAMETER_VALUE", message)


def absent(message: str) -> Refusal:
    """Something that is not there."""
    return Refusal("RESOURCE_DOES_NOT_EXIST", message)


def present(message: str) -> Refusal:
    """Something that is there already."""
    return Refusal("RESOURCE_ALREADY_EXISTS", message)
