"""The headers of every response: what a page may load, who may embed it, what may be cached."""

from http import HTTPStatus

from flask import Flask, Response, request

from dashboard.accounts.access import STATIC_ENDPOINTS

#: Everything comes from our own host, except the `data:` images in Bootstrap's style sheet (arrows and ticks).
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: For a figure of a training run (SVG): its own styles, no script, no access to our origin.
FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
#: For the report page of a training run: our styles and its figures; no script, no form, no embedding.
REPORT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "sandbox allow-same-origin; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would not do: over HTTPS, the CSRF check requires a referrer from our own host.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ONE_YEAR_SECONDS = 365 * 24 * 3600


def install(app: Flask, *, https: bool) -> None:
    """Add the headers to every response; browsers may cache only style sheets, scripts and the logo."""

    @app.after_request
    def _add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR_SECONDS}"
        if request.endpoint not in STATIC_ENDPOINTS or response.status_code >= HTTPStatus.BAD_REQUEST:
            response.headers["Cache-Control"] = "no-store"
        return response
