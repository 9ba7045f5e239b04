"""The tunables: what must hold between them, whatever their values."""

import msgspec
import pytest
from tests.server.admission.samples import SETTINGS

from hwangso_server.admission import Settings

SIZE = {"handshakes_max", "sessions_max"}


def test_only_its_size_must_be_said() -> None:
    required = {field.name for field in msgspec.structs.fields(Settings) if field.required}
    assert required == SIZE


def test_it_does_not_change() -> None:
    with pytest.raises(AttributeError):
        SETTINGS.hold_s = 1.0  # type: ignore[misc]


def test_a_stage_is_left_below_where_it_is_entered() -> None:
    assert 0 < SETTINGS.fall_level < 1


def test_nobody_waits_longer_than_a_quarter_of_an_hour() -> None:
    """The calendar, and the queue behind it."""
    assert SETTINGS.horizon_s + SETTINGS.hold_s * SETTINGS.aged_factor < 900
    assert SETTINGS.aged_deferrals < SETTINGS.deferrals_max == 4


def test_an_impatient_phone_does_not_time_out_in_the_queue() -> None:
    assert SETTINGS.hold_s * SETTINGS.aged_factor < 1.0
