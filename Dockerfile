# lbgen alone (target "lbgen": for Traefik, or for a proxy elsewhere), with Nginx inside (target "nginx"), and with
# HAProxy inside (target "haproxy", the default).
#
#   docker build -t lbgen:haproxy .
#   docker build --target nginx -t lbgen:nginx .
#   docker build --target lbgen -t lbgen .
#
# BASE is any Debian-like image with Python 3.11 or later, venv and pip.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python3 -m venv /opt/lbgen && /opt/lbgen/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY lbgen lbgen
COPY templates templates
RUN /opt/lbgen/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/lbgen/bin/pip uninstall -y pip setuptools >/dev/null 2>&1 \
    && find /opt/lbgen -name '__pycache__' -prune -exec rm -rf {} +
# What is not compiled here is compiled at each start: lbgen's user may write nothing below /opt. Not the lbgen in /src.
RUN /opt/lbgen/bin/python -m compileall -q /opt/lbgen/lib && /opt/lbgen/bin/python -I -m lbgen.render.compile_builtin

FROM ${BASE} AS lbgen
COPY --from=build /opt/lbgen /opt/lbgen
# Debian's Python comes with its library compiled, the official image's does not.
RUN python3 -m compileall -q -x '/(test|tests|lib2to3|site-packages|dist-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/lbgen --shell /usr/sbin/nologin lbgen \
    && install -d -o lbgen -g lbgen /var/lib/lbgen /etc/lbgen
ENV PATH=/opt/lbgen/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/lbgen
USER lbgen
ENTRYPOINT ["lbgen"]
CMD ["run"]

FROM lbgen AS nginx
USER root
RUN command -v nginx \
    || (apt-get update && apt-get install -y --no-install-recommends nginx libnginx-mod-stream && rm -rf /var/lib/apt/lists/*)
# Where Nginx stores large requests and answers, and writes before it has read its configuration: not root's.
RUN install -d -o lbgen -g lbgen /var/lib/nginx /var/log/nginx && chown -R lbgen:lbgen /var/lib/nginx /var/log/nginx
USER lbgen
CMD ["run", "--proxy", "nginx"]

FROM lbgen AS haproxy
USER root
RUN command -v haproxy \
    || (apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*)
USER lbgen
CMD ["run", "--proxy", "haproxy"]
