"""Documents to tables: the meaning of a Billingo document, field by field.

`columns` says which columns there are and where each comes from (standard library only, cheap to import),
`values` reads one JSON value as one kind of column, `documents` turns a batch of documents into tables.
Everything here is pure: no SQL, no Dagster, no input or output.
"""
