"""Governance: checkpoints, drift, ownership, lineage and the admin page. Stands on the platform, through arguments."""
