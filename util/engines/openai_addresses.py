"""Where does a request to an endpoint go, and what of that may people and files see?

Call `address_of` for an address, `shown_url` and `shown_header` for what may be shown and stored.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field

from util.errors import UserError

HIDDEN = "***"
_USER = re.compile(r"(?P<scheme>\w+://)?(?P<user>[^/:@\s]*)(?P<colon>:?)\S*@")  # to the last "@"
_NO_PORT = re.compile(r"((?:://|^)[^/:@\s\[]+):(?!//|\d*(?:/|$))\S*")  # perhaps the beginning of a password
_NO_MORE = rf"\1:{HIDDEN}"
# Parameters of the query that are no secret by their names.
_OPEN_PARAMETER = re.compile(r"(?:api-?)?version|region|deployment|model|provider", re.IGNORECASE)
_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[=:]\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """One endpoint's address; shows itself without its secrets."""

    shown: str
    base: str = field(repr=False)  # without user, query and a "/" at the end
    query: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what no message may repeat

    def at(self, path: str) -> str:
        """The URL of one of its resources."""
        return f"{self.base}{path}?{self.query}" if self.query else f"{self.base}{path}"

    @property
    def signs_in(self) -> bool:
        """Whether its headers say who asks, so that no key goes along."""
        return any(name.lower() == "authorization" for name, _ in self.headers)

    def scrubbed(self, text: str) -> str:
        """A text that may repeat what was sent, without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def address_of(url: str, headers: Sequence[str] = ()) -> Address:
    """The address in a URL, which may hold user, password and query, with headers "NAME=VALUE" for it.

    Raises UserError when either is none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and _is_plain(url)
    except ValueError:  # a broken IPv6 address
        usable = False
    if not usable:
        raise UserError(
            f"{shown_url(url)!r} is not the address of an endpoint: it looks like http://HOST:PORT/v1"
            + (" (in a password, write / as %2F, ? as %3F, # as %23)" if "@" in url else "")
        )
    user, _, host = parts.netloc.rpartition("@")
    if HIDDEN in (user, user.partition(":")[2]):
        raise UserError(f"{shown_url(url)} has {HIDDEN} where a password was: write the password there")
    base = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", "")).rstrip("/")
    sent = dict(read_header(header) for header in headers)
    secrets = [*sent.values(), *_secrets_of_query(parts.query)]
    if user:
        sent = {"Authorization": _basic(user), **sent}
        password = user.partition(":")[2] or user
        secrets += [sent["Authorization"].split()[-1], password, urllib.parse.unquote(password)]
    return Address(
        shown=shown_url(url.rstrip("/")).replace("/chat/completions", ""),
        base=base.removesuffix("/chat/completions"),
        query=parts.query,
        headers=tuple(sent.items()),
        secrets=tuple(sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True)),
    )


def shown_url(url: str) -> str:
    """An address as people and files may see it: user:*** for a password, *** for secrets of the query."""
    before, mark, query = url.partition("?")
    if "@" in url and not _is_plain(before):  # a password with "?" or "/" in it
        before, mark, query = url, "", ""
    before = _USER.sub(_shown_user, before, count=1) if "@" in before else _NO_PORT.sub(_NO_MORE, before)
    shown = [_shown_parameter(each) for each in query.split("&")]
    return f"{before}{mark}{'&'.join(shown)}"


def read_header(text: str) -> tuple[str, str]:
    """Name and value of "NAME=VALUE"; raises UserError when it is none."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise UserError(f"--header {shown_header(text)!r} is not NAME=VALUE, such as api-key=KEY")
    name, value = found["name"], found["value"].strip()
    if value == HIDDEN:
        raise UserError(f"--header {name}={HIDDEN} has no value: write it in place of {HIDDEN}")
    if not value or not value.isprintable() or not value.isascii():
        raise UserError(f"the value of --header {name} is empty or has line ends or signs beyond ASCII")
    return name, value


def shown_header(text: str) -> str:
    """A header as people and files may see it: its name alone."""
    found = _HEADER.fullmatch(text)
    return f"{found['name']}={HIDDEN}" if found else HIDDEN


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`; raises UserError for one of another kind."""
    from urllib.request import getproxies, proxy_bypass  # a tenth of the time that a script takes to start

    parts = urllib.parse.urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    proxy = getproxies().get(parts.scheme)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise UserError(
            f"{parts.scheme}_proxy is {shown_url(proxy)}, but only http proxies can be used: unset it, or "
            f"put {parts.hostname} into no_proxy"
        )
    return proxy


def _basic(user: str) -> str:
    name, _, password = user.partition(":")
    plain = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    return f"Basic {base64.b64encode(plain.encode()).decode()}"


def _is_plain(url: str) -> bool:
    """Whether user and password end where the syntax of URLs says, if there are any."""
    try:
        parts = urllib.parse.urlsplit(url)
        return "@" not in parts.path and parts.port != 0
    except ValueError:
        return False


def _shown_user(found: re.Match[str]) -> str:
    user = f"{found['user']}:{HIDDEN}" if found["colon"] else HIDDEN  # one alone may be a token
    return f"{found['scheme'] or ''}{user}@"


def _shown_parameter(parameter: str) -> str:
    name, mark, _ = parameter.partition("=")
    return f"{name}={HIDDEN}" if mark and not _OPEN_PARAMETER.fullmatch(name) else parameter


def _secrets_of_query(query: str) -> list[str]:
    pairs = urllib.parse.parse_qsl(query)
    return [value for name, value in pairs if not _OPEN_PARAMETER.fullmatch(name)]
