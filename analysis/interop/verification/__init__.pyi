from .reading_back import Check, RoundTrip, round_trip

__all__ = ["Check", "RoundTrip", "round_trip"]
