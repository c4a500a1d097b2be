"""What runs beside the gateway, as code."""
