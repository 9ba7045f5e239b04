"""`hwangso device`: the phones of a user, by an operator."""

from cyclopts import App
from rich.console import Console
from rich.table import Table

from hwangso_tools.commands.operate import Where, administer, utc

app = App(name="device", help="Devices of a user: list, revoke.")


@app.command(name="list")
def list_devices(user: str, /, *, where: Where | None = None) -> None:
    """List a user's devices, with the ids that `revoke` takes."""
    listing = administer(where, lambda admin: admin.list_devices(user))
    table = Table("id", "name", "enrolled", "received up to", "revoked")
    for device in listing.devices:
        table.add_row(
            str(device.id),
            device.name,
            utc(device.created_at_ms),
            str(device.cursor),
            utc(device.revoked_at_ms),
        )
    console = Console()
    console.print(table)
    if listing.omitted:
        console.print(f"and {listing.omitted} revoked earlier")


@app.command
def revoke(user: str, device: int, /, *, where: Where | None = None) -> None:
    """Shut a device out for good: its session, its tickets and its key end."""
    administer(where, lambda admin: admin.revoke_device(user, device))
    print(f"device {device} of user {user} revoked")
