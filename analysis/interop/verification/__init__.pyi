from .reading_back import RoundTrip, round_trip
from .records import Check, Confirmation, Verification
from .registry import VERIFIERS
from .running import verifiers_of, verify
from .verifier import Verifier

__all__ = [
    "Check",
    "Confirmation",
    "RoundTrip",
    "VERIFIERS",
    "Verification",
    "Verifier",
    "round_trip",
    "verifiers_of",
    "verify",
]
