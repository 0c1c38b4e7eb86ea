"""What each parameter of docker-flow-proxy means here: taken, left out with a note, or too much to be left out.

Values are lists where docker-flow-proxy splits them at commas (its SEPARATOR). What is HAProxy's own language there
(log formats, conditions, templates) closes the destination: it may be what guards it.

Source: docker-flow-proxy docs/usage.md, proxy/types.go (getServiceDest), proxy/template.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbgen.labels.foreign_options import Left, Lost, Table, Taken, flag
from lbgen.labels.keys.table import GUARDS
from lbgen.labels.suggestions import alike
from lbgen.labels.values import basic, http, policy
from lbgen.labels.values.policy import cors_method
from lbgen.labels.values.regex import regex
from lbgen.labels.values.substitution import Substitution, anywhere, path_from
from lbgen.labels.values.value_type import BadValue, Parser

DOMAIN_ALGORITHMS = ("hdr_beg(host)", "hdr(host)", "hdr_dom(host)", "hdr_end(host)")
SNI_ALGORITHMS = ("req.ssl_sni", "req_ssl_sni")
SNI_TYPES = {  # path types of SNI -> how HAProxy compares then
    f"{name}{flag}{way}": way.rpartition(" ")[2] or "str"
    for name in SNI_ALGORITHMS
    for flag in ("", " -i")
    for way in ("", *(f" -m {way}" for way in ("str", "beg", "end", "reg", "dom", "sub")))
}
PATH_TYPES = ("path_beg", "path", "path_reg", "path_end", "path_sub")
_NATIVE = "say it in labels that begin with lbgen, or leave the service to docker-flow-proxy"
_CONDITION = re.compile(r"(^|\s)(if|unless)\s")
SENT = frozenset({"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"})  # by all proxies
_TOLD = frozenset({"x-forwarded-ssl", "x-forwarded-protocol"})  # say the same in other words: nobody may forge them
# Lines of a HAProxy backend that neither guard nor change what is asked or answered.
_HARMLESS = re.compile(
    r"option (?:httpchk|forwardfor|http-server-close|http-keep-alive|httpclose|redispatch|tcp-check)\b"
    r"|balance |timeout |retries |compression |http-check |fullconn |default-server |\#"
)
_DOMAIN = re.compile(r"(\*\.?)?([A-Za-z0-9_.-]*)")


def _seconds(low: float, high: float) -> Parser[float]:
    number = basic.integer(int(low), int(high))
    return lambda text: float(number(text.removesuffix("s")))


def domain(text: str) -> tuple[str, str]:
    """A domain as (asterisk, name): ("", "a.org"), ("*.", "a.org"), ("*", "a.org"), ("*", "")."""
    match = _DOMAIN.fullmatch(text)
    if not match or not (match[1] or match[2]):
        raise BadValue("is not a domain", "write a name such as shop.example.org")
    return match[1] or "", http.host(match[2]) if match[2] else ""


def _algorithm(text: str) -> str:
    name = text.removesuffix("-i").strip()
    if name in (*DOMAIN_ALGORITHMS, *SNI_ALGORITHMS):
        return name
    raise BadValue(f"is not one of {', '.join(DOMAIN_ALGORITHMS)}", f"write one of {', '.join(DOMAIN_ALGORITHMS)}")


def _header_filter(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise BadValue("is not NAME:VALUE", "write the header's name, a colon and its value")
    return http.header_name(name.strip()), http.header_value(value.strip())


def _path_type(text: str) -> str:
    words = " ".join(text.split()).removesuffix(" -i") if text.startswith("path") else " ".join(text.split())
    return words if words in SNI_TYPES else basic.choice(*PATH_TYPES)(words)


def _edit(text: str) -> tuple[str, str]:
    """One header that is set: ``X-Frame-Options DENY``; without a value one that the proxy sends by itself."""
    name, _, value = text.partition(" ")
    if name.lower() in SENT | _TOLD and ("%[" in value or _CONDITION.search(value)):
        return name.lower(), ""
    if "%[" in value or _CONDITION.search(value):
        raise BadValue("has HAProxy's own language in it, a log format or a condition", "write a value that is fixed")
    return policy.edited_header(name), http.header_value(value.strip().strip('"'))


def _extra(text: str) -> str:
    """Lines of HAProxy's own language, all of them harmless."""
    for line in re.split(r"\\n|\n", text):
        if line.strip() and not _HARMLESS.match(line.strip()):
            raise BadValue("is HAProxy's own language, which labels may not speak", _NATIVE)
    return text


