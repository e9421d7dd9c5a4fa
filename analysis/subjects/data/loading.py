"""Load the data set that an address names."""

from __future__ import annotations

from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots
from analysis.subjects.data.datasets import LoadedData
from analysis.subjects.schemes import DATA_SCHEMES
from analysis.tasks import CLASSIFICATION, Task
from pruners.errors import AddressError


def load_data(address: Address, *, roots: Roots = None, task: Task = CLASSIFICATION) -> LoadedData:
    """Open a data set.

    Args:
        address: Parsed data address.
        roots: Allowed folders; None allows everything.
        task: Says what targets are.

    Raises:
        AddressError: What the address names is missing, raises, or is not a data set.
    """
    data = DATA_SCHEMES.get(address.scheme).open(address, roots)
    if len(data.evaluation) == 0:
        raise AddressError(f"{address.text!r}: the data set is empty")
    for source in (data.evaluation, data.calibration):
        if source is not None:
            source.read_for(task)
    return data
