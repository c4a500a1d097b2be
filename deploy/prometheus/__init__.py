"""Prometheus: how to scrape, what to alert on, and how to start one for a test or a picture."""
