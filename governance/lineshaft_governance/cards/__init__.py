"""Model cards: what an auditor reads of a version, drawn from the records alone."""
