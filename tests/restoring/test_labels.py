from __future__ import annotations

from pathlib import PurePosixPath as P

from facefort.restoring.labels import Known, Labels, stem

ONE, TWO = "1" * 64, "2" * 64


def test_a_photo_is_called_by_its_file_name() -> None:
    assert Labels().claim(P("photos/old.jpg"), ONE) == "old.jpg"


def test_other_content_of_the_same_name_gets_a_name_of_its_own() -> None:
    labels = Labels()
    assert labels.claim(P("x/old.jpg"), ONE) == "old.jpg"
    assert labels.claim(P("y/old.jpg"), TWO) == "old-22222222.jpg"
    assert labels.claim(P("x/old.jpg"), ONE) == "old.jpg"
    assert labels.claim(P("y/old.jpg"), TWO) == "old-22222222.jpg"


def test_names_that_give_the_same_results_are_told_apart() -> None:
    labels = Labels()
    claimed = [labels.claim(P(name), key) for name, key in (("a.jpg", ONE), ("a.png", TWO), ("A.JPG", "3" * 64))]
    assert len({stem(label).casefold() for label in claimed}) == 3


def test_the_same_in_the_next_session_whatever_the_order() -> None:
    earlier = Labels()
    earlier.add(Known(ONE, "old.jpg", final=True))
    earlier.add(Known(TWO, "old-22222222.jpg", final=True))
    assert earlier.claim(P("y/old.jpg"), TWO) == "old-22222222.jpg"
    assert earlier.claim(P("x/old.jpg"), ONE) == "old.jpg"


def test_a_repaired_file_takes_the_place_of_the_broken_one() -> None:
    labels = Labels()
    labels.add(Known(ONE, "old.jpg", final=False))
    assert labels.claim(P("old.jpg"), TWO) == "old.jpg"
    assert labels.claim(P("elsewhere/old.jpg"), ONE) == "old-11111111.jpg"
