"""What the form holds of an address: its kind and fields, or what somebody typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from analysis.subjects import DATA_SCHEMES, MODEL_SCHEMES, Address, Scheme, parse_data, parse_model
from pruners.errors import AddressError
from pruners.registry import Registry

# Instead of a scheme: no address.
NOTHING = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the addresses of a subject.

    Attributes:
        name: ``model``, ``data`` or ``calibration``.
        schemes: What it may begin with.
        parse: Reads it.
        optional: Whether it may be left out.
        nothing: What it is called then.
        without: What happens then.
    """

    name: str
    schemes: Registry[Scheme[object]]
    parse: Callable[[str], Address]
    optional: bool = False
    nothing: str = ""
    without: str = ""

    @property
    def kinds(self) -> list[str]:
        """The names of the schemes to choose from."""
        return [*self.schemes.names(), *([NOTHING] if self.optional else [])]


MODEL = Part("model", MODEL_SCHEMES, parse_model)  # type: ignore[arg-type]
DATA = Part(
    "data",
    DATA_SCHEMES,  # type: ignore[arg-type]
    parse_data,
    optional=True,
    nothing="No data",
    without="Enough to look at a model: layers, groups and sizes.",
)
CALIBRATION = Part(
    "calibration",
    DATA_SCHEMES,  # type: ignore[arg-type]
    parse_data,
    optional=True,
    nothing="The data's own",
    without="Data that has no calibration set of its own gives up some of those to evaluate.",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An address that is being made.

    Attributes:
        kind: Name of the scheme.
        values: By scheme and field; those of other schemes wait to be chosen again.
        typed: What somebody typed that cannot be read as an address; else empty.
    """

    kind: str
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    typed: str = ""

    @classmethod
    def of(cls, text: str, part: Part) -> Draft:
        """Return the draft that an address stands for."""
        return cls(NOTHING if part.optional else part.kinds[0]).with_text(text, part)

    def with_text(self, text: str, part: Part) -> Draft:
        """Return the draft with another address."""
        if not text.strip() and part.optional:
            return replace(self, kind=NOTHING, typed="")
        try:
            found = part.parse(text)
        except AddressError:
            return replace(self, typed=text.strip())
        others = {key: value for key, value in self.values.items() if key[0] != found.scheme}
        mine = {(found.scheme, name): value for name, value in found.values.items()}
        return Draft(found.scheme, others | mine)

    def with_kind(self, kind: str) -> Draft:
        """Return the draft with another scheme; what its fields have in common is kept."""
        old = {name: value for (scheme, name), value in self.values.items() if scheme == self.kind}
        shared = {
            (kind, name): value for name, value in old.items() if name not in ("name", "factory")
        }
        return replace(self, kind=kind, values=shared | self.values, typed="")

    def with_value(self, name: str, value: str) -> Draft:
        """Return the draft with another value of a field."""
        return replace(self, values=self.values | {(self.kind, name): value}, typed="")

    def value(self, name: str) -> str:
        """Return the value of a field; empty without one."""
        return self.values.get((self.kind, name), "")

    def text(self, part: Part) -> str:
        """Return the address."""
        if self.typed or self.kind == NOTHING:
            return self.typed
        scheme = part.schemes.get(self.kind)
        return scheme.write({item.name: self.value(item.name) for item in scheme.fields})
