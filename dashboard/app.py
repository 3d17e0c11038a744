"""Builds the web application from its settings, extensions and blueprints."""

from importlib.metadata import version

from flask import Flask
from flask_bootstrap import Bootstrap5
from flask_compress import Compress
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from dashboard import errors, formatting, headers
from dashboard.accounts import access, admin_pages, login_pages, sessions
from dashboard.api import results, schemas, submissions
from dashboard.models import drift_page, model_pages, promotion, retraining_page
from dashboard.multipart import MAX_FORM_BYTES, Request
from dashboard.operations import health, metrics, queue_page
from dashboard.row_ids import RowIdConverter
from dashboard.settings import DashboardSettings, dashboard_settings
from dashboard.studies import heat_maps, pictures, review_forms, study_page, upload_page, worklist_page

MODULES = (
    login_pages,
    worklist_page,
    study_page,
    pictures,
    heat_maps,
    review_forms,
    upload_page,
    queue_page,
    promotion,
    model_pages,
    drift_page,
    retraining_page,
    admin_pages,
    submissions,
    results,
    schemas,
    health,
    metrics,
)
STATIC_MAX_AGE_SECONDS = 24 * 3600


def create_app(settings: DashboardSettings | None = None) -> Flask:
    """Return the dashboard as a WSGI application.

    Raises:
        UnsafeSettings: a setting is missing or invalid.
    """
    settings = settings or dashboard_settings()
    app = Flask("dashboard")
    app.request_class = Request
    app.extensions["thoraq_settings"] = settings
    app.config.update(
        SECRET_KEY=settings.signing_key(),
        TRUSTED_HOSTS=settings.trusted_hosts or None,
        # Endpoints that take files raise this limit once the caller is known.
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_MAX_AGE_SECONDS,
        BOOTSTRAP_SERVE_LOCAL=True,
        # Style sheets and scripts only: the length of a compressed page would reveal its token (BREACH).
        COMPRESS_MIMETYPES=["text/css", "text/javascript"],
        COMPRESS_ALGORITHM=["gzip"],
        # A CSRF token is valid as long as its session, which has limits of its own.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.globals["thoraq_version"] = version("thoraq")
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    headers.install(app, https=settings.secure_cookies)
    errors.install(app)
    formatting.install(app)
    sessions.install(app, settings)
    access.install(app)
    app.before_request(errors.refuse_unread_body)
    CSRFProtect(app).exempt(submissions.blueprint)
    Bootstrap5(app)
    Compress(app)
    app.url_map.converters["row_id"] = RowIdConverter
    for module in MODULES:
        app.register_blueprint(module.blueprint)
    access.check_declarations(app)
    return app
