"""Many HTTP clients in one thread, each a generator, cheap enough to load a cluster beside it.

A client yields what it wants and is resumed with what came of it:

    reply = yield Ask(node, request, timeout_s)    # a Reply, or why there is none
    data = yield More(timeout_s)                   # of an Ask with `stream`: more of its body, or why not
    yield Pause(seconds)
"""
import errno
import heapq
import itertools
import select
import socket
import time
from typing import NamedTuple

# Why there is no reply. REFUSED: nothing of the request was sent.
REFUSED, LOST, LATE = "refused", "lost", "late"


class Ask(NamedTuple):
    node: int
    request: bytes
    timeout_s: float
    stream: bool = False


class More(NamedTuple):
    timeout_s: float


class Pause(NamedTuple):
    seconds: float


class Reply(NamedTuple):
    status: int
    head: bytes
    body: bytes

    def header(self, name):
        """The value of a header, written as the server writes its name; None without it."""
        at = self.head.find(b"\r\n%s: " % name)
        if at < 0:
            return None
        at += len(name) + 4
        return self.head[at:self.head.index(b"\r\n", at)]


class _Session:
    """One client and its connection."""

    def __init__(self, client):
        self.client = client
        self.wish = None
        self.turn = 0  # Of its wishes; a timer of an earlier one is void.
        self.socket = None
        self.node = None
        self.connecting = False
        self.unsent = self.received = b""


class Loop:
    """`addresses`: (host, port) of each node."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.poll = select.epoll()
        self.by_fd = {}
        self.timers = []
        self.numbers = itertools.count()
        self.running = 0

    def add(self, client):
        self.running += 1
        session = _Session(client)
        self._at(time.monotonic(), session)

    def run(self, ended=lambda: False):
        """Until every client has ended, or `ended` says so."""
        while self.running and not ended():
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                _, _, turn, session = heapq.heappop(self.timers)
                if turn == session.turn:
                    self._expire(session)
            wait = min(0.1, max(0.0, self.timers[0][0] - time.monotonic())) if self.timers else 0.1
            for fd, events in self.poll.poll(wait):
                session = self.by_fd.get(fd)
                if session is not None:
                    self._ready(session, events)

    # ---- one client's turn ----

    def _at(self, when, session):
        heapq.heappush(self.timers, (when, next(self.numbers), session.turn, session))

    def _resume(self, session, result):
        session.turn += 1
        try:
            session.wish = wish = session.client.send(result)
        except StopIteration:
            self._drop(session)
            self.running -= 1
            return
        if isinstance(wish, Pause):
            self._at(time.monotonic() + wish.seconds, session)
            return
        self._at(time.monotonic() + wish.timeout_s, session)
        if isinstance(wish, More):
            self._take(session)
            return
        if session.socket is not None and session.node != wish.node:
            self._drop(session)
        session.unsent = wish.request
        if session.socket is None:
            self._connect(session, wish.node)
        else:
            self._send(session)

    def _expire(self, session):
        if session.wish is None or isinstance(session.wish, Pause):
            self._resume(session, None)
            return
        if session.wish is REFUSED:
            self._resume(session, REFUSED)
            return
        self._fail(session, LATE)

    def _fail(self, session, why):
        if session.connecting:
            why = REFUSED
        self._drop(session)
        self._resume(session, why)

    # ---- its connection ----

    def _drop(self, session):
        if session.socket is not None:
            self.by_fd.pop(session.socket.fileno())
            session.socket.close()
        session.socket, session.connecting, session.received = None, False, b""

    def _connect(self, session, node):
        session.socket, session.node = socket.socket(), node
        session.socket.setblocking(False)
        session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.connecting = True
        fd = session.socket.fileno()
        self.by_fd[fd] = session
        code = session.socket.connect_ex(self.addresses[node])
        if code not in (0, errno.EINPROGRESS):
            # Told later, like any answer: no call resumes a client from inside its own turn.
            self._drop(session)
            session.turn += 1
            session.wish = REFUSED
            self._at(time.monotonic() + 0.01, session)
            return
        self.poll.register(fd, select.EPOLLOUT)

    def _send(self, session):
        try:
            sent = session.socket.send(session.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = -1  # The reading side finds out.
        session.unsent = session.unsent[sent:] if sent >= 0 else b""
        self.poll.modify(session.socket.fileno(),
                         select.EPOLLIN | (select.EPOLLOUT if session.unsent else 0))

    def _ready(self, session, events):
        if session.connecting:
            if session.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._fail(session, REFUSED)
                return
            try:
                session.socket.getpeername()
            except OSError:
                return  # The event was of a socket that had this number before.
            session.connecting = False
            self._send(session)
            return
        if session.unsent and events & select.EPOLLOUT:
            self._send(session)
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._receive(session)

    def _receive(self, session):
        try:
            data = session.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if isinstance(session.wish, (Ask, More)):
                self._fail(session, LOST)
            else:
                self._drop(session)
            return
        session.received += data
        self._take(session)

    def _take(self, session):
        """What has come, if it is what the client waits for."""
        wish = session.wish
        if isinstance(wish, More):
            if session.received:
                data, session.received = session.received, b""
                self._resume(session, data)
            return
        if not isinstance(wish, Ask):
            return
        head_end = session.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head, size = session.received[:head_end + 2], 0
        reply = Reply(int(head[9:12]), head, b"")
        streams = wish.stream and reply.status == 200
        if not streams and not wish.request.startswith(b"HEAD"):
            size = int(reply.header(b"Content-Length") or 0)
        end = head_end + 4 + size
        if len(session.received) < end:
            return
        reply = reply._replace(body=session.received[head_end + 4:end])
        session.received = session.received[end:]
        if reply.header(b"Connection") == b"close" and not streams:
            self._drop(session)
        self._resume(session, reply)


def request(method, target, headers="", body=b""):
    head = "%s %s HTTP/1.1\r\nHost: x\r\n%s" % (method, target, headers)
    if method in ("POST", "PUT"):
        head += "Content-Length: %d\r\n" % len(body)
    return head.encode() + b"\r\n" + body
