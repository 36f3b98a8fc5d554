"""Turns records into rows of tables, field by field.

`streams` declares the columns and the source of each, `values` reads one JSON value as one kind of column, `documents`
turns a batch of documents into tables. Everything here is pure: no SQL, no Dagster, no input or output.
"""
