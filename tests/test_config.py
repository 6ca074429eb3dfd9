"""The schema of `runsync.toml` is valid, describes every key, and takes every example that is shown."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT

from runsync import config
from runsync.errors import WrongUsage
from runsync.model.option import keywords
from runsync.promotion.options import PromoteOptions

SHOWN = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")]


def sections() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, told in config.schema()["properties"].items():
        yield name, told["additionalProperties"]


def test_the_schema_is_valid_and_every_key_is_described() -> None:
    jsonschema.Draft202012Validator.check_schema(config.schema())
    for name, section in sections():
        assert section["additionalProperties"] is False
        for key, rules in section["properties"].items():
            assert rules["description"], (name, key)
            for example in rules.get("examples", ()):
                jsonschema.validate(example, rules)


def test_every_configuration_that_is_shown_is_valid(tmp_path: Path) -> None:
    blocks = [text for file in SHOWN for text in re.findall(r"(?ms)^```toml\n(.*?)^```", file.read_text("utf-8"))]
    texts = [text for text in blocks if re.search(r"(?m)^\[(workspaces|bundles|pairs|promotions)\.", text)]
    texts += [config.__doc__.partition("\n\n")[2] if config.__doc__ else ""]
    texts += [file.read_text("utf-8") for file in (ROOT / "examples").rglob("runsync.toml")]
    assert len(texts) > 4
    for text in texts:
        document = tomllib.loads(text)
        jsonschema.validate(document, config.schema())
        assert document.keys() <= config.schema()["properties"].keys()


def test_a_promotion_has_the_options_of_the_verb() -> None:
    (section,) = [section for name, section in sections() if name == "promotions"]
    known = {each.name for each in keywords(PromoteOptions)}
    assert section["properties"].keys() - {"source", "targets"} <= known


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[workspaces.a]\nuri = "x"\ntoken = 1234567', "[workspaces.a] token is a text: put it in quotes"),
        ('[workspaces.a]\nuri = "x"\npasword = "y"', "has an unknown key “pasword”: did you mean “password”?"),
        ('[promotions.a]\nsource = "x"\ntargets = []', "[promotions.a] has no targets"),
        ('[pairs.a]\nsource = "x"', "[pairs.a] has no accept"),
        ('[bundles.a]\nuri = "x"\nsse = true', "[bundles.a] sse is a text: put it in quotes"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "runsync.toml"
    file.write_text(text)
    with pytest.raises(WrongUsage) as caught:
        config.accepted("a", "b", str(file)) or config.promotions(str(file))
    assert told in str(caught.value)
    assert "1234567" not in str(caught.value)
