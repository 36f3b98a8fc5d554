"""Reports each problem of a company once, and its end once, and sends each message until it arrives."""
