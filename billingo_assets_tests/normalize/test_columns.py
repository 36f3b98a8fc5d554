import subprocess
import sys

import pytest

from billingo_assets.normalize.columns import INVOICE_COLUMNS, ITEM_COLUMNS, RELATED_COLUMNS, Column
from billingo_assets.normalize.documents import ABOUT_INVOICES
from billingo_assets_tests.support.frames import normalize


def test_the_columns_can_be_imported_without_pandas() -> None:
    program = "import sys, billingo_assets.normalize.columns; print('pandas' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("columns", [INVOICE_COLUMNS, ITEM_COLUMNS, RELATED_COLUMNS])
def test_every_column_of_a_table_has_a_name_and_a_source_of_its_own(columns: tuple[Column, ...]) -> None:
    assert len({column.name for column in columns}) == len(columns)
    assert len({column.source for column in columns}) == len(columns)


@pytest.mark.parametrize("columns", [INVOICE_COLUMNS, ITEM_COLUMNS, RELATED_COLUMNS])
def test_every_column_has_a_one_line_description(columns: tuple[Column, ...]) -> None:
    for column in columns:
        assert column.description
        assert "\n" not in column.description


def test_the_tables_have_the_columns_in_their_order_even_without_documents() -> None:
    batch = normalize([])
    for frame, columns, computed in [
        (batch.invoices, INVOICE_COLUMNS, list(ABOUT_INVOICES)),
        (batch.items, ITEM_COLUMNS, []),
        (batch.related, RELATED_COLUMNS, []),
    ]:
        assert list(frame.columns) == [column.name for column in columns] + computed
        assert frame.empty
