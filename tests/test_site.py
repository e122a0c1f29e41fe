"""The documentation site: nothing missing, nothing broken, nothing fetched from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from optgen.build import source
from optgen.errors import UsageError
from optgen.files import module_of

ROOT = Path(__file__).parents[1]
SHOWN = ("sgd", "adam", "adamw")
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "image": "href",
    "use": "href",
}
"""Attributes by which a page has something fetched when it is looked at."""


class Page(HTMLParser):
    """What a page links to, has fetched and can be linked to, and its words."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors, self.words = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.fetched.append(given[FETCHED[tag]])

    def handle_data(self, data):
        self.words += data.split()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site with a few optimizers, built: its pages by path."""
    for needed in ("mkdocs", "mkdocstrings", "material", "latex2mathml", "matplotlib"):
        pytest.importorskip(needed, reason=f"the site takes {needed}: pip install 'optgen[docs]'")
    out = tmp_path_factory.mktemp("site")
    _step_with(*import_module("website.gallery").rules("optimizer")["adamw"])
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    for command in (
        [str(ROOT / "docs" / "write_site.py"), str(out), *SHOWN],
        ["-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(out / "mkdocs.yml")],
    ):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    html = out / "html"
    return html, {path: Page(path.read_text(encoding="utf-8")) for path in sorted(html.rglob("*.html"))}


def _step_with(spec_file, choice):
    """Have the machine code of an optimizer on disk, where it is once somebody has made the site."""
    rule = spec_file.rule(choice.name)
    module = module_of(choice.name, source(spec_file.file, rule, "cpu"))
    getattr(module, rule.title)([np.ones(8, np.float32)]).step([np.ones(8, np.float32)])


def test_every_link_leads_somewhere(site):
    html, pages = site
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # whose links are those of a server
            continue
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = target.is_file() and target.is_relative_to(html.resolve())
            if not there or (parts.fragment and target in pages and not _has(pages[target], parts.fragment)):
                broken.append(f"{path.relative_to(html)}: {link}")
    assert broken == []


def _has(page, fragment):
    return unquote(fragment) in page.anchors or fragment.startswith("__")  # what Material's own scripts make


def test_nothing_is_fetched_from_elsewhere(site):
    html, pages = site
    fetched = [f"{path.name}: {link}" for path, page in pages.items() for link in page.fetched if _is_elsewhere(link)]
    for path in html.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", path.read_text(encoding="utf-8"))
        fetched += [f"{path.name}: {link}" for link in found]
    assert fetched == []


def _is_elsewhere(link):
    return bool(urlsplit(link).netloc)


def test_no_page_is_empty(site):
    html, pages = site
    sizes = {str(path.relative_to(html)): len(page.words) for path, page in pages.items() if path.name != "404.html"}
    assert {name: words for name, words in sizes.items() if words < 100} == {}
    assert {f"gallery/{name}.html" for name in SHOWN} <= sizes.keys()


def test_every_optimizer_has_its_page():
    gallery, paths = (import_module(f"website.{name}") for name in ("gallery", "paths"))
    rules = gallery.rules("optimizer")
    pages = dict(gallery.gallery(ROOT, rules, dict.fromkeys(rules, paths.Drawn("", "No picture: nobody drew one."))))
    names = {path.stem for path in (ROOT / "generated" / "cpu").glob("*.py")} - {"__init__"}
    assert pages.keys() == {f"gallery/{name}.md" for name in ("index", *names)}
    for name in names:
        page = pages[f"gallery/{name}.md"]
        assert all(f"\n## {part}" in page for part in ("Cost", "Certificate", "Generated modules")), name
        assert "<math display=" in page, name


def test_every_page_is_in_the_navigation():
    navigation = import_module("website.navigation")
    written = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert "performance.md" in written
    navigation.navigation(written, {}, {})
    with pytest.raises(UsageError, match=r"new\.md: in no group"):
        navigation.navigation([*written, "new.md"], {}, {})


def test_the_playground_has_every_optimizer_and_pages_lead_there(site):
    html, pages = site
    rules = (html / "playground" / "rules.js").read_text(encoding="utf-8")
    for name in SHOWN:
        assert f"optgen.rules.{name} = {{" in rules
        assert f"../playground.html#{name}" in pages[html / "gallery" / f"{name}.html"].links
