"""What an author's text for nginx.conf says."""

from __future__ import annotations

from lbgen.render.nginx_directives import directives, internal_locations

TEXT = r"""
    # add_header In-Comment x;
    add_header Content-Security-Policy "default-src 'self'; img-src *" always; proxy_set_header X-A ${host}x;
    location = /.sorry { internal; add_header In-Block y; return 200 "a\"b; internal; {"; }
    location ^~ /.files/ { internal; if ($x) { return 404; } }
    location ~* "\.(bak|x{2})$" { internal; }
    location /open/ { return 200; }
    location /.more/{internal;}
    add_header
        'X-B' 1;
"""


def test_directives():
    """Those of a kind, each with its header, and none of comments, blocks and quotes."""
    assert directives(TEXT, "add_header") == (
        ("content-security-policy", "add_header Content-Security-Policy \"default-src 'self'; img-src *\" always;"),
        ("x-b", "add_header 'X-B' 1;"),
    )
    assert directives(TEXT, "proxy_set_header") == (("x-a", "proxy_set_header X-A ${host}x;"),)
    assert directives(TEXT, "error_page") == directives("", "add_header") == ()


def test_internal_locations():
    """Each as an expression for the paths in it."""
    assert internal_locations(TEXT) == (
        ("~", r"^/\.sorry$"),
        ("~", r"^/\.files/"),
        ("~*", r"\.(bak|x{2})$"),
        ("~", r"^/\.more/"),
    )
    assert internal_locations("location @named { internal; }") == ()
