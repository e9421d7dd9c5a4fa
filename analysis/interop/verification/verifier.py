"""What has a library confirm an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A registered verifier: a script that runs in the library's own environment.

    The script is a plain file that imports the library, torch, numpy, safetensors and what was
    exported, and nothing of PruneScope. It has one function, ``check(case)``, which yields the
    comparisons that ``case`` (`harness.Case`) makes. ``NotImplementedError`` with a reason says
    that the library cannot take this model.

    Attributes:
        name: Short name.
        label: The library, for people.
        help: What is compared, one sentence.
        library: Name of the distribution whose version is told.
        packages: What pip installs, pinned to the versions that were tested.
        script: The file.
        file: Which exported file the script reads, where it reads those of several formats.
    """

    name: str
    label: str
    help: str
    library: str
    packages: tuple[str, ...]
    script: Path
    file: str = ""

    @property
    def install(self) -> str:
        """The command that installs the library; empty where PruneScope needs it anyway."""
        if not self.packages:
            return ""
        quoted = (f"'{item}'" if "[" in item else item for item in self.packages)
        return f"pip install {' '.join(quoted)}"
