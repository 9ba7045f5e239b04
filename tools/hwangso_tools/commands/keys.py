"""`hwangso keys`: the server's static key and the keys of its resume tickets."""

from pathlib import Path

from cyclopts import App

from hwangso_server.administration import rotate_server_key
from hwangso_server.folder import DataFolder
from hwangso_server.keys import read_public_key
from hwangso_tools.commands.operate import Where, administer, carry_out

app = App(name="keys", help="The server's keys: show, rotate.")


@app.command
def show(*, where: Where | None = None) -> None:
    """Print the public key that clients pin."""

    async def run() -> bytes:
        return read_public_key(DataFolder(Path((where or Where()).load().data)).server_pub)

    print(carry_out(run).hex())


@app.command
def rotate_tickets(*, where: Where | None = None) -> None:
    """Seal resume tickets with a new key from now on; tickets that are about stay good."""
    rotated = administer(where, lambda admin: admin.rotate_ticket_key())
    print(f"new tickets have a new key; {rotated.keys_held} keys are held")


@app.command
def rotate_server(*, where: Where | None = None) -> None:
    """Make a new server key, with the server stopped. Every client must be given it."""

    async def run() -> bytes:
        return rotate_server_key((where or Where()).load())

    print(f"new server key, give it to every client: {carry_out(run).hex()}")
