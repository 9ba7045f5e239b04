import pytest

from hwangso_client.address import ServerAddress, parse_server_key
from hwangso_client.errors import AddressError
from hwangso_protocol.hello import Intent


@pytest.mark.parametrize(
    ("text", "host", "foreground", "background"),
    [
        ("localhost:7744", "localhost", 7744, 7745),
        ("127.0.0.1:7744,7745", "127.0.0.1", 7744, 7745),
        ("chat.example:80,9000", "chat.example", 80, 9000),
        ("[::1]:7744", "::1", 7744, 7745),
        ("host:7744,7744", "host", 7744, 7744),
    ],
)
def test_reads_addresses(text: str, host: str, foreground: int, background: int) -> None:
    address = ServerAddress.parse(text)
    assert address == ServerAddress(host, foreground, background)
    assert address.port(Intent.FOREGROUND) == foreground
    assert address.port(Intent.BACKGROUND) == background
    assert ServerAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":7744",
        "host:",
        "host:0",
        "host:65536",
        "host:65535",
        "host:-1",
        "host:7744,",
        "host:7744,x",
        "host:7744,7745,7746",
        "host:７７４４",
        "host:999999999999999999999",
        "::1:7744",
    ],
)
def test_says_what_is_wrong_with_others(text: str) -> None:
    with pytest.raises(AddressError, match="address"):
        ServerAddress.parse(text)


def test_reads_a_server_key() -> None:
    assert parse_server_key(" " + bytes(range(32)).hex() + "\n") == bytes(range(32))


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_refuses_other_keys(text: str) -> None:
    with pytest.raises(AddressError, match="64 hexadecimal digits"):
        parse_server_key(text)


@pytest.mark.parametrize("point", [0, 1, 2**255 - 20])
def test_refuses_a_key_that_makes_no_secret(point: int) -> None:
    with pytest.raises(AddressError, match="nobody's key"):
        parse_server_key(point.to_bytes(32, "little").hex())
