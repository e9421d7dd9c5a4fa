"""Where the batches of a sweep are measured when it is not this process."""
