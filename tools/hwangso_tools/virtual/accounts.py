"""Phones that have enrolled already, made without a packet: 20,000 of them in seconds."""

import random

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.profile import MemoryProfile, ProfileState, ResumeCredentials
from hwangso_protocol.noise import KEY_BYTES
from hwangso_server.store.interface import User
from hwangso_tools.virtual.server import VirtualServer

PASSWORD = "correct horse"
"""Everybody's."""


class Accounts:
    """Makes users and their devices in a server's store. `rng` draws the devices' keys."""

    def __init__(self, server: VirtualServer, rng: random.Random) -> None:
        self._server = server
        self._rng = rng
        self._password_hash = ""

    async def user(self, name: str) -> User:
        """The user of that name, made if there is none; the password is PASSWORD."""
        store, core = self._server.store, self._server.core
        user = await store.find_user(name)
        if user is None:
            if not self._password_hash:
                self._password_hash = await core.passwords.hash(PASSWORD)
            user = await store.create_user(name, self._password_hash, core.clock.wall_ms())
        return user

    async def enrolled(self, user_name: str, device_name: str) -> MemoryProfile:
        """The profile of a new device of that user, as an enrolment leaves it: its key is known to
        the server, and it has a ticket to resume with."""
        server, core = self._server, self._server.core
        user = await self.user(user_name)
        device_key = self._rng.randbytes(KEY_BYTES)
        public_key = X25519PrivateKey.from_private_bytes(device_key).public_key()
        now_ms = core.clock.wall_ms()
        device = await server.store.add_device(
            user.id,
            device_name,
            public_key.public_bytes_raw(),
            now_ms,
            server.config.devices_per_user_max,
        )
        issued = core.tickets.issue(
            user.id,
            user.name,
            device.id,
            now_ms=now_ms,
            rng=core.rng,
            random_bytes=core.random_bytes,
        )
        return MemoryProfile(
            ProfileState(
                server_key=server.keys.public,
                user=user.name,
                device_key=device_key,
                phase=self._rng.random(),
                enrolled=True,
                resume=ResumeCredentials(issued.sealed, issued.psk, now_ms + issued.lifetime_ms),
            )
        )
