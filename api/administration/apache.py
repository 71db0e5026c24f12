"""How near Apache is to its limit: a wallbox holds a worker while it is connected. Asks the status page only."""

import http.client
import re
from typing import Final

from api.administration.verdicts import Finding, broken, doubtful, healthy

STATUS_PORT: Final = 8081
"""As in apache/conf/operations.conf; inside only."""
TIMEOUT_S: Final = 5.0
FULL_SOON: Final = 0.8
RAISE: Final = "raise APACHE_MAX_CONNECTIONS and APACHE_MEMORY (docs/production.md); beyond it new wallboxes hang"


def examine_apache(host: str, port: int = STATUS_PORT) -> Finding:
    """Workers that are taken, by wallboxes or requests, of those that there may be."""
    try:
        busy, most = _ask(host, port)
    except (OSError, http.client.HTTPException, ValueError) as error:
        advice = "is this the Apache of this installation, and of this release?"
        return doubtful("Apache", f"does not say how busy it is: {error}", advice)
    found = f"{busy} of {most} connections taken"
    if busy >= most:
        return broken("Apache", found, RAISE)
    return doubtful("Apache", found, RAISE) if busy > FULL_SOON * most else healthy("Apache", found)


def _ask(host: str, port: int) -> tuple[int, int]:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/?auto")
        answer = connection.getresponse()
        most = answer.getheader("X-Max-Request-Workers", "")
        busy = re.search(r"(?m)^BusyWorkers: (\d+)$", answer.read().decode(errors="replace"))
    finally:
        connection.close()
    if answer.status != http.client.OK or busy is None or not most.isdecimal():
        raise ValueError(f"{answer.status} from {host}:{port}")
    return int(busy[1]), int(most)
