"""What a server sends over its WebSocket is read with bounds, and becomes an error of ours."""

import json
import struct

import pytest

from ming_run.comfyui_client import ComfyClient, _Follower
from ming_run.host import HostError, Job, RunError
from ming_run.websocket_client import MOST_BYTES, WebSocket, WebSocketError

TEXT, PING = 0x81, 0x89


class Wire:
    """A socket that gives these bytes, and keeps what it is sent."""

    def __init__(self, content: bytes):
        self.content, self.sent = content, b""

    def settimeout(self, seconds: float) -> None: ...

    def recv(self, count: int) -> bytes:
        taken, self.content = self.content[:count], self.content[count:]
        return taken

    def sendall(self, content: bytes) -> None:
        self.sent += content


class Silent:
    """A `Watcher` of nothing."""

    def node_started(self, title: str) -> None: ...

    def advanced(self, done: int, total: int) -> None: ...

    def noted(self, message: str) -> None: ...


def connected(content: bytes) -> WebSocket:
    made = object.__new__(WebSocket)
    made._socket, made._received = Wire(content), bytearray()
    return made


def frame(payload: bytes, code: int = TEXT, size: int | None = None) -> bytes:
    return struct.pack("!BBQ", code, 127, len(payload) if size is None else size) + payload


def test_messages_are_read_and_pings_are_answered():
    made = connected(frame(b"a", PING) + frame("雪".encode()) + frame(b"x" * 70_000))
    assert [made.receive(1), made.receive(1)] == ["雪", "x" * 70_000]
    assert len(made._socket.sent) == 2 + 4 + 1


@pytest.mark.parametrize(
    "content",
    [
        frame(b"", size=2**63),
        frame(b"x", code=0x01) + frame(b"", code=0x80, size=MOST_BYTES + 1),
        frame(b"\xff"),
        frame(b"x" * 70_000, PING),
        frame(b"x", size=2),
    ],
    ids=["size", "pieces", "no text", "ping", "cut"],
)
def test_what_is_no_message_ends_the_connection(content):
    with pytest.raises(WebSocketError):
        connected(content).receive(1)


def test_a_server_without_websockets_is_named():
    made = connected(b"x" * 200_000)
    with pytest.raises(WebSocketError, match="did not answer as one with WebSockets does"):
        made._shake_hands("/ws", "127.0.0.1:1")


@pytest.mark.parametrize(
    "message",
    [
        "[" * 100_000,
        "7",
        '{"data": 7}',
        json.dumps({"type": "execution_error", "data": {"prompt_id": "id"}}),
        json.dumps({"type": "progress", "data": {"prompt_id": "id", "value": [], "max": 1}}),
    ],
)
def test_messages_of_another_form_are_named(message):
    job = Job("x", {"1": {"class_type": "A", "inputs": {}}})
    client, socket = ComfyClient("http://127.0.0.1:1"), connected(frame(message.encode()))
    with pytest.raises(HostError, match="not how a ComfyUI answers"):
        _Follower(client, socket, job, "id", Silent()).follow()


@pytest.mark.parametrize("answer", [[], {"id": 7}, {"id": {"status": {"messages": [7]}}}])
def test_a_history_of_another_form_is_named(answer, monkeypatch):
    monkeypatch.setattr(ComfyClient, "get", lambda *_: answer)
    follower = _Follower(
        ComfyClient("http://127.0.0.1:1"), connected(b""), Job("x", {}), "id", Silent()
    )
    with pytest.raises(RunError, match="not how a ComfyUI answers"):
        follower._check_history()
