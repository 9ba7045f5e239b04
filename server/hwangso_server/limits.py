"""Every limit of the server, in one place, each with its reason.

Limits of the wire are in `hwangso_protocol.limits`, those of the store in `store.interface`; what
an operator may choose is in `config`. `server/README.md` says what happens beyond each.
"""

ACCEPT_BATCH = 64
"""Connections taken from one lane before everybody else gets a turn."""

READ_BATCH = 64
"""Parked sockets read in one turn (design: at most 64)."""

READ_BYTES = 65_536 + 2
"""Read from one socket in one turn: one largest record and its length, so that a talkative phone
gets no more of a turn than this."""

LISTEN_BACKLOG = 4_096
"""The kernel caps it at net.core.somaxconn, 4,096 on current Linux."""

HELLO_TIMEOUT_S = 5.0
"""From accept to a whole hello. A phone sends it in its first packet; only a slow trickle
(slowloris) takes longer."""

PROOF_TIMEOUT_S = 10.0
"""From our answer to the first record: one round trip, on the worst mobile network."""

ENROL_TIMEOUT_S = 60.0
"""From an enrolment's password to its Welcome, with a queue of others before it."""

CLOSE_LINGER_S = 2.0
"""How long a closing connection may take to accept its last bytes."""

IDLE_FACTOR = 2.5
"""A session is dead after this many keepalive intervals of silence: two lost pings and a bit."""

WRITE_BACKLOG_MAX_BYTES = 262_144
"""What waits for one slow reader, beyond the kernel's own buffers: four of the largest records.
Then the session is closed and its messages wait in the inbox."""

SENDS_IN_FLIGHT_MAX = 64
"""Sends of one session that wait for the disk; further ones are answered with `busy`."""

HANDSHAKES_MAX = 4_096
"""Connections between hello and first record. Further hellos are refused with `full`."""

RESERVED_DESCRIPTORS = 64
"""File descriptors kept back from connections: listeners, database, admin socket, logs."""

KNOWN_USERS_MAX = 200_000
"""Users whose name and inbox head are kept in memory (about 300 bytes each), so that a resume
with nothing missed asks the store nothing."""

EMFILE_PAUSE_S = 0.1
"""How long a lane stops accepting when the process has no file descriptors left."""

HOUSEKEEPING_INTERVAL_S = 1.0
"""Between flushes of cursors, and steps of pruning."""

PRUNE_STEP = 1_000
"""Users looked at, and entries deleted at most, in one pruning step."""
