"""Documents and bodies at random, through everything between the socket and the tables. More with `make fuzz`."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from billingo_assets_tests.fuzz.conftest import Fuzz
from billingo_assets_tests.normalize.test_any_document import FIELDS
from billingo_assets_tests.support.fuzz_mutations import VALUES, mutated_body, mutated_document
from billingo_assets_tests.support.fuzz_properties import check_body, check_document, check_packed

SEED = st.integers(0, 2**64)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=15,
)


def test_a_mutation_of_a_sound_document_is_stored_exactly_or_rejected(fuzz: Fuzz) -> None:
    @given(SEED)
    def check(seed: int) -> None:
        document = mutated_document(seed)
        check_document(document)
        check_body(b'{"data":[%b],"total":1,"last_page":1}' % document)

    fuzz("mutated documents", check, inputs=300, share=0.5)


def test_any_json_is_stored_exactly_or_rejected(fuzz: Fuzz) -> None:
    @given(ANY)
    @example({"id": 7, "gross_total": float("inf")})
    def check(value: object) -> None:
        check_document(json.dumps({"id": 7} | value if isinstance(value, dict) else value).encode())

    fuzz("any JSON", check, inputs=200, share=0.1)


def test_any_value_in_any_field_is_stored_exactly_or_rejected(fuzz: Fuzz) -> None:
    @given(st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)), max_size=5))
    def check(members: list[tuple[str, str]]) -> None:
        flat = ",".join(f'"{name}":{value}' for name, value in members)
        check_document(f'{{"id":7,{flat}{"," if flat else ""}"items":[{{{flat}}}],"summary":{{{flat}}}}}'.encode())

    fuzz("any value in any field", check, inputs=200, share=0.1)


def test_any_mutation_of_a_body_is_a_page_or_an_error_of_ours(fuzz: Fuzz) -> None:
    @given(SEED)
    def check(seed: int) -> None:
        check_body(mutated_body(seed))

    fuzz("mutated bodies", check, inputs=300, share=0.2)


def test_any_mutation_of_a_packed_body_is_told_or_bounded(fuzz: Fuzz) -> None:
    @given(SEED)
    def check(seed: int) -> None:
        check_packed(mutated_body(seed), seed)

    fuzz("mutated gzip", check, inputs=100, share=0.1)


def test_any_bytes_are_a_page_or_an_error_of_ours(fuzz: Fuzz) -> None:
    @given(st.binary(max_size=200))
    @example(b'{"data":["\\ud800"],"total":1,"last_page":1e400}')
    def check(body: bytes) -> None:
        check_body(body)
        check_document(body)

    fuzz("any bytes", check, inputs=100, share=0.05)
