"""``python -m analysis.shrinking JOB --workspace DIR`` works on one job of a workspace."""

from __future__ import annotations

import sys

from analysis.shrinking.run import main

if __name__ == "__main__":
    sys.exit(main())
