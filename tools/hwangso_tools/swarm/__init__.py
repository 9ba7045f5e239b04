"""Many emulated phones: in one process (`crowd`), in several (`coordinator` and `worker`).

What they did is kept by `ledger` (which message reached whom, exactly once) and `figures` (counts
and latencies); both merge across processes. `saturation` watches the generator itself.
"""
