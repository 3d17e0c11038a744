"""The headers that every answer carries: what a page may load, who may frame it, what may be stored."""

from http import HTTPStatus

from flask import Flask, Response, request

from dashboard.accounts.access import STATIC_ENDPOINTS

#: Bootstrap's style sheet draws arrows and ticks with `data:` pictures; nothing else is loaded from elsewhere.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: A figure that a training run drew: its own styles, no script, no parent's origin.
FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
#: The page that a training run wrote: our styles and its figures, no script, no form, nobody's frame.
REPORT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "sandbox allow-same-origin; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": over HTTPS, the CSRF check wants to see that a form came from our own page.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ONE_YEAR_SECONDS = 365 * 24 * 3600


def install(app: Flask, *, https: bool) -> None:
    """Add the headers to every answer; browsers keep nothing but style sheets, scripts and the logo."""

    @app.after_request
    def _add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR_SECONDS}"
        if request.endpoint not in STATIC_ENDPOINTS or response.status_code >= HTTPStatus.BAD_REQUEST:
            response.headers["Cache-Control"] = "no-store"
        return response
