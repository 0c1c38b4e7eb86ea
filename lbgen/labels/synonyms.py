"""What other programs call the things that label keys and options say: words -> ours.

Words are lower case and without dashes, underscores and dots. They are read nowhere: they only make suggestions.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(table: Mapping[str, str]) -> dict[str, str]:
    """Turn ``key: its synonyms`` around."""
    return {word: key for key, words in table.items() for word in words.split()}


# Of lbgen's keys.
NATIVE = _words(
    {
        "allow-ip": "whitelist ipwhitelist ipallowlist allowlist allowedips sourcerange whitelistips allow acl",
        "balance": "loadbalancer lbmethod algorithm strategy loadbalancerstrategy lb",
        "basic-auth": "users usersfile htpasswd auth userssecret basicauthusers basicauthusersfile",
        "compress": "compression gzip",
        "cors.origins": "cors corsorigin accesscontrolalloworigin",
        "deny-ip": "blacklist denylist ipdenylist deniedips",
        "error-pages.<status>": "errors errorpage errorpages",
        "forward-auth": "forwardauthaddress authurl",
        "health-check.path": "healthpath healthcheckurl checkpath healthuri healthcheckuri",
        "host": "hosts hostname hostnames domain domains vhost virtualhost fqdn servicedomain",
        "host-header": "passhostheader",
        "hsts": "stsseconds sts",
        "listener": "entrypoint entrypoints frontend srcport bind",
        "max-body": "maxbodysize clientmaxbodysize bodysize buffering maxrequestbodybytes",
        "max-concurrent": "inflightreq inflightconn",
        "mirror": "mirroring",
        "network": "dockernetwork swarmnetwork lbnetwork",
        "passthrough": "tlspassthrough sslpassthrough",
        "path": "pathprefix prefix servicepath location basepath",
        "path-regex": "pathregexp",
        "port": "loadbalancerserverport serverport targetport containerport backendport upstreamport",
        "redirect-https": "httpsonly sslredirect forcessl forcehttps redirectscheme redirecttohttps https",
        "rule": "frontendrule hostregexp hostregex",
        "send-proxy": "proxyprotocol",
        "sni": "hostsni",
        "sticky": "stickysession stickysessions loadbalancersticky affinity stickiness sessiontype",
        "strip-prefix": "stripprefixes prefixstrip",
        "timeout.connect": "connecttimeout",
        "timeout.idle": "idletimeout timeouttunnel",
        "timeout.response": "timeout readtimeout timeoutserver",
        "tls": "certresolver tlscertresolver certificate cert certs sslcert letsencrypt acme ssl",
    }
)
_MIDDLEWARES = (
    "write a key for what each of them does, such as basic-auth, allow-ip, redirect-https, strip-prefix or rate-limit"
)
_CERTIFICATE = "did you mean tls? It names a certificate, which is a file in the directory of setting certificates"
# The remedy where the name of a key alone says too little.
NATIVE_ADVICE = {
    **dict.fromkeys(("middleware", "middlewares"), _MIDDLEWARES),
    **dict.fromkeys((word for word, key in NATIVE.items() if key == "tls" and word != "ssl"), _CERTIFICATE),
    **dict.fromkeys(
        ("protocol", "proto", "reqmode", "mode"),
        "write the protocol into the label's name, as in lbgen.tcp.NAME.port; scheme is what servers are spoken to",
    ),
}
# Of options of other dialects: the one that an element has.
FOREIGN = {
    **dict.fromkeys(
        ("port", "serverport", "loadbalancerport", "loadbalancerserversport", "backendport"),
        ("loadbalancer.server.port", "port"),
    ),
    **dict.fromkeys(
        ("host", "hosts", "hostname", "domain", "domains", "frontendrule", "servername"), ("rule", "servicedomain")
    ),
    **dict.fromkeys(("path", "paths", "pathprefix", "prefix"), ("rule", "servicepath")),
    **dict.fromkeys(("entrypoint", "listener", "listeners"), ("entrypoints", "srcport")),
    **dict.fromkeys(("certresolver", "tlsresolver"), ("tls.certresolver",)),
    **dict.fromkeys(("auth", "basicauth"), ("users",)),
    **dict.fromkeys(("https", "redirecthttps", "forcehttps"), ("httpsonly",)),
    **dict.fromkeys(("scheme", "serverscheme"), ("loadbalancer.server.scheme",)),
    **dict.fromkeys(("sticky", "stickycookie"), ("loadbalancer.sticky.cookie", "sessiontype")),
}
# Of matchers of rules.
MATCHERS = _words(
    {
        "Host": "hostheader hosts domain hostname httphost",
        "HostSNI": "sni",
        "Header": "headers httpheader",
        "HeaderRegexp": "headersregexp",
        "Path": "pathstrip",
        "PathPrefix": "pathprefixstrip prefix",
        "PathRegexp": "pathregex",
        "ClientIP": "ip sourceip remoteaddr",
    }
)
