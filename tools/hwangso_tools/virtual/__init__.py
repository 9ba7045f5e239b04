"""Virtual time: the real server and real phones on one clock that jumps, in a network of its own.

    def main() -> None:
        run_virtual(story, seed=1)          # `clock`: the same seed gives the same run

    async def story() -> None:
        async with virtual_world(seed=1) as world:      # `world`: a server, and phones
            alice = await world.phone("alice")
            await alice.open_app()

The rest is what a world is made of: `network` (one server's machine and the phones' links; `tcp`,
`link`, `deliveries` and `stream` are its parts), `ground` (what the server's dispatcher sees of
it), `processor` (what its work costs), `accounts` (phones that have enrolled already), and `trace`
(all that went over the network). tests/README.md tells how to write a test with it.

No thread and no socket appears here, and nothing reads a real clock but the guard of `run_virtual`.
"""
