"""Turn model and data addresses into models and data sets."""
