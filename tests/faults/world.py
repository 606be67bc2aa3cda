"""The outside world of a fault plan, in a process of its own: three feeds that announce papers, the host of their
repositories, and a mail server. What it announced and what it took is what every check is computed from.

Every work carries a token (`w000123`) in its title, so that a mail's text tells which works it brought.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import policy
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import Any

from workers.demo.exchange import Answer, Ask, conditional, digest, json_answer, text_answer
from workers.demo.faults import Faults
from workers.demo.server import LoopbackServer

TOKEN = re.compile(r"\bw\d{6}\b")
WINDOW_DAYS = 5
"""How long blogs show an entry: longer than any plan stops looking."""

FEEDS = ("daily", "blog", "lab")
POINTS = ("banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "idle")
"""Where the mail server can misbehave: `body` is midway through the message, `idle` between two messages."""

ACTS = ("4xx", "5xx", "stall", "close")

PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "999999", "X-RateLimit-Reset": "3600"}
"""What the host of repositories allows: no plan is about that."""


@dataclass(frozen=True, slots=True)
class Work:
    """A paper of the world. `name` is the identifier everybody knows it by."""

    number: int
    day: date
    name: str
    feeds: tuple[str, ...]
    slug: str = ""

    @property
    def token(self) -> str:
        """What names it in any text."""
        return f"w{self.number:06d}"

    @property
    def title(self) -> str:
        """A title no other work has."""
        return f"Harbour lights {self.token} and the reading of tides"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message whose final dot the server took."""

    to: str
    message_id: str
    digest: str
    tokens: tuple[str, ...]


@dataclass(slots=True)
class _Incident:
    """What the mail server shall do at a point, once; `taken` says whether a message at the dot is kept."""

    point: str
    act: str
    taken: bool = True
    wait_s: float = 3.0


@dataclass(slots=True)
class _Session:
    """One connection to the mail server."""

    link: socket.socket
    buffer: bytes = b""
    to: str = ""
    body: bytearray = field(default_factory=bytearray)


