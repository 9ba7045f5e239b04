"""`protocol/README.md` says what the code does: dump, diagrams, tables of names and numbers."""

import re
from pathlib import Path

import cbor2
import pytest

from hwangso_protocol import limits
from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.errors import Fault
from hwangso_protocol.hello import ATTEMPT_MAX, HEADER, MAGIC, MIN_NOISE_BYTES, PROLOGUE_LABEL
from hwangso_protocol.messages import FROM_CLIENT, FROM_SERVER, ByeReason, ErrorCode
from hwangso_protocol.noise import IK, NK, NNPSK0
from hwangso_protocol.states import CLIENT, SERVER, Transitions, diagram
from hwangso_protocol.ticket import TICKET_BYTES
from hwangso_tools.wiredump import BEGIN, END, diagnostic, dump, main

README = Path(__file__).parents[2] / "protocol" / "README.md"
TEXT = README.read_text(encoding="utf-8")


def section(start: str, end: str) -> str:
    return TEXT.split(start)[1].split(end)[0]


def first_cells(table: str) -> list[str]:
    """The names in backquotes in the first column of the tables in this text."""
    return re.findall(r"^\| (?:\d+ )?`(\w+)`", table, re.MULTILINE)


def test_the_dump_is_what_the_connections_send() -> None:
    assert section(BEGIN, END) == f"\n{dump()}\n"


@pytest.mark.parametrize("table", [SERVER, CLIENT], ids=["server", "client"])
def test_the_diagrams_are_drawn_from_the_tables(
    table: Transitions,
) -> None:
    assert f"```mermaid\n{diagram(table)}\n```" in TEXT


def test_every_limit_is_listed_with_its_value() -> None:
    in_code = {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in vars(limits).items()
        if name.isupper()
    }
    in_readme = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", TEXT, re.MULTILINE))
    assert in_readme == in_code


def test_every_fault_is_listed() -> None:
    table = section("**Faults.**", "What may come where")
    assert first_cells(table) == [fault.value for fault in Fault]


def test_every_error_code_is_listed() -> None:
    assert first_cells(section("**Error codes.**", "**Bye reasons.**")) == [
        code.value for code in ErrorCode
    ]


def test_every_bye_reason_is_listed() -> None:
    assert first_cells(section("**Bye reasons.**", "**Faults.**")) == [
        reason.value for reason in ByeReason
    ]


def test_every_refuse_and_defer_reason_is_listed() -> None:
    table = section("**REFUSE** is never", "## 5 ")
    listed = re.findall(r"^\| (\d+) `(\w+)`", table, re.MULTILINE)
    assert listed == [(str(reason.value), reason.name) for reason in RefuseReason]
    deferrals = re.findall(r"(\d) `([A-Z]+)`", section("Reasons, for logs only:", "others are"))
    assert deferrals == [(str(reason.value), reason.name) for reason in DeferReason]


def test_every_message_is_listed_with_its_fields_under_who_sends_it() -> None:
    tables = {
        "client": section("### From the client", "### From both"),
        "both": section("### From both", "### From the server"),
        "server": section("### From the server", "## 8 "),
    }
    both = FROM_CLIENT.keys() & FROM_SERVER.keys()
    assert set(first_cells(tables["both"])) == both
    assert set(first_cells(tables["client"])) == FROM_CLIENT.keys() - both
    assert set(first_cells(tables["server"])) == FROM_SERVER.keys() - both
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*)\|", "".join(tables.values()), re.MULTILINE))
    for tag, kind in {**FROM_CLIENT, **FROM_SERVER}.items():
        named = re.findall(r"`(\w+)`", re.sub(r"\{.*?\}|\(.*?\)", "", rows[tag]))
        assert named == list(kind.__struct_fields__), tag


def test_bytes_and_names_of_hello_handshake_and_ticket() -> None:
    assert f"| 0 | 4 | magic | `{MAGIC.decode()}` ({MAGIC.hex(' ')})" in TEXT
    assert f"| {HEADER.size} | r | resume ticket |" in TEXT
    assert f"at least {MIN_NOISE_BYTES} |" in TEXT
    assert f"{ATTEMPT_MAX} for {ATTEMPT_MAX} and more" in TEXT
    assert PROLOGUE_LABEL == b"hwangso/1 hello\0"
    assert "16 bytes `hwangso/1 hello\\0`" in TEXT
    for pattern in (NK, IK, NNPSK0):
        assert f"    {pattern.protocol_name.decode()} " in TEXT
    assert f"ours has {TICKET_BYTES} bytes" in TEXT


# The command that writes the dump


def test_the_command_prints_the_dump(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == f"{dump()}\n"


def test_the_command_writes_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(readme)]) == 0
    assert readme.read_text() == f"before\n{BEGIN}\n{dump()}\n{END}\nafter\n"


@pytest.mark.parametrize("content", [None, "", BEGIN, f"{BEGIN}{BEGIN}{END}"])
def test_the_command_says_what_is_wrong(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    if content is not None:
        readme.write_text(content)
    assert main([str(readme)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not readme.exists() or readme.read_text() == content


def test_diagnostic_notation() -> None:
    """The examples of RFC 8949, appendix A, that our messages need."""
    assert diagnostic(cbor2.loads(bytes.fromhex("4401020304"))) == "h'01020304'"
    assert diagnostic(cbor2.loads(bytes.fromhex("826161a161626163"))) == '["a", {"b": "c"}]'
    assert diagnostic(cbor2.loads(bytes.fromhex("83f5f6190400"))) == "[true, null, 1024]"
    assert diagnostic(cbor2.loads(bytes.fromhex("63e6b0b4"))) == '"水"'
