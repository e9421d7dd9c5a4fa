"""``python -m analysis.recovery.training.several FOLDER RANK`` follows a training process."""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.recovery.training.several.follower import follow

if __name__ == "__main__":
    sys.exit(follow(Path(sys.argv[1]), int(sys.argv[2])))
