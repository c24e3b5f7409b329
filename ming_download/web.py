"""Web addresses, opened without giving a token or https away."""

import ssl
import urllib.request
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from .catalogue import DownloadError, said


def open_url(request: urllib.request.Request, limit: float) -> Any:  # noqa: ANN401
    """Open a web address; sign-in headers stay with the server they are for."""
    if not request.has_header("User-agent"):
        request.add_header("User-Agent", "ming-univision-nodes")
    opener = urllib.request.build_opener(
        _SecretsStay(), urllib.request.HTTPSHandler(context=_trusted())
    )
    return opener.open(request, timeout=limit)


class _SecretsStay(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none out of https; what signs in stays with its server."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ANN401
        """Follow, without reading what stands beside the address, however long."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, req: Any, *others: Any) -> urllib.request.Request | None:  # noqa: ANN401
        following = super().redirect_request(req, *others)
        if following is not None:
            before, after = (urlsplit(r.full_url) for r in (req, following))
            if after.scheme not in ("https", before.scheme):
                raise DownloadError(
                    f"{before.netloc} sends on from {before.scheme} to {said(after.scheme)}, where "
                    "others could read or change what comes. Use another source."
                )
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                following.remove_header("Authorization")
                following.remove_header("Cookie")
        return following


@cache  # reading the certificates takes longer than many a request
def _trusted() -> ssl.SSLContext:
    """The certificates of certifi where it is installed: some Pythons come without any."""
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
