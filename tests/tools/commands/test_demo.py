"""The main job, small."""

from pathlib import Path

import msgspec
import pytest

from hwangso_tools.commands.tree import run


def test_the_main_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json = tmp_path / "demo.json"
    assert run(["demo", "--devices", "24", "--chat-seconds", "1", "--json", str(json)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "Argon2id at 8 MiB" in shown.out
    assert "All 24 phones were cut off at once" in shown.out
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "demo"
    figures = written["figures"]
    assert figures["logins_by_kind_and_intent"] == {"enrol.FG": 24, "resume.BG": 24}
    assert figures["lost"] == figures["duplicated"] == figures["strays"] == 0
    assert figures["acknowledged"] == figures["sent"] > 0
    assert figures["received"] == figures["expected"] > figures["acknowledged"]
    assert written["config"]["devices"] == 24
