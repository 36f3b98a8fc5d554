"""Reports problems of companies once, and once that they are over, and sends each message until it arrives."""
