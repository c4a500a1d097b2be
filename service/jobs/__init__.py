"""Work that outlives a request: states, queue, cancellation, retention."""
