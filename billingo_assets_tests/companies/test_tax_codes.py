from __future__ import annotations

import pytest

from billingo_assets.companies.tax_codes import says_more, taxpayer


@pytest.mark.parametrize(
    "spelling",
    [
        "77345678-2-41",
        "77345678241",
        "77345678-2-25",
        "77345678-1-41",
        "77345678",
        "HU77345678",
        "hu 77345678",
        "HU77345678-2-41",
        " 77345678 2 41 ",
        "77345678\u20132\u201341",
        "77345678/2/41",
    ],
)
def test_a_taxpayer_is_the_first_eight_digits_of_a_hungarian_number(spelling: str) -> None:
    assert taxpayer(spelling) == "77345678"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("77345678-2-41", "77345679-2-41"),
        ("77345678-2-41", "17345678-2-41"),
        ("77345678-2-41", "7734567-82-41"[:-1]),
        ("PL123456789", "PL123456788"),
        ("PL12345678", "HU12345678"),
        ("ATU12345678", "12345678"),
        ("123456789", "123456780"),
        ("12345678-9-41", "12345678-2-41"),
    ],
)
def test_other_numbers_are_compared_as_a_whole(one: str, other: str) -> None:
    assert taxpayer(one) != taxpayer(other)


def test_a_foreign_number_is_the_same_however_it_is_written() -> None:
    assert taxpayer("de 123 456 789") == taxpayer("DE123456789")


@pytest.mark.parametrize(
    ("found", "stored", "more"),
    [
        ("77345678-2-41", "77345678-2-25", True),
        ("77345678-2-41", "HU77345678", True),
        ("77345678241", "77345678-2-41", False),
        ("77345678", "77345678-2-41", False),
        ("HU77345678", "77345678-2-41", False),
    ],
)
def test_a_number_says_more_when_it_has_other_digits_or_more_of_them(found: str, stored: str, more: bool) -> None:
    assert says_more(found, stored) is more
