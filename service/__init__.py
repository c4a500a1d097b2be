"""The gateway: from a study to masks that say where and why they may be wrong."""
