"""Enrolment: a password, checked in constant work, registers a device's key."""

from typing import TYPE_CHECKING

import trio

from hwangso_protocol.messages import Enrol, Error, ErrorCode
from hwangso_protocol.states import State
from hwangso_server.config import Registration
from hwangso_server.counts import Count
from hwangso_server.passwords import TooManyWaiting
from hwangso_server.session import Session
from hwangso_server.store.interface import (
    Device,
    KeyInUse,
    StoreBusy,
    StoreClosed,
    StoreFailed,
    TooManyDevices,
    User,
    UserExists,
)

if TYPE_CHECKING:
    from hwangso_server.core import Core


class EnrolmentRefusedError(Exception):
    """The enrolment ends with this error code."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(code.value)
        self.code = code
        self.detail = detail


class Enrolment:
    """The enrolment service."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    def enrol(self, session: Session, request: Enrol) -> trio.CancelScope:
        """Check the password and register the device, in a task; cancel it when the phone goes."""
        scope = trio.CancelScope()
        self._core.spawn(self._run_in, scope, session, request)
        return scope

    async def _run_in(self, scope: trio.CancelScope, session: Session, request: Enrol) -> None:
        with scope:
            await self._run(session, request)

    async def _run(self, session: Session, request: Enrol) -> None:
        core = self._core
        try:
            user, device = await self._enrol(request)
            page = await core.store.page(user.id, 0, 1, 1)
        except EnrolmentRefusedError as refused:
            self._refuse(session, refused.code, refused.detail)
        except TooManyWaiting:
            self._refuse(session, ErrorCode.BUSY, "too many enrolments wait, try again later")
        except StoreBusy:
            self._refuse(session, ErrorCode.BUSY, "try again later")
        except (StoreFailed, StoreClosed):
            self._refuse(session, ErrorCode.UNAVAILABLE, "the server is stopping")
        else:
            if session.connection.state is State.ENROLLING:
                self._welcome(session, user, device, page.head)
        session.touch()
        core.flush_touched()

    async def _enrol(self, request: Enrol) -> tuple[User, Device]:
        core = self._core
        user = await core.store.find_user(request.user)
        may_register = request.register and core.config.registration is Registration.OPEN
        if user is None and may_register:
            user = await self._register(request)
        elif not await core.passwords.verify(
            request.password, None if user is None else user.password_hash
        ):
            closed = request.register and not may_register
            raise EnrolmentRefusedError(
                ErrorCode.REGISTRATION_CLOSED if closed else ErrorCode.ENROL_REFUSED
            )
        if user is None:  # a verified password always has a user
            raise EnrolmentRefusedError(ErrorCode.ENROL_REFUSED)
        if user.disabled_at_ms is not None:
            raise EnrolmentRefusedError(ErrorCode.USER_DISABLED)
        try:
            device = await core.store.add_device(
                user.id,
                request.device,
                request.key,
                core.clock.wall_ms(),
                core.config.devices_per_user_max,
            )
        except KeyInUse:
            raise EnrolmentRefusedError(ErrorCode.KEY_IN_USE) from None
        except TooManyDevices:
            raise EnrolmentRefusedError(ErrorCode.TOO_MANY_DEVICES) from None
        return user, device

    async def _register(self, request: Enrol) -> User:
        core = self._core
        password_hash = await core.passwords.hash(request.password)
        try:
            return await core.store.create_user(request.user, password_hash, core.clock.wall_ms())
        except UserExists:
            # Two devices of one new user enrol at once: the second is like any other.
            user = await core.store.find_user(request.user)
            if user is None or not await core.passwords.verify(
                request.password, user.password_hash
            ):
                raise EnrolmentRefusedError(ErrorCode.ENROL_REFUSED) from None
            return user

    def _welcome(self, session: Session, user: User, device: Device, head: int) -> None:
        core = self._core
        session.identify(user.id, user.name, device.id)
        core.learn_user(user.name, user.id)
        head = core.known_users.learn_head(user.id, head)
        # A new device begins at its cursor: what came before is not for it.
        session.connection.welcome_enrolled(core.desk.welcome(session, device.cursor, head))
        session.go_online()

    def _refuse(self, session: Session, code: ErrorCode, detail: str = "") -> None:
        self._core.counts.add(Count.DENIED, code.value)
        if session.connection.state is State.ENROLLING:
            session.connection.fail_enrolment(Error(code, detail))
