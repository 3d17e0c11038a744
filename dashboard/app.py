"""Builds the web application: settings, security, blueprints. The one place where they are put together."""

from importlib.metadata import version

from flask import Flask
from flask_bootstrap import Bootstrap5
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from dashboard import access, display, problems, security, sessions
from dashboard.api import api
from dashboard.auth import auth
from dashboard.health import health
from dashboard.heat_maps import heat_maps
from dashboard.metrics import metrics
from dashboard.models import models
from dashboard.queues import queues
from dashboard.schemas import schemas
from dashboard.settings import DashboardSettings, dashboard_settings
from dashboard.studies import studies
from dashboard.training import training
from dashboard.uploads import uploads

#: A form of ours is a few hundred bytes; endpoints that take files raise this for whoever may use them.
MAX_FORM_BYTES = 256 * 1024
STATIC_MAX_AGE_SECONDS = 24 * 3600


def create_app(settings: DashboardSettings | None = None) -> Flask:
    """Return the dashboard as a WSGI application.

    Raises:
        UnsafeSettings: a setting is missing or invalid.
    """
    settings = settings or dashboard_settings()
    app = Flask("dashboard")
    app.extensions["thoraq_settings"] = settings
    app.config.update(
        SECRET_KEY=settings.signing_key(),
        TRUSTED_HOSTS=settings.trusted_hosts or None,
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_MAX_AGE_SECONDS,
        BOOTSTRAP_SERVE_LOCAL=True,
        # The token lives as long as its session, whose limits are below an hour of silence.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.globals["thoraq_version"] = version("thoraq")
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    security.install(app, https=settings.secure_cookies)
    problems.install(app)
    display.install(app)
    sessions.install(app, settings)
    access.install(app)
    CSRFProtect(app).exempt(api)
    Bootstrap5(app)
    for blueprint in (
        auth,
        studies,
        heat_maps,
        uploads,
        queues,
        models,
        training,
        api,
        schemas,
        health,
        metrics,
    ):
        app.register_blueprint(blueprint)
    access.check_declarations(app)
    return app
