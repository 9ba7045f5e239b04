"""A process for one trial: `python -m hwangso_tools.experiments.worker PID`. See `processes`.

Takes a Trial on standard input and gives the Finding on standard output, both as JSON. It ends when
its parent, the process PID, has.
"""

import os
import signal
import sys
from contextlib import suppress

import msgspec

from hwangso_tools.experiments.trial import Trial, carry_out
from hwangso_tools.storm.play import Moment


def main() -> None:
    """Carry out one trial."""
    parent = int(sys.argv[1])

    def look(_: Moment) -> None:
        if os.getppid() != parent:
            signal.raise_signal(signal.SIGINT)  # Trio knows where that may be raised

    trial = msgspec.json.decode(sys.stdin.buffer.read(), type=Trial)
    with suppress(KeyboardInterrupt):
        finding = carry_out(trial, look)
        sys.stdout.buffer.write(msgspec.json.encode(finding))


if __name__ == "__main__":
    main()
