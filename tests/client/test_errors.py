import pytest

from hwangso_client import errors
from hwangso_protocol.messages import ErrorCode


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.SendRefused(ErrorCode.UNKNOWN_USER, ""),
            "the server refused the message: unknown_user",
        ),
        (
            errors.DeviceStopped(ErrorCode.DEVICE_REVOKED, "by alice"),
            "the device has stopped: device_revoked (by alice)",
        ),
    ],
)
def test_an_error_says_in_one_line_what_the_server_said(
    error: errors.ClientError, text: str
) -> None:
    assert str(error) == text


def test_every_error_of_the_client_is_a_client_error() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    ours = [kind for kind in found if issubclass(kind, Exception)]
    assert len(ours) >= 8
    assert all(issubclass(kind, errors.ClientError) for kind in ours)
