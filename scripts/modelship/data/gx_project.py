"""A Great Expectations project on disk: which of its suites a checkpoint checks.

The project's files are read, not its data sources: what is checked is always `data.reference` and `data.current`. Actions of a
checkpoint (mails, Data Docs, code of the team's own) are not run either, and neither are plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modelship.core.documents import Document, read_document
from modelship.core.errors import bad_input, did_you_mean

SETTINGS = "great_expectations.yml"
FOLDERS = ("gx", "great_expectations")
"""What Great Expectations calls a project's folder, now and before its version 1."""

_ON_DISK = "TupleFilesystemStoreBackend"


class _Store(NamedTuple):
    """One kind of thing that a project keeps: its settings' name, what a person calls it, and its folder by default."""

    key: str
    thing: str
    folder: str


_SUITES = _Store("expectations_store_name", "suite", "expectations/")
_CHECKPOINTS = _Store("checkpoint_store_name", "checkpoint", "checkpoints/")
_DEFINITIONS = _Store("validation_definition_store_name", "validation definition", "validation_definitions/")


def suites(folder: Path, name: str, checkpoint: str | None) -> list[tuple[Path, str]]:
    """The suites to check, each as a file and what messages call it, in the checkpoint's order.

    Those of the checkpoint so named; without a name those of the only one, or the only suite of a project without checkpoints.
    Raises BadInput for a project that does not say which, or that is not kept in files.
    """
    project = _Project.find(folder, name)
    known = project.names(_CHECKPOINTS)
    if checkpoint is None and not known:
        return [project.file(_SUITES, _only_suite(project))]
    if checkpoint is None and len(known) > 1:
        raise bad_input(
            f"has {len(known)} checkpoints.", f"Say which with `data.checkpoint`: {_listed(known)}.", path=project.settings.name
        )
    return _of_checkpoint(project, checkpoint if checkpoint is not None else known[0])


def _only_suite(project: _Project) -> str:
    known = project.names(_SUITES)
    if len(known) == 1:
        return known[0]
    remedy = (
        "Make a checkpoint that says which, or name one suite's file." if known else "Add one, or name a YAML list of expectations."
    )
    raise bad_input(f"has no checkpoint and {len(known) or 'no'} suites.", remedy, path=project.settings.name)


def _of_checkpoint(project: _Project, checkpoint: str) -> list[tuple[Path, str]]:
    document = project.read(_CHECKPOINTS, checkpoint)
    definitions = [project.read(_DEFINITIONS, item) for item in _names(document, "validation_definitions")]
    if not definitions:
        raise bad_input("has no validation definition, so it checks nothing.", path=document.name)
    assets = dict.fromkeys(_text(definition, "data", "asset", "name") for definition in definitions)
    if len(assets) > 1:
        raise bad_input(
            f"is about {len(assets)} data assets ({_listed(assets)}), and every suite would be checked on each of your tables.",
            "Make a checkpoint that is about the data that the model learns from, and name it in `data.checkpoint`.",
            path=document.name,
        )
    return [project.file(_SUITES, suite) for suite in dict.fromkeys(_text(definition, "suite", "name") for definition in definitions)]


class _Project(NamedTuple):
    folder: Path
    settings: Document

    @classmethod
    def find(cls, folder: Path, name: str) -> _Project:
        """The project in the folder, or in one of the folders below it that Great Expectations makes."""
        for place in ("", *FOLDERS):
            if (folder / place / SETTINGS).is_file():
                document = read_document(folder / place / SETTINGS, "/".join(filter(None, (name, place, SETTINGS))))
                if not isinstance(document.data, dict):
                    raise bad_input("is not a mapping of keys.", path=document.name, line=1)
                return cls(folder / place, document)
        raise bad_input(
            "is a folder without a Great Expectations project.",
            f"Name one that holds {SETTINGS}, a YAML list of expectations, or a suite's JSON file.",
            path=name,
        )

    def store(self, store: _Store) -> Path:
        """The folder of one kind of thing."""
        settings = self.settings.data
        stores = settings.get("stores")
        entry = stores.get(settings.get(store.key)) if isinstance(stores, Mapping) else None
        backend = entry.get("store_backend") if isinstance(entry, Mapping) else None
        backend = backend if isinstance(backend, Mapping) else {}
        kind = backend.get("class_name", _ON_DISK)
        if kind != _ON_DISK:
            raise bad_input(
                f"keeps each {store.thing} in a `{kind}`, which is not read.", "Keep them in files beside it.", path=self.settings.name
            )
        return self.folder / str(backend.get("base_directory", store.folder))

    def names(self, store: _Store) -> list[str]:
        """What there is of one kind, by name."""
        folder = self.store(store)
        found = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.json") if not path.name.startswith(".")]
        return sorted(".".join(path.parts) for path in found)

    def file(self, store: _Store, name: str) -> tuple[Path, str]:
        """The file of one thing and what messages call it. Of the dots in a suite's name Great Expectations makes folders."""
        folder = self.store(store)
        for stem in (name, name.strip(".").replace(".", "/")):
            path = folder / f"{stem}.json"
            # What is outside of the project is in nobody's sight when a pull request changes it.
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise bad_input(f"keeps the {store.thing} `{name}` outside of its folder.", "Move it there.", path=self.settings.name)
            if path.is_file():
                return path, f"{self.settings.name.removesuffix(SETTINGS)}{path.relative_to(self.folder).as_posix()}"
        raise bad_input(f"has no {store.thing} `{name}`.", did_you_mean(name, self.names(store)), path=self.settings.name)

    def read(self, store: _Store, name: str) -> Document:
        """One thing's document. Raises BadInput where it is not there or no mapping."""
        document = read_document(*self.file(store, name))
        if not isinstance(document.data, dict):
            raise bad_input("is not a mapping of keys.", path=document.name, line=1)
        return document


def _names(document: Document, key: str) -> list[str]:
    items = document.data.get(key)
    names = [item.get("name") if isinstance(item, dict) else None for item in items] if isinstance(items, list) else []
    if not all(isinstance(name, str) and name for name in names):
        raise bad_input(f"has an entry in `{key}` without a name.", path=document.name)
    return [str(name) for name in names]


def _text(document: Document, *keys: str) -> str:
    value: Any = document.data
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise bad_input(f"does not say `{'.'.join(keys)}`.", path=document.name)
    return value


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
