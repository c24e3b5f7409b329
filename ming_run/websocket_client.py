"""A small WebSocket reader (RFC 6455) on the standard library.

Reads text and binary messages and answers pings; knows nothing about what the messages mean.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
from urllib.parse import urlsplit

MOST_BYTES = 1 << 28  # of one message; no preview of a ComfyUI is a tenth as large
_MOST_HEADER = 1 << 16
_LONGEST_PING = 125  # fixed by the RFC
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # fixed by the RFC
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class WebSocketError(OSError):
    """The connection could not be made, or broke."""


class WebSocket:
    """One client connection to http(s)://host:port/path."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        is_secure = parts.scheme in ("https", "wss")
        host, port = parts.hostname or "127.0.0.1", parts.port or (443 if is_secure else 80)
        raw = socket.create_connection((host, port), timeout)
        if is_secure:
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        self._socket = raw
        self._received = bytearray()
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._shake_hands(target, f"{host}:{port}")

    def receive(self, timeout: float) -> str | bytes | None:
        """The next whole message; None when nothing has come within `timeout` seconds."""
        self._socket.settimeout(timeout)
        message, kind = b"", 0
        while True:
            try:
                self._fill(2)  # waits here only; what has begun is read to its end
            except TimeoutError:
                if message:
                    raise WebSocketError("the server stopped in the middle of a message") from None
                return None
            is_last, code, payload = self._read_frame()
            if code == _CLOSE:
                raise WebSocketError("the server closed the connection")
            if code == _PING and len(payload) <= _LONGEST_PING:
                self._send(_PONG, payload)
            if code >= _CLOSE:
                continue
            kind = kind or code
            message = _joined(message, payload)
            if is_last:
                return _decoded(message) if kind == _TEXT else message

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._send(_TEXT, text.encode())

    def close(self) -> None:
        """Close without waiting for the other side."""
        self._socket.close()

    def _shake_hands(self, target: str, host: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {target} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        while b"\r\n\r\n" not in self._received:
            if len(self._received) > _MOST_HEADER:
                raise WebSocketError("the server did not answer as one with WebSockets does")
            self._read_more()
        header, _, self._received = self._received.partition(b"\r\n\r\n")
        digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
        if b" 101 " not in header.split(b"\r\n")[0] or base64.b64encode(digest) not in header:
            status = header.split(b"\r\n")[0].decode(errors="replace")
            raise WebSocketError(f"the server refused the WebSocket: {status}")

    def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return bool(first & 0x80), first & 0x0F, self._take(size)

    def _take(self, count: int) -> bytes:
        if count > MOST_BYTES:
            raise _too_long()
        self._fill(count)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _fill(self, count: int) -> None:
        while len(self._received) < count:
            self._read_more()

    def _read_more(self) -> None:
        chunk = self._socket.recv(65536)
        if not chunk:
            raise WebSocketError("the server closed the connection")
        self._received += chunk

    def _send(self, code: int, payload: bytes) -> None:
        """Clients must mask what they send."""
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            header = struct.pack("!BB", 0x80 | code, 0x80 | size)
        else:
            header = struct.pack("!BBH", 0x80 | code, 0x80 | 126, size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.sendall(header + mask + masked)


def _joined(begun: bytes, more: bytes) -> bytes:
    if len(begun) + len(more) > MOST_BYTES:
        raise _too_long()
    return begun + more


def _too_long() -> WebSocketError:
    return WebSocketError(f"the server sent more than {MOST_BYTES:,} bytes as one message")


def _decoded(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise WebSocketError("the server sent a text that is not UTF-8") from None
