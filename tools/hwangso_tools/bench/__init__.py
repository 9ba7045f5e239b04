"""How fast and how small the server is: `hwangso bench login|resume|idle|message`.

The server runs as a process of its own, on a core of its own; this process is the generator, on
another. `lines` holds the generator's connections, `fixture` prepares accounts, `runs` repeats a
measurement and takes medians, `report` sets them beside published figures.
"""
