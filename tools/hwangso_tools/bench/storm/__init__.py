"""The storm on real sockets: `hwangso bench storm`.

Thousands of background (BG) devices, connected and idle, are cut at once and all come back; people
open the app (FG) meanwhile. `plan` says what a storm is, `crowd` is the generator's loop; `worker`
runs one in a process of its own, which the parent's `generator` starts and orders about over
`pipe`. `site` is one server with its two generators, `parts` what is done there, `figures` and
`report` what comes of it.
"""
