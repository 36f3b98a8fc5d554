"""The files in deploy/, used as they are meant to be."""
