"""The tables of alerts: the known problems, the messages about them, and the channels that received each."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Index, Integer, Text, text

from billingo_assets.warehouse.schema import SCHEMA, WRITES, define_table, moment

outages = define_table(
    "outages",
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the outage"),
    Column(
        "company_id", Integer, ForeignKey(f"{SCHEMA}.companies.id"), comment="NULL if it concerns no single company"
    ),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="run_failed, stale, no_api_key, the name of a check that failed, or job: and the name of a job",
    ),
    Column("severity", Text, nullable=False, comment="warning or error"),
    Column("reason", Text, nullable=False, comment="The cause; companies with the same cause share one message"),
    Column("summary", Text, nullable=False, comment="What happened and what to do, in words"),
    Column("run_id", Text, comment="The Dagster run that shows it, if any"),
    moment("since", comment="When it was first seen"),
    moment("told_at", nullable=True, comment="When the message about it was written"),
    Column("told_severity", Text, comment="The severity in that message"),
    Column("told_reason", Text, comment="The cause in that message"),
    moment("ended_at", nullable=True, comment="When it was first seen to be over"),
    moment("end_told_at", nullable=True, comment="When the message that it is over was written"),
    CheckConstraint("severity IN ('warning', 'error')", name="severity"),
    Index(
        "outages_open_idx",
        "company_id",
        "kind",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
    comment="Problems that alerts report, from when they were first seen until they are over",
    pipeline=WRITES,
)

alert_messages = define_table(
    "alert_messages",
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the message"),
    moment("created_at", comment="When it was written"),
    Column("severity", Text, nullable=False, comment="warning, error, or recovery"),
    Column("title", Text, nullable=False, comment="Its subject"),
    Column("body", Text, nullable=False, comment="Its text"),
    CheckConstraint("severity IN ('warning', 'error', 'recovery')", name="severity"),
    comment="Messages that were written for the alert channels",
    pipeline=WRITES,
)

alert_deliveries = define_table(
    "alert_deliveries",
    Column(
        "message_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.alert_messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="alert_messages.id",
    ),
    Column("channel", Text, primary_key=True, comment="Hash of the channel's URL, which holds secrets"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="How often it was tried"),
    moment("attempted_at", nullable=True, comment="When it was last tried"),
    moment("delivered_at", nullable=True, comment="When the channel received it"),
    Index("alert_deliveries_pending_idx", "channel", "message_id", postgresql_where=text("delivered_at IS NULL")),
    comment="Which channel has received which message",
    pipeline=WRITES,
)

alert_reasons = define_table(
    "alert_reasons",
    Column(
        "message_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.alert_messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="alert_messages.id",
    ),
    Column(
        "outage_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.outages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="outages.id",
    ),
    comment="Why a message was sent: the outages that it reports, or reports as over",
    pipeline=WRITES,
)
