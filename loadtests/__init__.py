"""What the service does under load, measured from outside: ``python -m loadtests`` (``make load``)."""
