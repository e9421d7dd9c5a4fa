"""Load the data set that an address names."""

from __future__ import annotations

from analysis.subjects.address import Address
from analysis.subjects.allowed_paths import Roots
from analysis.subjects.data.datasets import LoadedData
from analysis.subjects.schemes import DATA_SCHEMES
from pruners.errors import AddressError


def load_data(address: Address, *, roots: Roots = None) -> LoadedData:
    """Open a data set.

    Args:
        address: Parsed data address.
        roots: Allowed folders; None allows everything.

    Raises:
        AddressError: What the address names is missing, raises, or is not a data set.
    """
    data = DATA_SCHEMES.get(address.scheme).open(address, roots)
    if len(data.evaluation) == 0:
        raise AddressError(f"{address.text!r}: the data set is empty")
    return data
