"""Every setting is documented in docs/settings.md with the default that it has, and a test sets it."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic_settings import BaseSettings

from dashboard.settings import DashboardSettings
from model_training.settings import TrainingSettings
from worker.settings import Settings

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = (CHECKOUT / "docs" / "settings.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(THORAQ_[A-Z_]+)` \|(.*?)\|(.*?)\|(.+)\|$", re.MULTILINE)
#: Words in a setting's name that are units, and what the page calls them.
UNITS = {"seconds": "seconds", "hours": "hours", "bytes": "bytes", "pixels": "pixels", "epochs": "epochs"}
#: Read by the tests or by a command's option, not by a settings class.
OTHERS = re.compile(r"THORAQ_(TEST|BENCH)_")


class Row(NamedTuple):
    """A line of the page."""

    default: str
    unit: str
    meaning: str


def fields():
    """Return environment variable -> (settings class, field's name)."""
    found = {}
    for settings in (DashboardSettings, TrainingSettings, Settings):
        for name, field in settings.model_fields.items():
            variable = field.validation_alias or f"{settings.model_config['env_prefix']}{name}".upper()
            found[str(variable)] = (settings, name)
    return found


FIELDS = fields()
ROWS = {variable: Row(*map(str.strip, cells)) for variable, *cells in ROW.findall(PAGE)}


def read(settings: type[BaseSettings], name: str):
    """Return a setting as the environment has it."""
    return getattr(settings(_env_file=None), name)


def test_the_page_has_each_setting_once_and_nothing_else():
    """Every setting is documented, and no other."""
    assert set(FIELDS) == set(ROWS)
    assert len(ROWS) == len(ROW.findall(PAGE))


@pytest.mark.parametrize("variable", sorted(FIELDS))
def test_the_documented_default_is_the_default(variable, monkeypatch):
    """Setting the variable to its documented default changes nothing."""
    settings, name = FIELDS[variable]
    field, documented = settings.model_fields[name], ROWS[variable].default
    if documented.startswith("computed: "):
        assert field.default_factory is not None
        return
    if documented == "none":
        assert field.get_default(call_default_factory=True) is None
        return
    default = field.get_default(call_default_factory=True)
    assert re.fullmatch(r"`[^`]+`", documented)
    monkeypatch.setenv(variable, documented.strip("`"))

    assert default == read(settings, name)


@pytest.mark.parametrize("variable", sorted(FIELDS))
def test_a_unit_in_a_name_is_the_documented_one(variable):
    """`_SECONDS` are seconds."""
    word = variable.rsplit("_", 1)[1].lower()

    assert UNITS.get(word, ROWS[variable].unit) == ROWS[variable].unit


@pytest.mark.parametrize("variable", sorted(FIELDS))
def test_a_test_sets_it(variable):
    """Its effect is tested under the name that operators use."""
    tests = [path for path in (CHECKOUT / "tests").rglob("*.py") if "architecture" not in path.parts]
    # A test's own function may set variables by their names without the prefix.
    short = variable.removeprefix(FIELDS[variable][0].model_config["env_prefix"])
    pattern = re.compile(rf'\b{variable}\b|"{short}"|\b{short}=')

    assert any(pattern.search(path.read_text(encoding="utf-8")) for path in tests)


def test_no_page_names_a_setting_that_does_not_exist():
    """Other pages than docs/settings.md are checked, too."""
    pages = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]
    named = {
        (path.name, name)
        for path in pages
        if path.name != "CHANGELOG.md"
        for name in re.findall(r"THORAQ_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))
        if not OTHERS.match(name)
    }

    assert [] == sorted((page, name) for page, name in named if name not in FIELDS)
