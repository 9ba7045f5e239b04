import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.config import (
    FILE_MAX_BYTES,
    Config,
    ConfigError,
    Control,
    LogLevel,
    Registration,
    allowed,
    load_config,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hwangso.toml"


def refusal(
    file: Path | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ or {}, flags or {})
    text = str(caught.value)
    assert "\n" not in text
    return text


def lines_of_refusal(file: Path | None, environ: dict[str, str]) -> int:
    try:
        load_config(file, environ, {})
    except ConfigError as error:
        return len(str(error).splitlines())
    return 0


def test_nothing_set_gives_the_defaults() -> None:
    assert load_config(None, {}, {}) == Config()


def test_every_default_is_allowed() -> None:
    defaults: dict[str, object] = {key: getattr(Config(), key) for key in Config.__struct_fields__}
    assert load_config(None, {}, defaults) == Config()


def test_file_then_environment_then_flags(file: Path) -> None:
    file.write_text('host = "a"\nforeground_port = 1\nbackground_port = 2\nkeepalive_s = 3\n')
    environ = {"HWANGSO_FOREGROUND_PORT": "10", "HWANGSO_BACKGROUND_PORT": "20"}
    config = load_config(file, environ, {"background_port": 200, "host": None})
    assert (config.host, config.foreground_port, config.background_port) == ("a", 10, 200)
    assert config.keepalive_s == 3


def test_each_source_has_its_own_types(file: Path) -> None:
    file.write_text('registration = "open"\nshutdown_deadline_s = 2\nconnections_max = 9\n')
    config = load_config(
        file,
        {"HWANGSO_PORT": "0", "HWANGSO_SHUTDOWN_DEADLINE_S": "1.5"},
        {"log_level": LogLevel.DEBUG, "data": Path("there")},
    )
    assert config.registration is Registration.OPEN
    assert config.log_level is LogLevel.DEBUG
    assert (config.port, config.connections_max, config.data) == (0, 9, "there")
    assert config.shutdown_deadline_s == 1.5


def test_other_variables_and_empty_ones_are_left_alone() -> None:
    environ = {
        "HWANGSO_SERVER_KEY": "ab" * 32,
        "HWANGSO_DEVICES": "1000",
        "HWANGSO_HOST": "",
        "FOREGROUND_PORT": "x",
    }
    assert load_config(None, environ, {}) == Config()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "foreground_port = 70000",
            "foreground_port: 70000 is not allowed, expected a whole number from 0 to 65535",
        ),
        ("foreground_port = '7744'", "foreground_port: '7744' is not allowed, expected a whole"),
        ("keepalive_s = 1.5", "keepalive_s: 1.5 is not allowed, expected a whole number from 1"),
        ("keepalive_s = true", "keepalive_s: True is not allowed"),
        (
            "registration = 'maybe'",
            "registration: 'maybe' is not allowed, expected 'closed' or 'open'",
        ),
        ("shutdown_deadline_s = nan", "shutdown_deadline_s: nan is not allowed, expected a number"),
        ("shutdown_deadline_s = inf", "expected a number from 0 to 3600"),
        ("host = ''", "host: '' is not allowed, expected a text of 1 to 4096 characters"),
        ("devices_per_user_max = 65", "expected a whole number from 1 to 64"),
        ("foreground_prot = 1", "'foreground_prot': unknown; did you mean foreground_port?"),
        ("zzz = 1", "'zzz': unknown"),
        ("[server]\nport = 1", "'server': unknown"),
    ],
)
def test_wrong_line_in_the_file(file: Path, line: str, complaint: str) -> None:
    file.write_text(f"{line}\n")
    text = refusal(file)
    assert text.startswith(f"{file}: ")
    assert complaint in text


def test_toml_syntax_names_the_line(file: Path) -> None:
    file.write_text('host = "a"\nport = \n')
    assert refusal(file).startswith(f"{file}: is not TOML: Invalid value (at line 2")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"host = '\xff'", "is not UTF-8 text"),
        (b"#" * (FILE_MAX_BYTES + 1), "larger than 65,536 bytes"),
        (b"a = " + b"[" * 10_000, "is not TOML"),
    ],
)
def test_file_that_is_no_configuration(file: Path, content: bytes, complaint: str) -> None:
    file.write_bytes(content)
    assert complaint in refusal(file)


def test_file_that_cannot_be_read(file: Path) -> None:
    assert refusal(file) == f"{file}: cannot be read: No such file or directory"
    assert refusal(file.parent) == f"{file.parent}: cannot be read: Is a directory"


def test_wrong_variable() -> None:
    text = refusal(environ={"HWANGSO_FOREGROUND_PORT": "many"})
    assert text.startswith(
        "HWANGSO_FOREGROUND_PORT: 'many' is not allowed, expected a whole number"
    )


def test_mistyped_variable() -> None:
    text = refusal(environ={"HWANGSO_FORGROUND_PORT": "1"})
    assert text == "HWANGSO_FORGROUND_PORT: unknown; did you mean HWANGSO_FOREGROUND_PORT?"


def test_wrong_flag() -> None:
    text = refusal(flags={"log_level": "loud"})
    assert text == (
        "--log-level: 'loud' is not allowed, expected 'debug' or 'info' or 'warning' or 'error'"
    )
    assert refusal(flags={"hots": "x"}) == "--hots: unknown; did you mean --host?"


# Control, and what of it is switched off


