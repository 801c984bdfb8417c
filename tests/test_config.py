from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from facefort import config
from facefort.config import option
from facefort.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    weight: float = option("weight", 1.0, low=0)


@dataclass(frozen=True)
class Settings:
    name: str = option("name", "a", choices=("a", "b"))
    eps: tuple[str, ...] = option("budgets", ("1/255",))
    steps: int = option("steps", 20, low=1, high=100)
    inner: Inner = field(default_factory=Inner, metadata={"help": "inner"})


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "steps: 5\neps: [2/255]\ninner: {weight: 2}\n")
    settings = config.load(Settings, file, {"steps": 7})
    assert settings == Settings(eps=("2/255",), steps=7, inner=Inner(2.0))


def test_what_is_not_given_is_recorded_all_the_same() -> None:
    settings = config.validate(Settings, {"steps": 3, "inner": {}})
    assert config.to_plain(settings) == {"name": "a", "eps": ("1/255",), "steps": 3, "inner": {"weight": 1.0}}


def test_settings_survive_yaml(tmp_path: Path) -> None:
    settings = Settings(name="b", steps=3)
    assert config.load(Settings, write(tmp_path / "a.yaml", config.to_yaml(settings))) == settings


def test_include_is_merged_first(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "steps: 5\nname: b\n")
    assert config.load(Settings, write(tmp_path / "a.yaml", "include: base.yaml\nsteps: 6\n")) == Settings("b", steps=6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: 5", "unknown key 'step'; did you mean steps"),
        ("inner: {wight: 1}", "inner: unknown key 'wight'; did you mean weight"),
        ("steps: many", "steps"),
        ("steps: 0", "steps must be at least 1, not 0"),
        ("steps: 101", "at most 100"),
        ("inner: {weight: -1}", "weight must be at least 0"),
        ("name: c", "name cannot be 'c'"),
        ("[1, 2]", "mapping"),
        ("a: [", "not YAML"),
        ("include: a.yaml", "includes itself"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(Settings, write(tmp_path / "a.yaml", text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        config.load(Settings, tmp_path / "none.yaml")


@dataclass(frozen=True)
class Stages:
    stages: tuple[Inner, ...] = field(default=(), metadata={"help": "several tables"})


def test_tables_in_a_list_are_checked_and_completed_too() -> None:
    settings = config.validate(Stages, {"stages": [{}, {"weight": 2}]})
    assert config.to_plain(settings) == {"stages": ({"weight": 1.0}, {"weight": 2.0})}
    with pytest.raises(ConfigError, match="stages: unknown key 'wight'; did you mean weight"):
        config.validate(Stages, {"stages": [{"wight": 2}]})
    with pytest.raises(ConfigError, match="stages: weight must be at least 0, not -1"):
        config.validate(Stages, {"stages": [{"weight": -1}]})
