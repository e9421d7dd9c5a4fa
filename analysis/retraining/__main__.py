"""``python -m analysis.retraining JOB --workspace DIR`` works on one job of a workspace.

Killed at any moment, it loses what was trained since the last checkpoint: the same job started
again goes on.
"""

from __future__ import annotations

import sys

from analysis.jobs import work
from analysis.retraining.jobs import MODULE, Jobs
from analysis.retraining.steps import iter_job
from pruners.user_code import leave

if __name__ == "__main__":
    sys.exit(leave(work(MODULE, Jobs, iter_job)))