def _replacement(text: str) -> Substitution | str:
    """One ``SEARCH,REPLACE``, as HAProxy's regsub takes them: the first place in the path that is found is replaced.

    Returns:
        What is done to the path; or an expression whose finding at the beginning is taken off.
    """
    search, comma, replace = text.partition(",")
    if not comma or "," in replace or ":" in text:
        raise BadValue("is more than one search and replacement", "write one, as /old/,/new/")
    if search.startswith("^") and not replace:
        return regex(search)
    try:
        return path_from(*anywhere(search, re.sub(r"\\([0-9])", r"${\1}", replace)))
    except BadValue as bad:
        raise BadValue(bad.message, "write /old/,/new/, or leave the rest to the application") from bad


_TUNING = Left("is left out: it tunes docker-flow-proxy alone", "remove it")
_FORWARDED = Taken(flag, "_forwarded")
_TEMPLATE = Lost(
    "is a template of docker-flow-proxy's own, which lbgen does not have",
    "say it in other labels, or in a block of a template (docs/templates.md)",
)

# What docker-flow-proxy's companions read, with indexes of their own: monitor, scaler, cron and the swarm listener.
OTHERS = frozenset(
    {
        *("alertname", "alertif", "alertfor", "alertlabels", "alertannotations", "alertpersistent", "metricspath"),
        *("scrapeport", "scrapenetwork", "scrapeinterval", "scrapetimeout", "scrapetype", "reschedule", "shortname"),
        *("scalemin", "scalemax", "scaleupby", "scaledownby", "cron"),
    }
)
# What guards in a language that cannot be read here: HAProxy's own. With what is in it a destination may be closed.
_TEMPLATES = (
    *("templatebepath", "templatefepath", "templatebecontent", "templatefecontent"),
    *("consultemplatebepath", "consultemplatefepath"),
)
UNREADABLE_GUARDS = frozenset({"backendextra", *_TEMPLATES})
# Fields of `RouteKeys` that parameters mean, where they have names of their own here.
FIELDS_OF: Mapping[str, str] = {
    "_users": "basic_auth",
    "_encrypted": "basic_auth",
    "verifyclientssl": "client_ca",
    **dict.fromkeys(("_allowed", "_denied", "_deny_http"), "deny"),
    "_domains": "host",
    "_algorithm": "host",
    "_paths": "path",
    "_path_type": "path",
    "_mode": "rule",
    "_headers": "header",
    "_agents": "header_regex",
    "_source_port": "listener",
}
OPTIONS: Table = {
    "notify": _TUNING,
    "distribute": Taken(str),
    "replicas": Taken(str),
    "servicename": Taken(str),
    "port": Taken(basic.port, "port"),
    "srcport": Taken(basic.port, "_source_port"),
    "reqmode": Taken(basic.choice("http", "tcp", "sni"), "_mode"),
    "servicedomain": Taken(basic.list_of(domain), "_domains"),
    "servicedomainmatchall": Taken(lambda text: "hdr_dom(host)" if flag(text) else "hdr_beg(host)", "_algorithm"),
    "servicedomainalgo": Taken(_algorithm, "_algorithm"),
    "servicepath": Taken(basic.list_of(str), "_paths"),
    "servicepathexclude": Taken(basic.list_of(str), "_excluded"),
    "pathtype": Taken(_path_type, "_path_type"),
    "serviceheader": Taken(basic.list_of(_header_filter), "_headers"),
    "useragent": Taken(basic.list_of(http.header_value), "_agents"),
    "allowedmethods": Taken(basic.list_of(cors_method), "_allowed"),
    "deniedmethods": Taken(basic.list_of(cors_method), "_denied"),
    "isdefaultbackend": Taken(flag, "_default"),
    "httpsonly": Taken(flag, "redirect_https"),
    "httpsredirectcode": Left("is left out: the redirect to https is always 308", "remove it"),
    "denyhttp": Taken(flag, "_deny_http"),
    "redirectfromdomain": Taken(basic.list_of(http.host), "_redirected"),
    **dict.fromkeys(("redirectwhenhttpproto", "redirectunlesshttpsproto", "xforwardedproto"), _FORWARDED),
    "setreqheader": Taken(basic.list_of(_edit), "_set_request"),
    "addheader": Taken(basic.list_of(_edit), "_add_request"),
    "setheader": Taken(basic.list_of(_edit), "_set_request"),
    "addreqheader": Taken(basic.list_of(_edit), "_add_request"),
    "delreqheader": Taken(basic.list_of(policy.edited_header), "_del_request"),
    "setresheader": Taken(basic.list_of(_edit), "_set_response"),
    "addresheader": Taken(basic.list_of(_edit), "_add_response"),
    "delresheader": Taken(basic.list_of(policy.edited_header), "_del_response"),
    "reqpathsearchreplace": Taken(_replacement, "_replace"),
    # Without reqPathSearchReplace the two are joined to it before they are read.
    "reqpathsearch": Lost("stands beside reqPathSearchReplace", "write one of the two"),
    "reqpathreplace": Left("is left out: it means nothing without reqPathSearch", "remove it"),
    "timeoutserver": Taken(_seconds(1, 86400), "timeout_response"),
    "timeouttunnel": Taken(_seconds(1, 86400), "timeout_idle"),
    "timeoutclient": Left("is left out: a client's time-out is that of the listener", "set it in the target's options"),
    "sessiontype": Taken(lambda text: text == "sticky-server", "_sticky"),
    "sslverifynone": Taken(flag, "_tls_servers"),
    "compressionalgo": Taken(lambda text: text != "identity", "compress"),
    "compressiontype": Left("is left out: texts of all kinds are compressed", "remove it"),
    "userssecret": Taken(policy.file_name, "basic_auth"),
    "userspassencrypted": Taken(flag, "_encrypted"),
    "ignoreauthorization": Taken(flag, "_open"),
    "users": Taken(str, "_users", secret=True),
    "servicecert": Left(
        "is left out: certificates are files here", "put it into the directory of setting certificates", secret=True
    ),
    "verifyclientssl": Lost("asks for client certificates of the authority in CA_FILE", "write lbgen.client-ca=NAME"),
    "httpsport": Lost("sends what came by https to another port", "let one port serve both"),
    "srchttpsport": Taken(basic.port, "_source_port"),
    "outboundhostname": Lost("sends the requests out of the Swarm", _NATIVE),
    "backendextra": Taken(_extra),
    **dict.fromkeys(_TEMPLATES, _TEMPLATE),
    "proxyinstancename": Lost("picks one of several proxies", "use the key listener, and targets with listeners"),
    "checktcp": Taken(lambda text: "tcp" if flag(text) else "off", "health_check"),
    "servicegroup": Taken(basic.name, "group"),
    "balancegroup": Taken(basic.choice("roundrobin", "leastconn", "source", "random"), "_balance"),
    "aclname": Left("is left out: routes are ordered by the length of what they match", "use the key priority"),
    "connectionmode": _TUNING,
    "skipcheck": _TUNING,
    "checkresolvers": _TUNING,
    "discoverytype": _TUNING,
    "clitcpka": _TUNING,
    "userdef": Left("is left out: no template of lbgen's reads it", "remove it"),
}


def guard_of(parameter: str) -> str:
    """Return the guard that a parameter is, or the one that it looks most like: a field of `RouteKeys`, or its name."""
    option = alike(parameter, OPTIONS)
    if not option:
        return ""
    meaning = OPTIONS[option]
    own = (isinstance(meaning, Taken) and meaning.field) or option
    name = FIELDS_OF.get(own, own)
    return name if name in GUARDS or option in UNREADABLE_GUARDS else ""
