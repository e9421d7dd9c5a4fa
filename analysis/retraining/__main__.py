"""``python -m analysis.retraining JOB --workspace DIR`` works on one job of a workspace.

Killed at any moment, it loses what was trained since the last checkpoint: the same job started
again goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from analysis import retraining
from analysis.jobs import Work, work
from analysis.retraining.jobs import MODULE, Jobs
from analysis.retraining.records import Job
from pruners.user_code import leave


def steps(job: Job, given: Work) -> Iterator[Job]:
    """Work on a job; what computes is loaded here, once the job is taken."""
    return retraining.iter_job(job, given)


if __name__ == "__main__":
    sys.exit(leave(work(MODULE, Jobs, steps)))
