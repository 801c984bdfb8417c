from __future__ import annotations

import pytest

from facefort.attacks import Budget
from facefort.errors import UsageError


@pytest.mark.parametrize(
    ("text", "epsilon", "shown"),
    [
        ("8/255", 8 / 255, "8/255"),
        (" 16 / 255 ", 16 / 255, "16/255"),
        ("0", 0, "0/255"),
        ("0.03", 0.03, "0.03"),
        (".5", 0.5, "0.5"),
        ("1/8", 0.125, "0.125"),
    ],
)
def test_fractions_and_numbers_are_read_and_shown(text: str, epsilon: float, shown: str) -> None:
    budget = Budget.parse(text)
    assert budget == Budget(epsilon)
    assert str(budget) == shown


def test_whole_levels_are_counted_downwards() -> None:
    assert [Budget(k / 255).levels for k in range(256)] == list(range(256))
    assert Budget(0.03).levels == 7


def test_a_list_keeps_its_order() -> None:
    assert [str(b) for b in Budget.parse_list("4/255, 1/255")] == ["4/255", "1/255"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8", "did you mean 8/255"),
        ("x", "write 8/255 or 0.03"),
        ("-1/255", "write 8/255"),
        ("1/0", "write 8/255"),
        ("", "write 8/255"),
        ("0.5/255", "less than one 8-bit level"),
        ("nan", "write 8/255"),
    ],
)
def test_what_is_no_budget_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Budget.parse(text)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(UsageError):
        Budget(float("nan"))
