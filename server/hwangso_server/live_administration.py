"""Administration of the running server: what `accounts` does to the store, and what follows from it
for sessions and tickets that are about."""

import trio

from hwangso_protocol.messages import ByeReason
from hwangso_server.accounts import Accounts, DeviceListing, UserListing
from hwangso_server.admin_messages import (
    AdmissionStatus,
    CalendarListing,
    Explained,
    ServerStats,
    ServerStatus,
    TicketKeyRotated,
)
from hwangso_server.admission.stage import Stage
from hwangso_server.admission_administration import AdmissionAdministration
from hwangso_server.core import Core
from hwangso_server.keys import Keys


class LiveAdministration:
    """An AdminHandler. `stop_asked` is set when an operator asks the server to stop."""

    def __init__(self, core: Core, keys: Keys, stop_asked: trio.Event) -> None:
        self._core = core
        self._keys = keys
        self._stop_asked = stop_asked
        self._accounts = Accounts(core.store, core.passwords, core.clock.wall_ms)
        self._admission = AdmissionAdministration(core.admission, core.clock)

    async def add_user(self, name: str, password: str) -> None:
        """Make an account."""
        await self._accounts.add_user(name, password)

    async def list_users(self, after: str, limit: int) -> UserListing:
        """Users whose name comes after `after`."""
        return await self._accounts.list_users(after, limit)

    async def disable_user(self, name: str) -> None:
        """Disable, refuse the user's tickets and messages to it, end the user's sessions."""
        user = await self._accounts.disable_user(name)
        self._core.known_users.forget_name(user.name)
        self._core.tickets.disable_user(user.id, self._core.clock.wall_ms())
        for session in self._core.presence.of_user(user.id):
            session.end(ByeReason.REVOKED)

    async def enable_user(self, name: str) -> None:
        """Let the user's devices in again."""
        user = await self._accounts.enable_user(name)
        self._core.tickets.enable_user(user.id)

    async def list_devices(self, user: str) -> DeviceListing:
        """The user's devices."""
        return await self._accounts.list_devices(user)

    async def revoke_device(self, user: str, device: int) -> None:
        """Revoke, refuse the device's tickets, end its session."""
        revoked = await self._accounts.revoke_device(user, device)
        self._core.devices.revoked(revoked.user_id, revoked.id)

    async def rotate_ticket_key(self) -> TicketKeyRotated:
        """Seal new tickets with a new key."""
        core = self._core
        await trio.to_thread.run_sync(  # it waits for the disk, twice
            self._keys.rotate_ticket_key, core.clock.wall_ms(), core.tickets.longest_lifetime_ms
        )
        return TicketKeyRotated(len(self._keys.ticket_keys))

    async def stats(self) -> ServerStats:
        """What is now, and the totals since start: see `counts`."""
        await trio.lowlevel.checkpoint()
        return ServerStats(self._figures() | self._admission.figures())

    async def status(self) -> ServerStatus:
        """All that a screen shows."""
        await trio.lowlevel.checkpoint()
        return ServerStatus(self._figures(), self._admission.status())

    async def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus:
        """Pin the stage."""
        await trio.lowlevel.checkpoint()
        return self._admission.set_stage(stage, for_s)

    async def free_stage(self) -> AdmissionStatus:
        """Let the stage follow from pressure."""
        await trio.lowlevel.checkpoint()
        return self._admission.free_stage()

    async def explain(self, device: int) -> Explained:
        """Why the device was last admitted, deferred or refused."""
        await trio.lowlevel.checkpoint()
        return self._admission.explain(device)

    async def calendar(self) -> CalendarListing:
        """The slots to come."""
        await trio.lowlevel.checkpoint()
        return self._admission.calendar()

    async def stop(self) -> None:
        """Begin to stop; returns at once."""
        await trio.lowlevel.checkpoint()
        self._stop_asked.set()

    def _figures(self) -> dict[str, int | float]:
        core = self._core
        store = core.store.counters()
        return {
            "now.connections": len(core.sessions),
            "now.sessions": len(core.presence),
            "now.appends_waiting": store.waiting,
            "store.appended": store.appended,
            "store.commits": store.commits,
            "store.pruned": store.pruned,
            "store.refused": store.refused,
            **core.counts.snapshot(),
        }
