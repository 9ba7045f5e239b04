"""A process that appends for ever and prints what was acknowledged: one line a batch, hex ids.

Run by test_sqlite.py, which kills it.
"""

import os
import sys
from pathlib import Path

import trio

from hwangso_server.store import Appended, AppendResult, NewMessage, open_sqlite

WINDOW = 200


async def main(path: Path) -> None:
    acknowledged: list[str] = []

    def print_batch() -> None:
        os.write(1, (" ".join(acknowledged) + "\n").encode())
        acknowledged.clear()

    async with open_sqlite(path, on_batch_end=print_batch) as store:
        user = await store.create_user("alice", "hash", 1)
        device = await store.add_device(user.id, "phone", b"k" * 32, 1, limit=1)
        number = 0

        def append(result: AppendResult | None) -> None:
            nonlocal number
            if isinstance(result, Appended):
                acknowledged.append(result.message.message_id.hex())
            number += 1
            message_id = number.to_bytes(16, "big")
            store.append(NewMessage(user.id, device.id, user.id, message_id, "hi", 1), append)

        for _ in range(WINDOW):
            append(None)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
