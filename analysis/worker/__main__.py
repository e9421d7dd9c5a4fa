"""``python -m analysis.worker RUN --workspace DIR`` measures one run of a workspace."""

from __future__ import annotations

import sys

from analysis.worker.run import main
from pruners.user_code import leave

if __name__ == "__main__":
    sys.exit(leave(main()))
