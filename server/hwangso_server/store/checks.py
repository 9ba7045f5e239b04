"""What callers may hand in, checked before it enters a queue. Each raises ValueError.

A value that a client made and the protocol let through must not reach a database thread and fail
there, where it would break the store for everybody.
"""

from hwangso_server.store.interface import KEY_BYTES, MESSAGE_ID_BYTES, NewMessage


def check_key(key: bytes) -> None:
    """A device key has KEY_BYTES."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a device key has {KEY_BYTES} bytes, not {len(key)}")


def check_limit(limit: int) -> None:
    """Zero would mean nothing, and SQLite takes a negative limit for none."""
    if limit < 1:
        raise ValueError(f"a limit is at least 1, not {limit}")


def check_text(*texts: str) -> None:
    """UnicodeEncodeError, a ValueError, for lone surrogates: they have no UTF-8."""
    for text in texts:
        text.encode()


def check_message(message: NewMessage) -> bytes:
    """The body in UTF-8; UnicodeEncodeError, a ValueError, if it holds lone surrogates."""
    if len(message.message_id) != MESSAGE_ID_BYTES:
        raise ValueError(
            f"a message id has {MESSAGE_ID_BYTES} bytes, not {len(message.message_id)}"
        )
    return message.body.encode()
