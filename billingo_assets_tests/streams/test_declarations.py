import subprocess
import sys

import pytest

from billingo_assets.normalize.documents import ABOUT_INVOICES
from billingo_assets.streams import STREAMS
from billingo_assets.streams.documents import INVOICE_ITEMS, INVOICES, RELATED_DOCUMENTS
from billingo_assets.streams.stream import Column
from billingo_assets_tests.support.frames import normalize


def test_the_columns_can_be_imported_without_pandas() -> None:
    program = "import sys, billingo_assets.streams; print('pandas' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


TABLES = [pytest.param(table.columns, id=table.name) for stream in STREAMS for table in stream.tables]


@pytest.mark.parametrize("columns", TABLES)
def test_every_column_of_a_table_has_a_name_and_a_source_of_its_own(columns: tuple[Column, ...]) -> None:
    assert len({column.name for column in columns}) == len(columns)
    assert len({column.source for column in columns}) == len(columns)


@pytest.mark.parametrize("columns", TABLES)
def test_every_column_has_a_one_line_description(columns: tuple[Column, ...]) -> None:
    for column in columns:
        assert column.description
        assert "\n" not in column.description


def test_a_text_column_that_does_not_say_whether_it_is_personal_is_refused() -> None:
    with pytest.raises(TypeError, match="Say of nickname whether it is personal"):
        Column("nickname", "text", "What friends call the partner", "partner.nickname")
    assert Column("age", "integer", "Age of the partner", "partner.age").personal is None


def test_the_tables_have_the_columns_in_their_order_even_without_documents() -> None:
    batch = normalize([])
    for frame, columns, computed in [
        (batch.invoices, INVOICES.columns, list(ABOUT_INVOICES)),
        (batch.items, INVOICE_ITEMS.columns, []),
        (batch.related, RELATED_DOCUMENTS.columns, []),
    ]:
        assert list(frame.columns) == [column.name for column in columns] + computed
        assert frame.empty
