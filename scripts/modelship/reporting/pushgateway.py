"""Hand metrics to a Prometheus Pushgateway, each group whole in place of what it said before."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit
from urllib.request import Request

from prometheus_client import push_to_gateway

from modelship.core.delivery import deliver, is_private
from modelship.core.errors import bad_input, infrastructure
from modelship.reporting.openmetrics import Exposition, Group

JOB = "modelship"
USERNAME, PASSWORD, TOKEN = "PUSHGATEWAY_USERNAME", "PUSHGATEWAY_PASSWORD", "PUSHGATEWAY_TOKEN"


def push(address: str, groups: Sequence[Group], environ: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> None:
    """Replace what the gateway at `address` holds of these groups; who asks is said by variables in `environ`.

    Raises BadInput for an address or credentials that cannot be used, InfrastructureError when the gateway does not take them.
    """
    parts = _parsed(address.strip())
    if "@" in parts.netloc:
        raise bad_input("the address of the Pushgateway holds credentials, which logs would show.", f"Set {USERNAME} and {PASSWORD}.")
    credentials = _credentials(environ)
    if credentials and not is_private(parts):
        raise bad_input("credentials for the Pushgateway would cross the network for everybody to read.", "Use `https://`.")

    def handler(url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes) -> Callable[[], None]:
        def send() -> None:
            told = deliver(Request(url, data, {**dict(headers), **credentials}, method=method), sleep)
            if told:
                raise infrastructure(
                    f"the Pushgateway at {parts.hostname} {told}: metrics are not up to date there.", "Is it up, and may we push?"
                )

        return send

    for group in groups:
        push_to_gateway(address.strip(), JOB, Exposition([group]), group.key, handler=handler)


def _parsed(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
        if usable:
            return parts
    except ValueError:  # Brackets or a port that are none.
        pass
    raise bad_input("the Pushgateway is no address as `https://host:9091`.")


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The header that says who asks, if anybody does."""
    username, password, token = (environ.get(name, "") for name in (USERNAME, PASSWORD, TOKEN))
    if token and (username or password):
        raise bad_input(f"{TOKEN} and {USERNAME} are both set.", "Unset what the Pushgateway does not ask for.")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if username or password:
        return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}
    return {}
