"""A user's own devices: list them, revoke one."""

from functools import partial
from typing import TYPE_CHECKING

from hwangso_protocol.messages import (
    ByeReason,
    DeviceInfo,
    DeviceList,
    Error,
    ErrorCode,
    Message,
    RevokeDevice,
)
from hwangso_server.session import Session
from hwangso_server.store.interface import Device

if TYPE_CHECKING:
    from hwangso_server.core import Core


class Devices:
    """The device service."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    def list_devices(self, session: Session) -> None:
        """Send the list of the user's devices."""
        session.start_request(self._list)

    def revoke(self, session: Session, message: RevokeDevice) -> None:
        """Revoke one of the user's own devices, then send the list of those left."""
        session.start_request(partial(self._revoke, message.device))

    def revoked(self, user_id: int, device_id: int) -> None:
        """A device is revoked on disk: refuse its tickets, end its session."""
        core = self._core
        core.tickets.revoke_device(device_id, core.clock.wall_ms())
        session = core.presence.of_device(user_id, device_id)
        if session is not None:
            session.end(ByeReason.REVOKED)

    async def _list(self, session: Session) -> Message:
        devices = await self._of_user(session.user_id)
        return DeviceList(tuple(self._info(session, device) for device in devices))

    async def _revoke(self, device_id: int, session: Session) -> Message:
        core = self._core
        if device_id not in {device.id for device in await self._of_user(session.user_id)}:
            return Error(ErrorCode.DEVICE_UNKNOWN, "no such device of yours")
        await core.store.revoke_device(device_id, core.clock.wall_ms())
        self.revoked(session.user_id, device_id)
        return await self._list(session)

    async def _of_user(self, user_id: int) -> list[Device]:
        devices = await self._core.store.devices(user_id)
        return [device for device in devices if device.revoked_at_ms is None]

    def _info(self, session: Session, device: Device) -> DeviceInfo:
        return DeviceInfo(
            device=device.id,
            name=device.name,
            created_at_ms=device.created_at_ms,
            online=self._core.presence.of_device(device.user_id, device.id) is not None,
            this=device.id == session.device_id,
        )
