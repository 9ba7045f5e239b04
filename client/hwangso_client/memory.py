"""From a profile to a device's working parts, and back."""

from random import Random

import msgspec

from hwangso_client.backoff import Backoff, FullJitter
from hwangso_client.config import DeviceConfig, Sources
from hwangso_client.errors import ProfileError
from hwangso_client.events import Observer
from hwangso_client.inbox import Inbox
from hwangso_client.link import Identity, Link
from hwangso_client.mailbox import Mailbox
from hwangso_client.outbox import Outbox
from hwangso_client.profile import Profile, ProfileState
from hwangso_protocol.noise import KEY_BYTES


def load_or_create(profile: Profile, config: DeviceConfig, sources: Sources) -> ProfileState:
    """The state in the profile. A new phone makes its key here and saves it before anything is
    sent: an enrolment whose answer is lost is tried again with the same key, which the server then
    knows. Raises ProfileError."""
    state = profile.load()
    if state is None:
        state = ProfileState(
            server_key=config.server_key,
            user=config.user,
            device_key=sources.random_bytes(KEY_BYTES),
            phase=sources.rng.random(),
        )
        profile.save(state)
    if state.server_key != config.server_key:
        raise ProfileError("the profile belongs to a server with another key; use a new profile")
    if state.user != config.user:
        raise ProfileError(f"the profile belongs to user {state.user!r}, not {config.user!r}")
    if not state.enrolled and not config.password:
        raise ProfileError(f"user {config.user!r} is not enrolled yet: that needs the password")
    return state


def build_link(
    state: ProfileState, config: DeviceConfig, backoff: Backoff, sources: Sources, now: float
) -> Link:
    """The link as the profile left it."""
    identity = Identity(
        server_key=config.server_key,
        device_key=state.device_key,
        user=config.user,
        password=config.password,
        device_name=config.device_name,
        register=config.register,
    )
    link = Link(
        identity,
        backoff,
        FullJitter(sources.rng),
        now,
        sources.wall_ms(),
        enrolled=state.enrolled,
        resume=state.resume,
        deferral=state.deferral,
    )
    link.policy = state.policy
    return link


def build_mailbox(
    state: ProfileState, config: DeviceConfig, rng: Random, now: float, observer: Observer
) -> Mailbox:
    """Inbox and outbox as the profile left them."""
    outbox = Outbox(
        state.outbox,
        now,
        FullJitter(rng),
        limit=config.outbox_limit,
        in_flight_limit=config.in_flight_limit,
    )
    inbox = Inbox(state.since, state.unread, config.inbox_limit)
    return Mailbox(inbox, outbox, FullJitter(rng), observer)


def snapshot(state: ProfileState, link: Link, mailbox: Mailbox) -> ProfileState:
    """The state to save: what never changes from `state`, the rest from the working parts."""
    return msgspec.structs.replace(
        state,
        enrolled=link.enrolled,
        resume=link.resume,
        deferral=link.deferral,
        policy=link.policy,
        since=mailbox.inbox.since,
        unread=tuple(mailbox.inbox.unread),
        outbox=mailbox.outbox.unsent,
    )
