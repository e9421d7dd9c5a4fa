from .connection import FILE, Database
from .migrations import MIGRATIONS, migrate
from .store import Store
from .workspace import folder_in

__all__ = [
    "Database",
    "FILE",
    "MIGRATIONS",
    "Store",
    "folder_in",
    "migrate",
]
