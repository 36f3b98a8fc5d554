"""What to say about companies that are out, once, and where to send it, until it has arrived."""
