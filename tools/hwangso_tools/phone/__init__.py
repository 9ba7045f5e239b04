"""`hwangso phone`: one emulated phone in a terminal.

Textual draws it on asyncio, the client's `Device` lives on Trio, in one process and one thread:
`guest` runs the one beside the other. Between them stand pure values, `chats` and `status`; `link`
makes them out of what the device reports, `screens` show them.
"""
