"""The bytes of every file, from a model and a template set. Equal input gives equal bytes, in any process."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateNotFound, TemplateSyntaxError

from lbgen.errors import TemplateError
from lbgen.model import CONTEXT_VERSION, Model
from lbgen.named_files import Directories, Reader
from lbgen.render.environment import Environment, environment
from lbgen.render.files import PLACEHOLDER, Files
from lbgen.render.templates import BUILTIN, TemplateSet, find
from lbgen.snapshot import Snapshot

__all__ = ["Files", "Renderer", "TargetContext", "TemplateSet", "find"]


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a template knows of the proxy it writes for: ``target``."""

    name: str  # as in the settings
    output: str  # directory the files are read from
    options: Mapping[str, Any]  # the template set's options
    version: tuple[int, ...] = ()  # of the proxy's program, (1, 22, 1); empty: not known, as in CI without it
    modules: tuple[str, ...] = ()  # Nginx: paths of modules to load; "stream" alone: it is built in
    stats_socket: str = ""  # HAProxy: path of its stats socket
    pid_file: str = ""  # Nginx: where it writes its process number
    probe: str = ""  # ADDRESS:PORT: Nginx's answers which generation it serves, Traefik's API
    feed: str = ""  # Traefik: URL where lbgen hands out the dynamic configuration; empty: it watches a directory

    @property
    def own_certificate(self) -> str:
        """Traefik: the text of OUTPUT/default.pem, which says nothing about anybody; empty without one."""
        try:
            return (Path(self.output) / "default.pem").read_text()
        except OSError:
            return ""


class Renderer:
    """Renders one target's files; keeps the compiled templates, which are read again when they change on disk."""

    def __init__(
        self,
        templates: TemplateSet,
        target: TargetContext,
        settings: Directories,
        listeners: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            listeners: names of those that this target serves; None: all.
        """
        self.templates, self.target, self.settings = templates, target, settings
        # As HAProxy and Nginx have it: what is relative is so to the files.
        self.reader = Reader(settings, Path(target.output))
        self._listeners = None if listeners is None else frozenset(listeners)
        self.produced = 0  # sections rendered so far, as opposed to taken over from the rendering before
        self._sections: dict[object, tuple[object, str]] = {}
        self._stamp: object = None
        self._edition = 0
        self._environment = environment(list(templates.directories), BUILTIN, templates.manifest.quote)

    def render(self, model: Model, snapshot: Snapshot) -> Files:
        """Return every file of the target.

        Raises:
            TemplateError: a template cannot be read, parsed or rendered; the message names file and line.
        """
        self.edition()
        model = self.served(model)
        sections, once = self._once()
        files = self.reader.read()
        context = {
            "context_version": CONTEXT_VERSION,
            "listeners": model.listeners,
            "routes": model.routes,
            "backends": model.backends,
            "servers": model.servers,
            "problems": model.problems,
            "certificates": files.certificates,
            "users": files.users,
            "client_cas": files.client_cas,
            "target": self.target,
            "options": self.target.options,
            "settings": self.settings,
            "snapshot": snapshot,
            "generation": PLACEHOLDER,
            "once": once,
        }
        names = self.templates.names()
        if not names:
            raise TemplateError(f"{', '.join(map(str, self.templates.directories))}: no template (NAME.j2) in it")
        drafts = {name.removesuffix(".j2"): _rendered(self._environment, name, context) for name in names}
        self._sections = sections
        return Files.of(drafts)

    def served(self, model: Model) -> Model:
        """Return the part of the model that this target serves."""
        return model if self._listeners is None else model.only(self._listeners)

    def edition(self) -> int:
        """Return which edition of the templates this is; forget everything once one was changed, added or removed.

        Jinja would notice a change of a file it has read, but neither one that now goes before it nor, since macros
        call macros, what else was made with it.
        """
        for directory in self.templates.directories:
            if not directory.is_dir():  # without it there would be fewer templates, or the built-in ones
                raise TemplateError(f"{directory}: is not there; put it back, or take it off the target's templates")
        found = [path for root in (*self.templates.directories, BUILTIN) for path in root.rglob("*.j2")]
        stamp = [(path, state.st_mtime_ns, state.st_size, state.st_ino) for path in found if (state := _stat(path))]
        if stamp != self._stamp:
            self._edition, self._stamp, self._sections = self._edition + 1, stamp, {}
            if self._environment.cache is not None:
                self._environment.cache.clear()
        return self._edition

    def _once(self) -> tuple[dict[object, tuple[object, str]], Callable[..., str]]:
        """Return a fresh memory and the function that templates call as ``once(macro, object, ...)``.

        It gives the macro's text for the object: that of the last rendering, if the object is still the very same and
        the template was not changed. The macro may depend on nothing else that changes.
        """
        sections: dict[object, tuple[object, str]] = {}

        def once(macro: Any, subject: object, *more: object) -> str:
            key = (macro._func.__code__, id(subject), more)
            known = self._sections.get(key)
            if known is None or known[0] is not subject:
                self.produced += 1
                known = subject, macro(subject, *more)
            sections[key] = known
            return known[1]

        return sections, once


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # gone meanwhile
        return None


def _rendered(env: Environment, name: str, context: Mapping[str, Any]) -> str:
    try:
        return str(env.get_template(name).render(context))
    except TemplateSyntaxError as error:
        raise TemplateError(f"{error.filename or name}:{error.lineno}: {error.message}") from error
    except TemplateNotFound as error:
        where = _innermost(error) or name
        raise TemplateError(f"{where}: there is no template {error.name} in the set") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{name}: cannot be read: {error}") from error
    except Exception as error:  # a template can raise anything; what it did is the author's to know
        where = _innermost(error) or name
        raise TemplateError(f"{where}: {error or type(error).__name__}") from error


def _innermost(error: BaseException) -> str:
    """Return ``file:line`` of the template line that was being rendered, or an empty text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).suffix == ".j2"]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
