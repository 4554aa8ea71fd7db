"""From a URL to what it names: one server, the primary that sentinels name, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

from lineshaft.errors import UnavailableError
from lineshaft.stores.cluster import Cluster
from lineshaft.stores.one_server import OneServer
from lineshaft.stores.redis_link import URL_FORMS, Place, RedisLink
from lineshaft.stores.sentinel import Sentinels
from lineshaft.stores.servers import Servers

_SENTINEL_PORT = 26379
_PORT = 6379
_OWN = "sentinel_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A URL that names several servers: `scheme+kind://login@hosts/path?options`."""

    scheme: str
    kind: str
    login: str
    hosts: tuple[str, ...]
    path: str
    options: Mapping[str, str]

    @staticmethod
    def of(url: str) -> Many | None:
        """Return the parts of a URL of several servers; None for one of a single server.

        >>> Many.of("redis+cluster://:secret@one:7000,two?ssl_ca_certs=x").hosts
        ('one:7000', 'two')
        """
        before, _, rest = url.partition("://")
        scheme, _, kind = before.partition("+")
        if scheme not in ("redis", "rediss") or kind not in ("sentinel", "cluster"):
            return None
        named, _, query = rest.partition("?")
        login, at, place = named.rpartition("@")
        hosts, _, path = place.partition("/")
        return Many(
            scheme=scheme,
            kind=kind,
            login=login + at,
            hosts=tuple(host for host in hosts.split(",") if host),
            path=path,
            options=dict(parse_qsl(query)),
        )

    def single(self, host: str, path: str = "", *, login: str | None = None, options: Mapping[str, str]) -> str:
        """Return the URL of one server of these."""
        return f"{self.scheme}://{self.login if login is None else login}{host}/{path}?{urlencode(options)}"


def servers_of(url: str, *, where: str = "online store", lease_s: float = 1.0) -> Servers:
    """Return what a URL names; raises `UnavailableError` for one that names nothing.

    `redis+sentinel://[user:password@]host[:port],…/name[/db][?option=…]`, as in Prefect, RedisVL and
    redis-sentinel-url, and `redis+cluster://[user:password@]host[:port],…[?option=…]`, as in limits. User, password and
    options are for the servers that hold rows; `sentinel_username` and `sentinel_password` for sentinels; `rediss+…` is
    TLS to all, and `ssl_…` options hold for all.
    """
    many = Many.of(url)
    if many is None:
        return OneServer(RedisLink(url, where=where))
    if many.kind == "sentinel":
        return OneServer(_watched(many, where=where, lease_s=lease_s))
    return _cluster(many, where=where, lease_s=lease_s)


def _watched(many: Many, *, where: str, lease_s: float) -> RedisLink:
    name, _, db = many.path.partition("/")
    if not name or not many.hosts:
        raise UnavailableError(f"{where}: not a URL of sentinels", fix=URL_FORMS)
    options = {key: value for key, value in many.options.items() if not key.startswith(_OWN)}
    own = {key.removeprefix(_OWN): value for key, value in many.options.items() if key.startswith(_OWN)}
    tls = {key: value for key, value in options.items() if key.startswith("ssl_")}
    link = RedisLink(many.single("primary", db, options=options), where=where)
    user, password = quote(own.pop("username", "")), quote(own.pop("password", ""), safe="")
    login = f"{user}:{password}@" if user or password else ""
    links = [
        RedisLink(many.single(with_port(host, _SENTINEL_PORT), login=login, options=tls | own), where=where)
        for host in many.hosts
    ]
    link.follow(Sentinels(links, name=unquote(name), changed=link.hang_up, lease_s=lease_s))
    return link


def _cluster(many: Many, *, where: str, lease_s: float) -> Cluster:
    if not many.hosts or many.path not in ("", "0"):
        raise UnavailableError(f"{where}: not a URL of a cluster, which has no databases", fix=URL_FORMS)

    def link_of(place: Place) -> RedisLink:
        host = f"[{place.host}]" if ":" in place.host else place.host
        return RedisLink(
            many.single(f"{host}:{place.port}", options=many.options), where=f"{where}, at {host}:{place.port}"
        )

    seeds = []
    for host in many.hosts:
        name, _, port = with_port(host, _PORT).rpartition(":")
        if not port.isdecimal():
            raise UnavailableError(f"{where}: not a URL of a cluster", fix=URL_FORMS)
        seeds.append(Place(name.strip("[]"), int(port)))
    return Cluster(seeds, link_of=link_of, where=where, lease_s=lease_s)


def with_port(host: str, port: int) -> str:
    """Return a host with its port, or with this one.

    >>> with_port("a", 6379), with_port("a:5000", 6379), with_port("[::1]", 6379)
    ('a:6379', 'a:5000', '[::1]:6379')
    """
    return host if host.rpartition("]")[2].partition(":")[1] else f"{host}:{port}"
