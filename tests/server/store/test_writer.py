"""The writer's thread, without the thread: its cache stays bounded and right."""

from pathlib import Path

import pytest

from hwangso_server.store import Appended, AppendResult, NewMessage, changes, writer
from hwangso_server.store.schema import open_writer
from hwangso_server.store.writer import Append, Backlog, Writer


def append(target: Writer, *messages: NewMessage) -> list[AppendResult | None]:
    jobs = [Append(m, m.body.encode(), lambda _: None, Backlog()) for m in messages]
    target.handle(jobs)
    return [job.result for job in jobs]


def to(recipient: int, number: int) -> NewMessage:
    return NewMessage(1, 1, recipient, number.to_bytes(16, "big"), "hi", 0)


@pytest.mark.parametrize("cache_limit", [1, 3, 1000])
def test_a_small_cache_changes_nothing(
    tmp_path: Path, cache_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "INBOX_CACHE_LIMIT", cache_limit)
    target = Writer(open_writer(tmp_path / "hwangso.db"), tmp_path / "hwangso.db")
    for number in range(10):
        changes.create_user(target, f"user {number}", "hash", 1)
    for round_ in range(5):
        results = append(target, *(to(user, round_ * 10 + user) for user in range(1, 11)))
        assert [r.seq for r in results if isinstance(r, Appended)] == [round_ + 1] * 10
        results = append(target, to(3, round_ * 10 + 3))
        assert [r.duplicate for r in results if isinstance(r, Appended)] == [True]
        assert len(target._inboxes) <= max(cache_limit, 10)
    target.close()


def test_a_backlog_counts_what_waits() -> None:
    backlog = Backlog()
    answers: list[AppendResult] = []
    job = Append(to(1, 1), b"hi", answers.append, backlog)
    assert (backlog.messages, backlog.body_bytes, backlog.answered) == (1, 2, 0)
    job.result = Appended(to(1, 1), 1, None, 0, False)
    job.settle()
    assert (backlog.messages, backlog.body_bytes, backlog.answered) == (0, 0, 1)
    assert answers == [job.result]
