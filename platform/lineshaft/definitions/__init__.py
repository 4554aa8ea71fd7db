"""What teams declare: read from plain Feast objects, checked, compared. Nothing here is imported by a server."""
