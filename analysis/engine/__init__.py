"""The incremental engine: a captured graph compiled to steps that can be run in part."""
