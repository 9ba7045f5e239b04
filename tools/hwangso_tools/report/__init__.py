"""`--report FILE.html`: a storm on one page, to be read without a network, with its series beside
it as JSON and CSV.

Recordings become series (`series`), these and the events of the scenario (`events`) charts
(`charts`), which a library draws (`plot`); `page` puts them together with `scenario_text` and with
what the run was (`provenance`), and `files` writes it all. But for the last two, all is pure.
"""
