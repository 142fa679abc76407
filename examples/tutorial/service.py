"""Stand for a service on the network: it is slow, and it writes down every request."""

import time


def fetch(paper: str) -> str:
    with open("requests.log", "a") as log:
        log.write(f"{paper}\n")
    time.sleep(0.03)
    return f"The text of {paper}."
