"""How many requests an engine has, by its own count."""

import http.client
import re

METRICS_BYTES_MAX = 4 * 1024 * 1024
TIMEOUT_S = 1.5
# vLLM has one of each for every data-parallel rank.
GAUGE = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? ([0-9.eE+]+)$", re.MULTILINE)


def requests_in(host: str, port: int) -> int | None:
    """Running and waiting requests; None when the engine does not tell."""
    counts = [float(count) for count in GAUGE.findall(metrics_of(host, port) or "")]
    return round(sum(counts)) if counts else None


def metrics_of(host: str, port: int) -> str | None:
    """None when they cannot be had now."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read(METRICS_BYTES_MAX).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return text if response.status == 200 else None