class MailServer:
    """A small SMTP server on loopback that does what its script says, in the script's order."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self._script: deque[_Incident] = deque()
        self.met: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listener = socket.socket()
        # Little is taken in beyond what has been read, so that a break midway is seen midway.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def plan(self, incidents: Sequence[tuple[str, str, bool]], wait_s: float, dot_wait_s: float) -> None:
        """The next incidents: (point, act, whether the message is kept); how long to stall, and how long at the dot."""
        with self._lock:
            self._script = deque(
                _Incident(point, act, taken, dot_wait_s if point == "dot" else wait_s)
                for point, act, taken in incidents
            )

    def left(self) -> int:
        """How many incidents have not happened yet."""
        return len(self._script)

    def _next(self, point: str) -> _Incident | None:
        with self._lock:
            if self._script and self._script[0].point == point:
                incident = self._script.popleft()
                self.met[f"{incident.point} {incident.act}"] += 1
                return incident
        return None

    def _accept(self) -> None:
        while True:
            link, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, _Ended), link:
            self._talk(_Session(link))

    def _talk(self, session: _Session) -> None:
        self._say(session, "banner", "220 sink.example ESMTP")
        while True:
            line = self._line(session).strip().decode("latin-1")
            verb = line[:4].upper()
            if verb in {"EHLO", "HELO"}:
                self._say(session, "ehlo", "250-sink.example\r\n250-SIZE 30000000\r\n250 8BITMIME")
            elif verb == "MAIL":
                self._say(session, "mail", "250 2.1.0 ok")
            elif verb == "RCPT":
                found = re.search(r"<(.*?)>", line)
                session.to = found[1] if found else ""
                self._say(session, "rcpt", "250 2.1.5 ok")
            elif verb == "DATA":
                if self._say(session, "data", "354 go on"):
                    self._message(session)
            elif verb == "QUIT":
                session.link.sendall(b"221 bye\r\n")
                return
            else:
                session.link.sendall(b"250 ok\r\n")

    def _message(self, session: _Session) -> None:
        incident = self._next("body")
        session.body.clear()
        while True:
            if incident is not None and len(session.body) > 1024:
                if incident.act in {"4xx", "5xx"}:
                    self._answer(session, "421 4.3.0 shutting down" if incident.act == "4xx" else "554 5.6.0 enough")
                elif incident.act == "stall":
                    threading.Event().wait(incident.wait_s)
                raise _Ended
            line = self._line(session)
            if line == b".\r\n":
                break
            session.body += line[1:] if line.startswith(b".") else line
        incident = self._next("dot")
        if incident is None or (incident.act in {"stall", "close"} and incident.taken):
            self._keep(session)
        if incident is None:
            self._answer(session, "250 2.0.0 taken")
            idle = self._next("idle")
            if idle is not None:
                if idle.act in {"4xx", "5xx"}:
                    self._answer(session, "421 4.4.2 idle for too long")
                elif idle.act == "stall":
                    self._line(session)
                    threading.Event().wait(idle.wait_s)
                raise _Ended
        else:
            self._misbehave(session, incident)

    def _keep(self, session: _Session) -> None:
        raw = bytes(session.body)
        parsed = email.message_from_bytes(raw, policy=policy.default)
        part = parsed.get_body(("plain",))
        text = part.get_content() if part is not None else ""
        tokens = works_told(text)
        mail = Mail(session.to, str(parsed["Message-ID"]), hashlib.sha256(raw).hexdigest(), tokens)
        with self._lock:
            self.mails.append(mail)

    def _say(self, session: _Session, point: str, words: str) -> bool:
        incident = self._next(point)
        if incident is None:
            self._answer(session, words)
            return True
        self._misbehave(session, incident)
        return False

    def _misbehave(self, session: _Session, incident: _Incident) -> None:
        if incident.act == "4xx":
            self._answer(session, "451 4.7.1 come again")
        elif incident.act == "5xx":
            self._answer(session, "550 5.1.1 not here")
        else:
            if incident.act == "stall":
                threading.Event().wait(incident.wait_s)
            raise _Ended
        if incident.point == "banner":
            raise _Ended

    def _answer(self, session: _Session, words: str) -> None:
        session.link.sendall(words.encode() + b"\r\n")

    def _line(self, session: _Session) -> bytes:
        while b"\n" not in session.buffer:
            more = session.link.recv(4096)
            if not more:
                raise _Ended
            session.buffer += more
        line, _, session.buffer = session.buffer.partition(b"\n")
        return line + b"\n"


def works_told(text: str) -> tuple[str, ...]:
    """The tokens of the works a digest brings. What it says of works brought before is no second telling."""
    return tuple(dict.fromkeys(TOKEN.findall(text.partition("SINCE YOU READ")[0])))


class _Ended(Exception):
    """The connection is over."""


class World:
    """The feeds, the repositories and the mail server. All methods may be called from any process."""

    _window: timedelta | None

    def __init__(self, *, serve: bool = True) -> None:
        self._works: list[Work] = []
        self._faults = Faults()
        if not serve:  # a world for one process, asked directly
            self._lock = threading.Lock()
            self._window = None
            self._today = date(2026, 11, 2)
            return
        self._mail = MailServer()
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._window = timedelta(days=WINDOW_DAYS)
        self._today = date(2026, 11, 2)
        self._server = LoopbackServer(0, self._handle, self._faults.meet, self._record)
        self._server.start()

    def begin(self, *, window: bool = True) -> None:
        """Forget everything: a new plan begins. Without a `window` blogs show all they ever had."""
        with self._lock:
            self._works = []
            self._today = date(2000, 1, 1)
            self._window = timedelta(days=WINDOW_DAYS) if window else None
        self._faults.heal("")
        self._mail.mails = []
        self._mail.met = Counter()
        self._mail.plan([], 0, 0)

    def ports(self) -> tuple[int, int]:
        """The ports of the web server and of the mail server."""
        return self._server.port, self._mail.port

    # -- what it announces ---------------------------------------------------------------------------------

    def announce(self, day: date, daily: int = 6, elsewhere: int = 3) -> int:
        """Announce new works on `day`: `daily` of them in the daily listing, the others elsewhere; returns how many.

        One of the daily works is in the blog as well and one in the lab's feed; one of the blog's is in the lab's.
        Each feed, and each page of the daily listing, brings a repository or two.
        """
        with self._lock:
            first = len(self._works)
            stem = f"{day:%y%m}"
            added = []
            for n in range(daily):
                number = first + n
                feeds = ("daily", *(("blog",) if n == 0 else ()), *(("lab",) if n == 1 else ()))
                slug = f"harbour/lights-{number}" if n % 2 == 0 else ""
                added.append(Work(number, day, f"arxiv:{stem}.{10000 + number:05d}", feeds, slug))
            for n, feeds in enumerate((("blog",), ("blog", "lab"), ("lab",))[:elsewhere]):
                number = first + daily + n
                slug = f"harbour/lights-{number}" if n != 1 else ""
                added.append(Work(number, day, f"url:https://notes.example.org/{number}", feeds, slug))
            self._works += added
            self._today = max(self._today, day)
            return len(added)

    def announced(self) -> dict[str, dict[str, str]]:
        """For each feed what it announced so far: identifier → token."""
        return {feed: {w.name: w.token for w in self._works if feed in w.feeds} for feed in FEEDS}

    def works(self) -> tuple[Work, ...]:
        """Everything announced so far."""
        return tuple(self._works)

    def go_back(self, works: Sequence[Work]) -> None:
        """Nothing but these was announced."""
        self._works = list(works)

    def tokens(self) -> set[str]:
        """Of all works."""
        return {work.token for work in self._works}

    def repos(self) -> set[str]:
        """The repositories that the works name."""
        return {work.slug for work in self._works if work.slug}

    # -- what it took --------------------------------------------------------------------------------------

    def mails(self) -> list[Mail]:
        """Every message taken so far."""
        return list(self._mail.mails)

    def mail_plan(self, incidents: Sequence[tuple[str, str, bool]], wait_s: float, dot_wait_s: float) -> None:
        """Script the mail server: see `MailServer.plan`."""
        self._mail.plan(incidents, wait_s, dot_wait_s)

    def mail_left(self) -> int:
        """Incidents of the script that have not happened."""
        return self._mail.left()

    def mail_met(self) -> dict[str, int]:
        """Incidents that happened."""
        return dict(self._mail.met)

    # -- trouble -------------------------------------------------------------------------------------------

    def fail(self, prefix: str, status: int = 503, times: int = 1) -> None:
        """The next requests below `prefix` get this status."""
        self._faults.fail_next(prefix, status, times, {}, b"")

    def drop(self, prefix: str, times: int = 1) -> None:
        """The next requests below `prefix` lose their connection."""
        self._faults.drop_next(prefix, times)

    def heal(self) -> None:
        """Every trouble ends."""
        self._faults.heal("")
        self._mail.plan([], 0, 0)

    # -- the web server ------------------------------------------------------------------------------------

    def _handle(self, ask: Ask) -> Answer:
        return conditional(ask, self.answer(ask))

    def answer(self, ask: Ask) -> Answer:
        """What a request gets when nothing is wrong."""
        if ask.path == "/hf/api/daily_papers":
            return _tagged(self._daily(ask))
        if ask.path in {"/blog.json", "/lab.json"}:
            return _tagged(self._feed(ask.path[1:-5]))
        if ask.path.startswith("/github/repos/"):
            return _tagged(self._repo(ask.path.removeprefix("/github/repos/")))
        return text_answer("nothing here", 404)

    def _daily(self, ask: Ask) -> Answer:
        limit, page = int(ask.param("limit", "50")), int(ask.param("p", "0"))
        works = [w for w in self._works if "daily" in w.feeds and w.day.isoformat() == ask.param("date")]
        return json_answer([_hf_item(work) for work in works[page * limit : (page + 1) * limit]])

    def _feed(self, name: str) -> Answer:
        since = self._today - self._window if self._window is not None else date.min
        works = [w for w in self._works if name in w.feeds and w.day > since]
        items = [_feed_item(work) for work in reversed(works)]
        return json_answer({"version": "https://jsonfeed.org/version/1.1", "title": name, "items": items})

    def _repo(self, slug: str) -> Answer:
        number = slug.rpartition("-")[2]
        if slug not in self.repos():
            return json_answer({"message": "Not Found"}, 404)
        return json_answer(
            {"id": 1_000_000 + int(number), "full_name": slug, "html_url": f"https://github.com/{slug}",
             "stargazers_count": 40 + int(number) % 7, "forks_count": 3, "description": f"Code of {number}"}
        ).with_headers(**PLENTY)  # fmt: skip

    def _record(self, _: Any, __: str, target: str, ___: Any, ____: int) -> None:
        with self._lock:
            self._asked[target.partition("?")[0]] += 1


def _tagged(answer: Answer) -> Answer:
    return answer.with_headers(ETag=f'"{digest(answer.body)[:20]}"') if answer.status == 200 else answer


def _hf_item(work: Work) -> dict[str, Any]:
    paper = {
        "id": work.name.partition(":")[2], "title": work.title, "upvotes": work.number % 9,
        "summary": f"We read the tide from {work.number} lights along a harbour wall, night after night.",
        "authors": [{"name": "Ada Quill"}, {"name": "Bram Osei"}],
        "publishedAt": f"{work.day.isoformat()}T00:10:00.000Z",
    }  # fmt: skip
    if work.slug:
        paper["githubRepo"] = f"https://github.com/{work.slug}"
    return {"paper": paper, "numComments": 1}


def _feed_item(work: Work) -> dict[str, Any]:
    scheme, _, value = work.name.partition(":")
    url = f"https://arxiv.org/abs/{value}" if scheme == "arxiv" else value
    code = f" Code: https://github.com/{work.slug}" if work.slug and "daily" not in work.feeds else ""
    return {
        "id": url, "url": url, "title": work.title, "date_published": f"{work.day.isoformat()}T00:10:00Z",
        "content_text": f"A note on light number {work.number} of the harbour and what it tells.{code}",
    }  # fmt: skip


class _Manager(BaseManager):
    """Runs a world in a process of its own."""


_Manager.register("World", World)


@contextmanager
def world() -> Iterator[Any]:
    """A world in a process of its own; the object yielded has the methods of `World`."""
    manager = _Manager(ctx=get_context("fork"))
    manager.start(_quiet)
    try:
        yield manager.World()  # type: ignore[attr-defined]
    finally:
        manager.shutdown()


def _quiet() -> None:
    """The world ends with its plan, not with a key pressed at the terminal."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def as_json(mail: Mail) -> str:
    """A mail in one line, for messages about violations."""
    return json.dumps({"to": mail.to, "id": mail.message_id, "works": mail.tokens})
