"""How work resumes: loops, retries, rates, stops, progress."""
