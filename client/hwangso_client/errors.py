"""Every error that this package raises. The text of each is one line that says what to do."""

from hwangso_protocol.messages import ErrorCode


class ClientError(Exception):
    """What every error of this package derives from."""


class AddressError(ClientError):
    """An address or a server key that cannot be read."""


class ProfileError(ClientError):
    """A profile that cannot be read or written, or that belongs to another server."""


class OutboxFull(ClientError):
    """As many messages as allowed wait to be acknowledged; nothing was queued."""


class SendRefused(ClientError):
    """The server will not take this message, however often it is sent."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"the server refused the message: {_why(code, detail)}")
        self.code = code


class RequestFailed(ClientError):
    """A request was refused, or its session ended before the answer; ask again if it matters."""

    def __init__(self, why: str, code: ErrorCode | None = None) -> None:
        super().__init__(why)
        self.code = code


class NotReady(ClientError):
    """The app was opened and there was no session in time; the device goes on trying."""


class DeviceStopped(ClientError):
    """The device will not connect again: the server knows it no more, or does not want it."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(f"the device has stopped: {_why(code, detail)}")
        self.code = code


def _why(code: ErrorCode, detail: str) -> str:
    return f"{code.value} ({detail})" if detail else code.value
