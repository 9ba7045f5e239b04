"""Every limit of the server, in one place, each with its reason.

Limits of the wire are in `hwangso_protocol.limits`, those of the store in `store.interface`; what
an operator may choose is in `config`. `server/README.md` says what happens beyond each.
"""

ACCEPT_BATCH = 64
"""Connections taken from one lane before everybody else gets a turn."""

READ_BATCH = 64
"""Parked sockets read in one turn (design: at most 64)."""

READ_BYTES = 2_048
"""Read from one socket in one turn: more than phones send at once. Work comes by records, not by
bytes: these hold at most 89 of the smallest, about 2 ms of work for a flood of pings."""

TURN_BUDGET_S = 0.005
"""After this much of a turn the sockets left over wait for the next one, and everybody else, an
accept loop for one, gets a turn before."""

LIVE_SLICE_S = 0.002
"""Of a turn, at most, for what live sessions say, before the foreground lane is looked at."""

CLEAN_UP_SLICE_S = 0.0005
"""At the end of each turn, for peers that have hung up: a tenth of a full turn."""

CLEAN_UP_BRIEFLY_S = 0.000_05
"""The same while a person waits for the store: one of them a turn, for on a busy server some
message is always on its way to the disk."""

BACKGROUND_HELLOS = 16
"""Background hellos (60 us each) heard before a slice of background handshakes."""

HELLOS_BETWEEN_LOOKS = 4
"""Background hellos heard between two looks at the foreground lane."""

BACKGROUND_SLICE_S = 0.002
"""Background handshakes one after the other, as long as nobody comes through the foreground lane.
Answers leave at the end of a slice, which takes a quarter off the price of each."""

BACKGROUND_SHARE = 0.05
"""Of the time that foreground takes, background has a right to as much as this: slots that were
promised are kept, if slowly, while people alone fill the server."""

PATIENCE_S = 1.0
"""A caller that has lain in the kernel for longer is looked at before it is decided about: the most
impatient phones have hung up by then."""

STALLED_S = 1.0
"""A process that wakes so late has stood still (stopped, swapped out, a suspended machine): nobody
is dropped for having been silent before what they sent meanwhile is heard."""

INVITATION_PAUSE_S = 0.1
"""Between background devices that are told, after an emergency, to come for what they missed."""

INVITATIONS_PER_S = 640.0
"""At most so many a second: as many pages are a fraction of what the store reads."""

INVITATIONS_SHARE = 0.5
"""And no more than this many for each background resume that the server has room for. An answer
and the page that follows take less than half of a resume, so people do not feel it."""

ADMISSION_TICK_S = 0.01
"""Admission's windows are closed this late at most, however soon it says the next is due."""

GIVE_WAY_S = 0.000_05
"""How long the Trio thread stands aside after each background handshake while a thread of the store
works. Without this a person's missed messages took 35 ms in a storm: seven hand-overs of the core
and the interpreter lock, 5 ms each. `sys.setswitchinterval` alone does not help."""

FULL_COLLECTION_INTERVAL_S = 600.0
"""Between full garbage collections, which look through every session: 45 ms at 10,000."""

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

STRANGERS_MAX = 16_384
"""Connections that have proved nothing: before their hello, or between it and the first record.
One more, and the oldest is dropped: who answers within a round trip is not pushed out by a flood of
replayed hellos, each of which stays for PROOF_TIMEOUT_S."""

ENROLLING_MAX = 512
"""Connections whose password is being checked; nearly all of them wait for a thread, of which
PASSWORDS_WAITING_MAX may."""

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
"""Users looked at, and entries deleted at most, in one pruning step: 5 to 28 ms."""

PRUNE_BUDGET_S = 0.25
"""Time for pruning in one housekeeping: a quarter of what the writing thread has."""

PRUNE_STEPS_MAX = 32
"""Steps in one housekeeping: what a server that stores 10,000 messages a second, each in up to two
inboxes, has to delete."""

ADMIN_LINE_MAX_BYTES = 262_144
"""A request or an answer. The longest is a full list of devices: 256 of at most 600 bytes."""

ADMIN_CONNECTIONS_MAX = 8
"""Admin connections at once; a further one is told so and closed."""

ADMIN_BACKLOG = 16
"""Admin connections that wait to be accepted."""

ADMIN_IDLE_TIMEOUT_S = 60.0
"""A connection without a request for so long is closed; also for one that does not read answers."""

ADMIN_REQUEST_DEADLINE_S = 30.0
"""For the work of one request: a password behind a queue of others takes 10 s."""

ADMIN_READ_BYTES = 16_384

ADMIN_CALL_DEADLINE_S = 40.0
"""Somewhat more than the server takes at most for a request (`ADMIN_REQUEST_DEADLINE_S`)."""

STAGE_PIN_MIN_S = 1.0
STAGE_PIN_MAX_S = 86_400.0
"""An operator pins a stage for this long: over a shift, and not for ever, for a forgotten pin is a
server that no longer defends itself, or never lets phones in at full speed again."""

USERS_LISTED_MAX = 500
"""In one answer; ask again with the last name for more."""

DEVICES_LISTED_MAX = 256
"""In one answer, unrevoked ones first, then those revoked last. Revoked devices are never deleted,
so a user can have any number of them."""

PASSWORDS_WAITING_MAX = 256
"""Callers that may wait for a thread. With the default costs two threads do about 25 a second, so
the last one waits 10 s; who came later would have given up."""

TICKET_KEYS_MAX = 16
"""Ticket keys that are kept. Rotating more often than this within the life of a ticket drops the
oldest, and the devices that held its tickets log in instead of resuming."""
