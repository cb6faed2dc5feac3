"""Where a recipe comes from: a file, a bundled name, or a mapping; its text, its tree, and the places in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadRecipe, InputMissing, did_you_mean, listed
from . import yaml12

PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """A recipe as given. `text` is it byte for byte; `above` what goes before it, the command line or an argument of
    Python; origins: {dotted key: "recipe" or `above`}.
    """

    name: str
    text: bytes
    document: yaml12.Document
    folder: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    above: str = "command line"

    def origin(self, key: str) -> str:
        return self.origins.get(key, "default")

    def place_of(self, path: yaml12.Path, *, of_value: bool = False) -> str:
        """Where the key at `path` stands, or its value: `above` or file:line:column (the file's name alone
        where neither the key nor a block around it is in the file)."""
        parts = list(map(str, path))
        heads = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        for key, origin in self.origins.items():
            if origin == self.above and (key in heads or key.startswith(f"{heads[-1]}.")):
                return self.above
        keys, values = self.document.keys, self.document.values
        for end in range(len(path), 0, -1):
            place = values.get(path[:end]) if of_value else keys.get(path[:end]) or values.get(path[:end])
            if place:
                return f"{self.name}:{place[0]}:{place[1]}"
        return self.name


def recipe_folder() -> Path:
    """The bundled recipes: inside the package where it is installed, beside it in a checkout."""
    installed = PACKAGE / "recipes"
    return installed if installed.is_dir() else PACKAGE.parent / "recipes"


def bundled() -> dict[str, Path]:
    """{name: file} of the bundled recipes."""
    return {f.stem: f for f in sorted(recipe_folder().glob("*.yaml"))}


def find(path_or_name: str | Path) -> Path:
    """The file of a recipe: a path, else a bundled name, with or without .yaml. Raises InputMissing."""
    path = Path(path_or_name)
    if path.exists() and not path.is_dir():
        return path
    known = bundled()
    name = str(path_or_name).removesuffix(".yaml")
    if name in known:
        return known[name]
    close = did_you_mean(name, known)
    raise InputMissing(
        f'recipe "{path_or_name}": no such file and no bundled recipe{close}; bundled are {listed(known, len(known))}'
    )


def read(recipe: str | Path | Mapping[str, Any]) -> Source:
    """Read and parse a recipe. Raises InputMissing (66), BadRecipe (78)."""
    if isinstance(recipe, Mapping):
        return Source("recipe", yaml12.block(recipe).encode(), yaml12.Document(dict(recipe)))
    path = find(recipe)
    # of an endless file only as much as shows that it is too large
    data = _bytes(path, 4 * yaml12.LARGEST_DOCUMENT + 1)
    name = str(path)
    document = yaml12.parse(_decoded(data, name), name)
    if not isinstance(document.value, dict):
        raise BadRecipe(
            f"{name}: a recipe is a mapping of keys to values, found {_kind(document.value)}; write model: NAME"
        )
    return Source(name, data, document, path.absolute().parent)


def gene_names(file: Path, place: str) -> list[str]:
    """The names in a file of one per line, for data.genes. `place`: where the file is named."""
    names = [line.strip() for line in _decoded(_bytes(file, before=f"{place}: data.genes: "), str(file)).splitlines()]
    return [name for name in names if name]


def _bytes(path: Path, limit: int = -1, before: str = "") -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise InputMissing(
            f"{before}{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRecipe(f"{name}: not UTF-8 text (byte {error.start}); give a text file") from None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a single value"
