"""``python -m analysis.shrinking JOB --workspace DIR`` works on one job of a workspace.

Killed at any moment, it loses at most the plan in flight: the same job started again goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from analysis import shrinking
from analysis.jobs import Work, work
from analysis.shrinking.jobs import MODULE, Jobs
from analysis.shrinking.records import Job
from pruners.user_code import leave


def steps(job: Job, given: Work) -> Iterator[Job]:
    """Work on a job; what computes is loaded here, once the job is taken."""
    cancel, roots = given.cancel, given.roots
    return shrinking.iter_job(job, given.opener, given.store, cancel=cancel, roots=roots)


if __name__ == "__main__":
    sys.exit(leave(work(MODULE, Jobs, steps)))
