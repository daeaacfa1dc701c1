"""Every word on a page exists in French, and the compiled catalogue is the one that was written."""

import ast
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.test import Client
from django.utils.translation import trim_whitespace

from conftest import World

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "locale/fr/LC_MESSAGES/django.po"
MARKERS = {"_", "gettext", "gettext_lazy", "ngettext", "pgettext_lazy"}
CREDITS = re.compile(r"(%\(\w+\)s|\{\w+\}|\{\{ \w+ \}\}) (more )?credits\b")


def words_of_templates() -> Iterator[str]:
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        yield from (quoted[1] for quoted in re.findall(r"{% translate (['\"])(.*?)\1", text))
        blocks = re.findall(r"{% blocktranslate([^%]*)%}(.*?){% endblocktranslate %}", text, re.DOTALL)
        singulars = ((tag, block.partition("{% plural %}")[0]) for tag, block in blocks)
        words = (trim_whitespace(block) if "trimmed" in tag else block for tag, block in singulars)
        yield from (re.sub(r"{{ *(\w+) *}}", r"%(\1)s", block) for block in words)


def calls_of_code() -> Iterator[ast.Call]:
    """Yield the calls that translate a text."""
    for package in ("accounts", "jobs", "pixian_web"):
        for path in (ROOT / package).rglob("*.py"):
            if {"tests", "migrations"} & set(path.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
                    yield node


def words_of_code() -> Iterator[str]:
    for call in calls_of_code():
        last = call.args[1 if marker(call) == "ngettext" else -1]
        assert isinstance(last, ast.Constant), ast.unparse(call)
        yield str(last.value)


def marker(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def words_without_plural() -> Iterator[str]:
    """Yield the texts that are the same for any number; a script's text has a form of each, by its name."""
    yield from (
        str(call.args[-1].value)
        for call in calls_of_code()
        if marker(call) != "ngettext" and isinstance(call.args[-1], ast.Constant)
    )
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        named = re.findall(r"([\w-]*)(?:=\")?{% translate (['\"])(.*?)\2", text)
        yield from (words for name, _quote, words in named if not name.endswith(("-one", "-other")))
        blocks = re.findall(r"{% blocktranslate([^%]*)%}(.*?){% endblocktranslate %}", text, re.DOTALL)
        yield from (words for tag, words in blocks if "count" not in tag.split())


def texts(one_or_plurals: str | Sequence[str] | None) -> list[str]:
    return [one_or_plurals] if isinstance(one_or_plurals, str) else list(one_or_plurals or [])


@pytest.mark.house
def test_every_word_is_translated() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()))
    done = [message for message in catalogue if message.string and not message.fuzzy]
    translated = {text for message in done for text in texts(message.id) if all(texts(message.string))}
    assert sorted({*words_of_templates(), *words_of_code()} - translated) == []


@pytest.mark.house
def test_no_page_says_1_credits() -> None:
    assert [words for words in words_without_plural() if CREDITS.search(words)] == []


@pytest.mark.house
def test_the_compiled_catalogue_is_current() -> None:
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(CATALOGUE.read_bytes())))
    assert CATALOGUE.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run make messages"


def test_a_page_speaks_french(client: Client, world: World) -> None:
    client.force_login(world.alice)
    page = client.get("/t/aurora/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="fr">' in page
    assert "Déposez n’importe où des images" in page
    assert "crédits disponibles" in page
