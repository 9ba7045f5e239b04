"""What an operator can set: the keys, their ranges, and where their values come from.

    config = load_config(Path("hwangso.toml"), os.environ, {"foreground_port": 0})

A value comes from the default below, the TOML file, the environment (`foreground_port` is
HWANGSO_FOREGROUND_PORT) or a flag (`--foreground-port`); later ones win.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn, get_type_hints

import msgspec
from msgspec import Meta

from hwangso_protocol.limits import DEVICES_PER_USER_MAX
from hwangso_server.admission.mechanism import Mechanism

ENVIRONMENT_PREFIX: Final = "HWANGSO_"

FILE_MAX_BYTES: Final = 65_536
"""A configuration file is read whole; this is a hundred times what all keys need."""

SHOWN_MAX_CHARS: Final = 60
"""How much of a wrong value an error repeats."""

NEARLY_THE_SAME: Final = 0.8
"""Likeness (difflib's ratio) from which an unknown variable is taken for a typing error."""


class ConfigError(Exception):
    """A wrong value or key. The text is one line: where it stands, what it is, what is allowed."""


class Registration(StrEnum):
    """Who makes accounts: the operator only, or also a device that enrols."""

    CLOSED = "closed"
    OPEN = "open"


class Control(StrEnum):
    """Whether admission controls the load, or lets in whoever fits: the negative control."""

    ON = "on"
    OFF = "off"


class LogLevel(StrEnum):
    """The least severe log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Port = Annotated[int, Meta(ge=0, le=65_535)]
"""TCP port; 0 takes any free one."""
Text = Annotated[str, Meta(min_length=1, max_length=4_096)]
"""Host or path; 4,096 is Linux's PATH_MAX."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The server's configuration. `load_config` checks it; one made by hand is trusted."""

    host: Text = "127.0.0.1"
    foreground_port: Port = 7744
    background_port: Port = 7745
    port: Port | None = None
    """Single-port mode: both intents on this port, and the two above are not used."""

    data: Text = "hwangso-data"
    """The data folder, see `folder`."""
    registration: Registration = Registration.CLOSED
    devices_per_user_max: Annotated[int, Meta(ge=1, le=DEVICES_PER_USER_MAX)] = 16
    inbox_retained: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    """Newest entries of an inbox that are kept although a device has not received them."""
    retry_window_s: Annotated[int, Meta(ge=1, le=90 * 86_400)] = 86_400
    """Entries are kept this long although all have received them, to know a send that is tried
    again: a phone whose acknowledgement was lost may have been off for a day since."""

    connections_max: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    """None: as many as the process may have file descriptors, less what the server itself needs."""
    keepalive_s: Annotated[int, Meta(ge=1, le=86_400)] = 60
    """A device sends something at least this often."""
    ticket_lifetime_s: Annotated[int, Meta(ge=1, le=90 * 86_400)] = 7 * 86_400
    """A phone that was off for a week still resumes."""
    backoff_base_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 500
    backoff_cap_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 16_000
    shutdown_deadline_s: Annotated[float, Meta(ge=0, le=3_600)] = 5.0

    control: Control = Control.ON
    without: tuple[Mechanism, ...] = ()
    """Mechanisms of the control that are switched off, to see what each buys."""

    slowed_to: Annotated[float, Meta(ge=1, le=1_000_000)] | None = None
    """Resumes a second of a slower machine, as which the server behaves: for storms on one machine
    with the phones. None: as fast as it is."""

    argon2_memory_kib: Annotated[int, Meta(ge=8, le=4 * 2**20)] = 19_456
    argon2_iterations: Annotated[int, Meta(ge=1, le=100)] = 2
    """These two, with one lane: OWASP's Password Storage Cheat Sheet, minimum for Argon2id."""
    enrolments_at_once: Annotated[int, Meta(ge=1, le=32)] = 2
    """Passwords hashed at the same time: each takes a thread and `argon2_memory_kib`."""

    log_level: LogLevel = LogLevel.INFO


_TYPES: Final = get_type_hints(Config, include_extras=True)
DEFAULT: Final = "default"


def load_config(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Config:
    """Read and check the configuration.

    `flags` are keys of `Config`; one that is None was not given. An empty environment variable
    counts as unset. Variables with our prefix that are no keys of ours belong to the client and are
    ignored, unless they look like a typing error. Raises ConfigError.
    """
    values: dict[str, object] = {}
    origins: dict[str, str] = {}

    def take(key: str, value: object, origin: str, *, is_text: bool = False) -> None:
        values[key] = _checked(key, value, origin, is_text=is_text)
        origins[key] = origin

    if file is not None:
        for key, value in _read_toml(file).items():
            if key not in _TYPES:
                _refuse_unknown(f"{file}: {key!r:.{SHOWN_MAX_CHARS}}", key, _TYPES)
            take(key, value, f"{file}: {key}")
    for key, variable in _variables(environ).items():
        take(key, _split(key, environ[variable]), variable, is_text=True)
    for key, value in flags.items():
        if key not in _TYPES:
            _refuse_unknown(_flag(key), _flag(key), map(_flag, _TYPES))
        if value is not None:
            plain = os.fspath(value) if isinstance(value, Path) else value
            take(key, _split(key, plain), _flag(key))

    config = msgspec.convert(values, Config)
    _check_together(config, origins)
    return config


def _read_toml(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
        if len(content) > FILE_MAX_BYTES:
            raise ConfigError(f"{file}: larger than {FILE_MAX_BYTES:,} bytes")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variable of each key that has one."""
    known = {ENVIRONMENT_PREFIX + key.upper(): key for key in _TYPES}
    for variable in environ:
        if (
            variable.startswith(ENVIRONMENT_PREFIX)
            and variable not in known
            and difflib.get_close_matches(variable, known, n=1, cutoff=NEARLY_THE_SAME)
        ):
            _refuse_unknown(variable, variable, known)
    return {key: variable for variable, key in known.items() if environ.get(variable)}


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _refuse_unknown(origin: str, name: str, known: Iterable[str]) -> NoReturn:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ConfigError(f"{origin}: unknown{hint}")


def _checked(key: str, value: object, origin: str, *, is_text: bool) -> object:
    """The value in the type of its key; `is_text`: numbers come as text."""
    try:
        checked: object = msgspec.convert(value, _TYPES[key], strict=not is_text)
    except msgspec.ValidationError:
        shown = f"{value!r:.{SHOWN_MAX_CHARS}}"
        raise ConfigError(f"{origin}: {shown} is not allowed, expected {allowed(key)}") from None
    return checked


def _split(key: str, value: object) -> object:
    """A list that is not from a file is written with commas; a flag may be given several times."""
    if not isinstance(msgspec.inspect.type_info(_TYPES[key]), msgspec.inspect.VarTupleType):
        return value
    texts = value if isinstance(value, list | tuple) else [value]
    return [item.strip() for text in texts for item in str(text).split(",")]


def allowed(key: str) -> str:
    """What may be set for a key, in words."""
    return _in_words(msgspec.inspect.type_info(_TYPES[key]))


def _in_words(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            # TOML has no null: a key that may be None is simply left out.
            return " or ".join(
                _in_words(one) for one in types if not isinstance(one, msgspec.inspect.NoneType)
            )
        case msgspec.inspect.VarTupleType(item_type=item):
            return f"a list of {_in_words(item)}"
        case msgspec.inspect.EnumType(cls=cls):
            return " or ".join(repr(str(member.value)) for member in cls)
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case msgspec.inspect.FloatType(ge=low, le=high):
            return f"a number from {low} to {high}"
        case msgspec.inspect.StrType(min_length=low, max_length=high):
            return f"a text of {low} to {high} characters"
        case _:
            raise TypeError(f"no words yet for {kind}")


def _check_together(config: Config, origins: Mapping[str, str]) -> None:
    """What a single value cannot show."""
    if config.backoff_base_ms > config.backoff_cap_ms:
        _refuse_pair("backoff_base_ms", "at most", "backoff_cap_ms", config, origins)
    if config.port is None and 0 != config.foreground_port == config.background_port:
        _refuse_pair("background_port", "another port than", "foreground_port", config, origins)


def _refuse_pair(
    key: str, relation: str, other: str, config: Config, origins: Mapping[str, str]
) -> NoReturn:
    value, bound = getattr(config, key), getattr(config, other)
    raise ConfigError(
        f"{origins.get(key, f'{key} ({DEFAULT})')}: {value} is not allowed, expected "
        f"{relation} {origins.get(other, f'{other} ({DEFAULT})')}, which is {bound}"
    )
