"""The admin page: read-only, rendered on the server, nothing loaded from elsewhere."""
