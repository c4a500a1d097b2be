"""The demonstration: a client from outside that sends a study over HTTP and checks the answer against the truth."""
