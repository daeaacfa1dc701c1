import pytest

from pixian.client.backoff import Backoff, linear_wait


@pytest.mark.parametrize(
    ("refusals", "retry_after", "seconds"),
    [(1, None, 5), (2, None, 10), (3, None, 15), (12, None, 60), (1, 30, 30), (3, 2, 15), (1, 86_400, 3600)],
)
def test_the_wait_grows_linearly(refusals: int, retry_after: int | None, seconds: int) -> None:
    assert linear_wait(refusals, retry_after) == seconds


def test_each_thread_counts_for_itself_and_a_success_starts_anew() -> None:
    one, other = Backoff(), Backoff()
    assert [one.refused(), one.refused(), other.refused()] == [5, 10, 5]
    one.served()
    assert [one.refused(), other.refused()] == [5, 10]
