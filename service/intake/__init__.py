"""From a caller's words to a job: who may ask, what may be asked and sent, and the order that comes of it."""
