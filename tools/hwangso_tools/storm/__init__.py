"""Storms: a scenario (a script of events for a swarm) played with the control off and on.

`scenario` is what a TOML file says, `population` what people and phones would do on that day;
`play` makes phones do it, `recorder` writes down what happened, `figures` judges it and `report`
sets it beside what was published. `place` is where a storm can happen: in virtual time or on real
sockets.
"""
