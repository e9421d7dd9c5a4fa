"""Pages of the site that are made when it is built: the Python API, and copies from the root.

The API reference walks the packages and their ``__all__``: a package with one is a page with these
names, a package without one is a page for each of its modules. Nothing is listed by hand.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("analysis", "pruners", "sample_models")
INDEX = "reference/index.md"
FROM_ROOT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the reference into the navigation, one section a top-level package."""
    api: list[Any] = [INDEX]
    for top in PACKAGES:
        paths = [path for path in reference() if path.split(".")[0] == top]
        api.append({top: [{path: page(path)} for path in paths]})
    config.nav = _replaced(config.nav, api)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    made = {page(path): text for path, text in reference().items()}
    made[INDEX] = _index()
    for name, source in FROM_ROOT.items():
        made[name] = _as_docs_page((ROOT / source).read_text("utf-8"))
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def page(path: str) -> str:
    """Return the page of a package or module."""
    return f"reference/{path}.md"


@functools.cache
def modules() -> dict[str, griffe.Module]:
    """Return all public packages and modules by dotted path; read, not imported."""
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    found = {}
    for name in PACKAGES:
        top = loader.load(name)
        assert isinstance(top, griffe.Module)
        found.update({module.path: module for module in _walk(top)})
    return found


@functools.cache
def reference() -> dict[str, str]:
    """Return the text of each page of the reference, by the dotted path that it describes."""
    pages = {}
    for path, module in modules().items():
        names = public_names(module)
        if names is not None:
            pages[path] = _text(path, [(name, _find(module, name)) for name in names])
    return pages


def public_names(module: griffe.Module) -> list[str] | None:
    """Return the names that the page of a module shows; None where it has no page of its own."""
    parent = module.parent
    hides = isinstance(parent, griffe.Module) and parent.exports is not None
    if hides and not module.is_init_module:
        return None  # public are the names that the package exports, not its modules
    if module.exports is not None:
        return [str(name) for name in module.exports]
    if module.is_init_module:
        return []
    return [
        name
        for name, member in module.members.items()
        if not name.startswith("_") and not member.is_alias
    ]


def _walk(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for inner in sorted(module.modules.values(), key=lambda item: item.name):
        if not inner.name.startswith("_") and not inner.is_alias:
            yield from _walk(inner)


def _find(module: griffe.Module, name: str) -> griffe.Object | None:
    """Return what a public name stands for; None where that cannot be read without running."""
    try:
        found = module[name]
        if found.is_module and name in found.members:
            found = found[name]  # a function in a module of its name, which its import hides
        return found.final_target if isinstance(found, griffe.Alias) else found
    except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
        return None


def _text(path: str, members: list[tuple[str, griffe.Object | None]]) -> str:
    """Return a page: what has a docstring, then constants with their values."""
    told = [name for name, item in members if item and item.has_docstring and not item.is_module]
    constants = [
        (name, item)
        for name, item in members
        if name not in told and (item is None or item.is_attribute)
    ]
    hidden = [name for name in told if modules()[path].members[name].is_module]
    listed = [name for name in told if name not in hidden]
    lines = [f"# `{path}`", "", f"::: {path}", "    options:"]
    lines.append("      members:" if listed else "      members: false")
    lines += [f"        - {name}" for name in listed]
    for name in hidden:
        lines += ["", f'<span id="{path}.{name}"></span>', "", f"::: {path}.{name}.{name}"]
        lines += [
            "    options:",
            "      show_root_heading: true",
            "      show_root_toc_entry: true",
        ]
    if constants:
        lines += ["", "## Constants", ""]
        lines += [f"- `{_constant(name, item)}`" for name, item in constants]
    return "\n".join([*lines, ""])


def _constant(name: str, item: griffe.Object | None) -> str:
    value = str(item.value) if isinstance(item, griffe.Attribute) and item.value else ""
    return f"{name} = {value}" if value and len(value) < 60 and "`" not in value else name


def _index() -> str:
    lines = [
        "# Python API",
        "",
        "Made from the docstrings when the site is built. Shapes are those of tensors, `(N, C)`;",
        "drops and ratios are fractions unless a name ends in `pp`; MACs are multiply-adds of one",
        "sample; sizes are bytes; times are seconds. Errors are those of `pruners.errors`.",
        "",
        "| package or module | what is in it |",
        "|---|---|",
    ]
    for path in reference():
        docstring = modules()[path].docstring
        first = docstring.value.partition("\n\n")[0].replace("\n", " ") if docstring else ""
        lines.append(f"| [`{path}`]({path}.md) | {first.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


def _as_docs_page(text: str) -> str:
    """Turn links of a page in the root of the repository into links inside docs/."""
    text = re.sub(r"\]\(docs/", "](", text)
    for name, source in FROM_ROOT.items():
        text = text.replace(f"]({source}", f"]({name}")
    return text


def _replaced(nav: Any, api: list[Any]) -> Any:
    if isinstance(nav, list):
        return [_replaced(item, api) for item in nav]
    if isinstance(nav, dict):
        return {
            title: api if inner == INDEX else _replaced(inner, api) for title, inner in nav.items()
        }
    return nav
