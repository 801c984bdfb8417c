from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facefort.errors import UsageError
from facefort.measuring.conditions import parse


@pytest.mark.parametrize(
    ("text", "name", "sign", "number"),
    [
        ("lpips-vgg>0.3", "lpips-vgg", ">", 0.3),
        (" psnr-rgb  <= 24 ", "psnr-rgb", "<=", 24),
        ("deg < 1e1", "deg", "<", 10),
        ("kid>=-.5", "kid", ">=", -0.5),
    ],
)
def test_conditions_are_read(text, name, sign, number):
    condition = parse(text)
    assert (condition.name, condition.sign, condition.number) == (name, sign, number)


@pytest.mark.parametrize(
    "text",
    ["", "lpips", "lpips >", "> 3", "a > b", "a == 3", "a > 3 or 1", "a>nan", "a>inf", "__import__('os') > 1",
     "a > 1e9999999" * 99, "a > 0x10", "a b > 1", "a > 1\nb > 2"],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match="a condition reads like 'lpips-vgg"):
        parse(text)


def test_each_sign_compares_as_it_reads():
    above, below = 2.0, 1.0
    assert [parse(f"m {sign} 1.5").holds(above) for sign in (">", ">=", "<", "<=")] == [True, True, False, False]
    assert [parse(f"m {sign} 1.5").holds(below) for sign in (">", ">=", "<", "<=")] == [False, False, True, True]
    assert [parse(f"m {sign} 1.5").holds(1.5) for sign in (">", ">=", "<", "<=")] == [False, True, False, True]


def test_nothing_holds_of_nan_and_infinity_is_large():
    assert not any(parse(f"m {sign} 0").holds(float("nan")) for sign in (">", ">=", "<", "<="))
    assert parse("m > 1e300").holds(float("inf"))


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([">", ">=", "<", "<="]))
def test_what_is_shown_can_be_read_again(number, sign):
    condition = parse(f"psnr-rgb {sign} {number!r}")
    again = parse(str(condition))
    assert again.sign == sign
    assert again.number == pytest.approx(number, rel=1e-5)
