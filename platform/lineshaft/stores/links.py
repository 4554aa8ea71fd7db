"""From a URL to connections: one server, or the primary that sentinels name."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urlencode

from lineshaft.errors import UnavailableError
from lineshaft.stores.redis_link import URL_FORMS, RedisLink
from lineshaft.stores.sentinel import Sentinels

_PORT = 26379
_OWN = "sentinel_"


def link_to(url: str, *, where: str = "online store", lease_s: float = 1.0) -> RedisLink:
    """Return connections to what a URL names; raises `UnavailableError` for one that names nothing.

    `redis+sentinel://[user:password@]host[:port],…/name[/db][?option=…]`, as in Prefect, RedisVL and
    redis-sentinel-url. User, password and options are for the primary; `sentinel_username` and `sentinel_password` for
    the sentinels; `rediss+sentinel` is TLS to both, and `ssl_…` options hold for both.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("redis+sentinel", "rediss+sentinel"):
        return RedisLink(url, where=where)
    plain = scheme.partition("+")[0]
    named, _, query = rest.partition("?")
    login, at, place = named.rpartition("@")
    hosts, _, path = place.partition("/")
    name, _, db = path.partition("/")
    watchers = [host for host in hosts.split(",") if host]
    if not name or not watchers:
        raise UnavailableError(f"{where}: not a URL of sentinels", fix=URL_FORMS)
    options = dict(parse_qsl(query))
    own = {key.removeprefix(_OWN): options.pop(key) for key in list(options) if key.startswith(_OWN)}
    tls = {key: value for key, value in options.items() if key.startswith("ssl_")}
    link = RedisLink(f"{plain}://{login}{at}primary/{db}?{urlencode(options)}", where=where)
    theirs = f"{quote(own.pop('username', ''))}:{quote(own.pop('password', ''), safe='')}@"
    links = [
        RedisLink(f"{plain}://{theirs if theirs != ':@' else ''}{with_port(host)}?{urlencode(tls | own)}", where=where)
        for host in watchers
    ]
    changed: Callable[[], None] = link.hang_up
    link.follow(Sentinels(links, name=unquote(name), changed=changed, lease_s=lease_s))
    return link


def with_port(host: str, port: int = _PORT) -> str:
    """Return a host with its port.

    >>> with_port("watcher"), with_port("watcher:5000"), with_port("[::1]")
    ('watcher:26379', 'watcher:5000', '[::1]:26379')
    """
    return host if host.rpartition("]")[2].partition(":")[1] else f"{host}:{port}"
