"""What a run says when the database fails Dagster's own connection amid a step, which raises the driver's errors."""

from __future__ import annotations

import sys

import pytest
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.dagster_support.storage import dagster_url
from billingo_assets.run_history.crashes import DISCONNECTED, NO_SPACE, crash_in_words

END = "SELECT pg_terminate_backend(:pid, 60000)"
FULL = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"


def crash_of(connection: Connection, statement: str) -> SerializableErrorInfo:
    """The error of a statement as Dagster stores it: in an error of the step."""
    try:
        try:
            connection.execute(text(statement))
        except DBAPIError as error:
            raise RuntimeError("Error occurred while executing a step") from error
    except RuntimeError:
        return serializable_error_info_from_exc_info(sys.exc_info())
    pytest.fail("the statement was executed")


def test_a_connection_of_dagsters_that_was_ended_is_told_in_words(empty_database: URL, admin: Engine) -> None:
    with create_engine(dagster_url(empty_database)).connect() as connection, admin.connect() as other:
        other.execute(text(END), {"pid": connection.scalar(text("SELECT pg_backend_pid()"))})
        assert crash_in_words(crash_of(connection, "SELECT 1")) == DISCONNECTED
        connection.invalidate()


def test_a_full_disk_that_dagster_meets_is_told_in_words(empty_database: URL) -> None:
    with create_engine(dagster_url(empty_database)).connect() as connection:
        assert crash_in_words(crash_of(connection, FULL)) == NO_SPACE


def test_another_error_keeps_its_own_words(empty_database: URL) -> None:
    with create_engine(dagster_url(empty_database)).connect() as connection:
        assert 'relation "nowhere" does not exist' in crash_in_words(crash_of(connection, "TABLE nowhere"))