def test_the_control_is_on_and_whole_unless_told_otherwise() -> None:
    assert (Config().control, Config().without) == (Control.ON, ())


def test_control_from_each_source(file: Path) -> None:
    file.write_text('control = "off"\n')
    assert load_config(file, {}, {}).control is Control.OFF
    assert load_config(file, {"HWANGSO_CONTROL": "on"}, {}).control is Control.ON
    assert load_config(file, {"HWANGSO_CONTROL": "on"}, {"control": "off"}).control is Control.OFF


LANES_AND_JITTER = (Mechanism.LANES, Mechanism.CLIENT_JITTER)


@pytest.mark.parametrize(
    "written", ['["lanes", "client-jitter"]', '[\n  "lanes",\n  "client-jitter",\n]']
)
def test_without_is_a_list_in_the_file(file: Path, written: str) -> None:
    file.write_text(f"without = {written}\n")
    assert load_config(file, {}, {}).without == LANES_AND_JITTER


@pytest.mark.parametrize("written", ["lanes,client-jitter", " lanes , client-jitter "])
def test_without_has_commas_in_the_environment(written: str) -> None:
    assert load_config(None, {"HWANGSO_WITHOUT": written}, {}).without == LANES_AND_JITTER


@pytest.mark.parametrize(
    "given",
    [
        ("lanes", "client-jitter"),  # as `--without` gives it
        ["lanes", "client-jitter"],
        ("lanes,client-jitter",),
        "lanes,client-jitter",
        LANES_AND_JITTER,
    ],
)
def test_without_as_a_flag(given: object) -> None:
    assert load_config(None, {}, {"without": given}).without == LANES_AND_JITTER


def test_without_nothing(file: Path) -> None:
    file.write_text("without = []\n")
    assert load_config(file, {"HWANGSO_WITHOUT": ""}, {"without": ()}).without == ()


def test_every_mechanism_can_be_switched_off() -> None:
    names = ",".join(Mechanism)
    assert load_config(None, {"HWANGSO_WITHOUT": names}, {}).without == tuple(Mechanism)


MECHANISMS = " or ".join(f"'{mechanism.value}'" for mechanism in Mechanism)


def test_wrong_control_says_what_is_allowed(file: Path) -> None:
    file.write_text("control = true\n")
    assert refusal(file) == (f"{file}: control: True is not allowed, expected 'on' or 'off'")
    assert refusal(environ={"HWANGSO_CONTROL": "half"}) == (
        "HWANGSO_CONTROL: 'half' is not allowed, expected 'on' or 'off'"
    )


@pytest.mark.parametrize("value", ["'lanes'", "['lane']", "[1]", "{ lanes = true }", "true"])
def test_wrong_without_in_the_file(file: Path, value: str) -> None:
    """A single name is no list: the file has lists of its own."""
    file.write_text(f"without = {value}\n")
    text = refusal(file)
    assert text.startswith(f"{file}: without: ")
    assert text.endswith(f"is not allowed, expected a list of {MECHANISMS}")


@pytest.mark.parametrize("value", ["lane", "lanes,", ",", "lanes;hysteresis", "[lanes]"])
def test_wrong_without_in_the_environment(value: str) -> None:
    text = refusal(environ={"HWANGSO_WITHOUT": value})
    assert text.startswith("HWANGSO_WITHOUT: ")
    assert text.endswith(f"is not allowed, expected a list of {MECHANISMS}")


def test_wrong_without_as_a_flag() -> None:
    text = refusal(flags={"without": ("lanes", "everything")})
    assert text.startswith("--without: ")
    assert text.endswith(f"is not allowed, expected a list of {MECHANISMS}")


def test_long_wrong_value_is_cut() -> None:
    assert len(refusal(environ={"HWANGSO_PORT": "9" * 10_000})) < 200


def test_backoff_base_above_cap_names_both_sources(file: Path) -> None:
    file.write_text("backoff_cap_ms = 1000\n")
    assert refusal(file, {"HWANGSO_BACKOFF_BASE_MS": "1001"}) == (
        "HWANGSO_BACKOFF_BASE_MS: 1001 is not allowed, "
        f"expected at most {file}: backoff_cap_ms, which is 1000"
    )
    load_config(file, {"HWANGSO_BACKOFF_BASE_MS": "1000"}, {})


def test_same_port_twice() -> None:
    text = refusal(flags={"foreground_port": 7745})
    assert text == (
        "background_port (default): 7745 is not allowed, "
        "expected another port than --foreground-port, which is 7745"
    )
    load_config(None, {}, {"foreground_port": 0, "background_port": 0})
    load_config(None, {}, {"foreground_port": 7745, "port": 9})


def test_every_key_says_what_is_allowed() -> None:
    assert all(allowed(key) for key in Config.__struct_fields__)
    assert allowed("connections_max") == "a whole number from 1 to 10000000"


@given(
    st.dictionaries(
        st.sampled_from([f"HWANGSO_{key.upper()}" for key in Config.__struct_fields__]),
        st.text().filter(lambda text: "\0" not in text) | st.integers().map(str),
        max_size=4,
    )
)
def test_any_environment_gives_a_config_or_one_line(environ: dict[str, str]) -> None:
    assert lines_of_refusal(None, environ) <= 1


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_gives_a_config_or_one_line(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}.toml"
    file.write_bytes(content)
    assert lines_of_refusal(file, {}) <= 1
