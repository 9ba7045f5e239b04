"""`hwangso phone`: one emulated phone in a terminal."""

import asyncio
import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from hwangso_client.address import ServerAddress, parse_server_key
from hwangso_client.config import DeviceConfig
from hwangso_client.errors import AddressError, ProfileError
from hwangso_client.network import TcpNetwork
from hwangso_client.profile import FileProfile, ProfileState
from hwangso_protocol.messages import UserName
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.phone.app import show
from hwangso_tools.phone.files import ChatsFile, locked
from hwangso_tools.phone.link import Files, Link

KEY_VARIABLE: Final = "HWANGSO_SERVER_KEY"
PROFILES: Final = Path("hwangso-phones")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Whose phone it is, and where its server is."""

    user: str
    """Name of the user."""
    server: str = "127.0.0.1:7744"
    """HOST:PORT of the foreground lane, the background lane on the next port; or HOST:FG,BG."""
    server_key: str | None = None
    """Public key of the server, 64 hex digits [$HWANGSO_SERVER_KEY, else server.pub in the data
    folder, else as this phone knows it]."""
    data: Path = Path("hwangso-data")
    """Data folder of the server, if it is on this machine: for its public key."""
    profile: Path | None = None
    """File with what this phone knows; made when it is new [hwangso-phones/USER.phone]."""
    register: Annotated[bool, Parameter(negative=())] = False
    """Make the user, where the server lets phones do that (--registration open)."""
    password: str | None = None
    """The password, for the first time; other users of this machine can see it. Without this and
    --password-file the command asks for it."""
    password_file: Path | None = None
    """Read the password from the first line of this file."""


def phone(*, options: Options) -> int:
    """Be one phone, in this terminal: lock screen, chats, airplane mode. F1 shows the keys.

    It is the same phone when it is started again, and goes on where it was. A second phone in a
    second terminal, with another --user, is somebody to chat with. Exits with 3 if the server does
    not take the user; a server that is not there is waited for.
    """
    _check_terminal()
    network = TcpNetwork(_address(options))
    path = options.profile or PROFILES / f"{options.user}.phone"
    with locked(path):
        link = _link(options, network, FileProfile(path))
        try:
            ending = asyncio.run(show(link))
        except ProfileError as error:
            raise CommandError(str(error), ExitCode.STORAGE) from None
        except ExceptionGroup as group:
            raise first_of(group) from group
    if ending.interrupted:
        raise KeyboardInterrupt
    if ending.refused:
        raise CommandError(f"user {options.user}: {ending.refused}", ExitCode.UNREACHABLE)
    return ending.code


def _check_terminal() -> None:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise CommandError(
            "a phone needs a terminal as standard input, output and error; "
            "`hwangso swarm` is for phones without one"
        )


def _address(options: Options) -> ServerAddress:
    try:
        msgspec.convert(options.user, UserName)
        return ServerAddress.parse(options.server)
    except msgspec.ValidationError:
        raise CommandError(
            f"--user {options.user!r}: 1 to 32 of a-z, 0-9, dot, hyphen and underscore, beginning "
            "with a letter or digit"
        ) from None
    except AddressError as error:
        raise CommandError(str(error)) from None


def _link(options: Options, network: TcpNetwork, profile: FileProfile) -> Link:
    try:
        state = profile.load()
        key = parse_server_key(_known_key(options, state))
        _check_owner(options, profile, state, key)
        password = "" if state is not None and state.enrolled else _password(options)
        config = DeviceConfig(key, options.user, password, register=options.register)
        return Link(config, network, Files(profile, ChatsFile(profile.path)))
    except (AddressError, ProfileError, ValueError) as error:
        raise CommandError(str(error)) from None


def _known_key(options: Options, state: ProfileState | None) -> str:
    """The server's key as given, from the environment, from its data folder, or as this phone
    knows it."""
    key = options.server_key or os.environ.get(KEY_VARIABLE)
    if key:
        return key
    public = options.data / "server.pub"
    try:
        return public.read_text()
    except (OSError, UnicodeDecodeError):
        if state is not None:
            return state.server_key.hex()
        raise CommandError(
            f"the server's key is not known: give --server-key with what the server printed when "
            f"it was ready, or set {KEY_VARIABLE}, or run this where {public} is",
            ExitCode.UNREACHABLE,
        ) from None


def _check_owner(
    options: Options, profile: FileProfile, state: ProfileState | None, key: bytes
) -> None:
    if state is None:
        return
    if state.user != options.user:
        raise CommandError(
            f"profile {profile.path} is a phone of user {state.user}, not {options.user}: "
            "name another --profile"
        )
    if state.server_key != key:
        raise CommandError(
            f"profile {profile.path} is a phone of a server with another key: name another "
            "--profile, or delete this one if that server is gone"
        )


def _password(options: Options) -> str:
    if options.password is not None and options.password_file is not None:
        raise CommandError("--password and --password-file: give one of them")
    if options.password is not None:
        password = options.password
    elif options.password_file is not None:
        password = _first_line(options.password_file)
    else:
        password = _asked_password(again=options.register)
    if not password:
        raise CommandError("the password is empty")
    return password


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text file") from None


def _asked_password(*, again: bool) -> str:
    try:
        secret = getpass.getpass("password: ")
        if again and getpass.getpass("once more: ") != secret:
            raise CommandError("the two passwords are not the same")
    except EOFError:
        raise CommandError("no password was typed") from None
    return secret
