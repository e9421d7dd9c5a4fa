from .asked import Asked
from .command import import_file
from .plan import import_plan
from .result import import_result

__all__ = ["Asked", "import_file", "import_plan", "import_result"]
