"""Every limit of the wire, in one place, each with its reason.

`protocol/README.md` lists the same table for implementers in other languages; a test keeps the two
equal.
"""

HELLO_MAX_BYTES = 1024
"""A whole hello: usually under 300 bytes, under 900 with all its parts at their limits. A server
buffers no more than this for a peer that has proved nothing."""

RESUME_TICKET_MAX_BYTES = 256
"""Opaque to clients; ours is 130 bytes."""

DEFERRAL_TICKET_MAX_BYTES = 256
"""Opaque to clients, carried back in the next hello."""

ANSWER_MAX_BYTES = 3 + 65_535
"""Type, length and body of a server's answer to a hello. The body of an ACCEPT is one Noise
message, and Noise messages end at 65,535 bytes (Noise section 3)."""

ANSWER_PAYLOAD_MAX_BYTES = 65_535 - 32 - 16
"""One CBOR message inside an ACCEPT: the Noise message also holds an ephemeral key and a tag."""

RECORD_MAX_BYTES = 65_535
"""Ciphertext of one record with its 16-byte tag: the Noise limit, and what a 2-byte length says."""

RECORD_TAG_BYTES = 16
"""AES-GCM authentication tag at the end of each ciphertext."""

MESSAGE_MAX_BYTES = RECORD_MAX_BYTES - RECORD_TAG_BYTES
"""One CBOR message inside a record."""

REKEY_AFTER_RECORDS = 65_536
"""Both sides rekey a direction after this many records (Noise section 11.3): far below the AES-GCM
limit of 2^24.5 full-size records (RFC 8446 section 5.5), and it ages keys of long connections."""

CBOR_MAX_DEPTH = 5
"""Containers in containers. Our deepest message (`welcome`: map, list, map) needs 3; the rest is
room for fields that newer peers add."""

USER_NAME_MAX_CHARS = 32
DEVICE_NAME_MAX_CHARS = 64
AGENT_MAX_CHARS = 64

PASSWORD_MAX_CHARS = 256
"""Bounds what Argon2id is fed by a stranger."""

BODY_MAX_CHARS = 4_096
"""Text of one message: at most 16 KiB of UTF-8."""

MESSAGE_ID_BYTES = 16
"""Made at random by the sending device: 2^64 messages before a collision is likely."""

PAGE_MAX_ENTRIES = 128
PAGE_MAX_BODY_BYTES = 40_960
"""Together they bound a page to one record: 128 entries of at most 150 bytes besides their text,
plus 40 KiB of text, leave over 5 KiB for the rest of a `welcome`."""

DEVICES_PER_USER_MAX = 64
"""Bounds a device list to one record, and the fan-out of one message."""

UNAUTHENTICATED_DEFER_MAX_S = 30.0
"""A DEFER without a valid authenticator, or a REFUSE, is honoured this long at most: anyone on the
path can forge one."""

DETAIL_MAX_CHARS = 200
"""Human-readable part of an error."""
