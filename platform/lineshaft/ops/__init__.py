"""What the platform does: ingest, materialize, training sets, rebuild, verify. Stores and jobs are handed in."""
