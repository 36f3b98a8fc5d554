"""Measures a sync against dlt and against two bare scripts, all on loopback. `make bench` runs it.

`__main__` says what is measured, `goals` what is hoped for, `report` how it is told. `contenders` knows how each is
started and whether it did its work, `measuring` what a process cost, `services` what they all talk to.
`serve`, `register`, `floor` and `dlt_pipeline` are programs: each runs in a process of its own.
"""
