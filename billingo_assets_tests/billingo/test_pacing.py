from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.billingo.pacing import WINDOW_SECONDS, Pacer
from billingo_assets.sandbox import SandboxServer


def passes(pacer: Pacer, *moments: float) -> list[float]:
    """When those who ask at `moments` may pass."""
    return [moment + pacer.reserve(moment) for moment in moments]


asking = st.lists(st.integers(0, 90), max_size=60).map(lambda pauses: [float(at) for at in accumulate(pauses)])


@given(limit=st.integers(1, 7), moments=asking)
def test_no_window_of_a_minute_holds_more_than_the_limit(limit: int, moments: list[float]) -> None:
    places = passes(Pacer(limit), *moments)
    assert all(later - earlier >= WINDOW_SECONDS for earlier, later in zip(places, places[limit:], strict=False))


@given(limit=st.integers(1, 7), moments=asking)
def test_nobody_waits_longer_than_the_limit_needs(limit: int, moments: list[float]) -> None:
    places = passes(Pacer(limit), *moments)
    for number, (moment, place) in enumerate(zip(moments, places, strict=True)):
        free = places[number - limit] + WINDOW_SECONDS if number >= limit else 0.0
        assert place == max(moment, free)


@given(limit=st.integers(1, 7), moments=asking)
def test_nobody_overtakes(limit: int, moments: list[float]) -> None:
    assert all(earlier <= later for earlier, later in pairwise(passes(Pacer(limit), *moments)))


def test_a_burst_up_to_the_limit_passes_at_once_and_the_rest_a_minute_later() -> None:
    assert passes(Pacer(3), *[100.0] * 7) == [100, 100, 100, 160, 160, 160, 220]


def test_a_limit_of_zero_lets_everything_pass() -> None:
    assert passes(Pacer(0), *[100.0] * 1000) == [100.0] * 1000


@pytest.mark.parametrize("limit", [0, 300])
def test_nobody_passes_while_all_are_held(limit: int) -> None:
    pacer = Pacer(limit)
    pacer.hold(30)
    assert 25 < pacer.reserve() <= 30


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    pacer = Pacer(0)
    pacer.hold(30)
    pacer.hold(1)
    assert 25 < pacer.reserve() <= 30


def test_threads_share_one_limit() -> None:
    pacer = Pacer(50)
    with ThreadPoolExecutor(8) as threads:
        waits = sorted(threads.map(lambda _: pacer.reserve(0.0), range(200)))
    assert waits == [0.0] * 50 + [60.0] * 50 + [120.0] * 50 + [180.0] * 50


@pytest.mark.parametrize("limit", [1, 300])
def test_without_a_moment_told_it_is_now(limit: int) -> None:
    pacer = Pacer(limit)
    waits = [pacer.reserve() for _ in range(limit + 1)]
    assert waits[:-1] == [0.0] * limit
    assert WINDOW_SECONDS - 5 < waits[-1] <= WINDOW_SECONDS


def test_clients_of_one_key_share_its_pacer_and_those_of_another_do_not(sandbox: SandboxServer) -> None:
    def seconds_until_allowed(key: str) -> float:
        limits = Limits(requests_per_minute=1)
        with BillingoClient(api_url=sandbox.url, api_key=SecretStr(key), limits=limits) as client:
            return client._pacer.reserve()

    assert seconds_until_allowed("one") == 0
    assert seconds_until_allowed("another") == 0
    assert seconds_until_allowed("one") > WINDOW_SECONDS - 5
