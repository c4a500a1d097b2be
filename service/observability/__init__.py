"""What the service tells about itself: metrics, logs and the events that rooms report. Never patient data."""
