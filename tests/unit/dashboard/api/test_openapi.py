"""The API answers as its OpenAPI document says, and shows a system only its own studies."""

import warnings

import pytest

from dashboard.accounts.login_failures import LoginFailures

EXAMPLES = 8


def test_the_document_names_every_address_of_the_api(app, client):
    """A new endpoint must be described."""
    document = client.get("/api/v1/openapi.json").json

    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")]
    assert len(rules) == sum(len(methods) for methods in document["paths"].values())
    assert "3.1.0" == document["openapi"]
    assert {"StudyList", "ModelList", "Acceptance", "Problem"} <= set(document["components"]["schemas"])


def test_a_system_sees_its_own_studies_and_every_model(client, basic, rows, scores):
    """A study of another sender is 404."""
    model = rows.model()
    own = rows.study(scores(Pneumonia=0.9), model=model)
    foreign = rows.study(scores(Pneumonia=0.9), model=model, source="pacs-south")

    assert [own] == [row["study"] for row in client.get("/api/v1/studies", headers=basic).json["studies"]]
    assert 0.9 == client.get(f"/api/v1/studies/{own}", headers=basic).json["probabilities"]["Pneumonia"]
    assert 404 == client.get(f"/api/v1/studies/{foreign}", headers=basic).status_code
    assert [True] == [row["active"] for row in client.get("/api/v1/models", headers=basic).json["models"]]


def test_pages_of_the_api_have_no_gap_or_overlap(client, basic, rows):
    """The cursor of the last page is null."""
    written = [rows.study(None) for _ in range(3)]

    first = client.get("/api/v1/studies?limit=2", headers=basic).json
    second = client.get(f"/api/v1/studies?limit=2&after={first['following']}", headers=basic).json

    assert written[::-1] == [row["study"] for row in first["studies"] + second["studies"]]
    assert second["following"] is None


@pytest.mark.filterwarnings("ignore")
def test_generated_requests_are_answered_as_the_document_says(app, basic, rows, scores):
    """Schemathesis generates requests for each operation; no answer is a 500 or undocumented."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schemathesis = pytest.importorskip("schemathesis")
        from schemathesis.specs.openapi.checks import positive_data_acceptance
    from hypothesis import HealthCheck, Phase, given, settings

    rows.study(scores(Pneumonia=0.9), model=rows.model())
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    operations = [operation.ok() for operation in schema.get_all_operations()]
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answered(case) -> None:
            # Wrong credentials are tried too, and count.
            app.extensions["thoraq_login_failures"] = LoginFailures("secret")
            # A request may be valid by the schema and be refused with 400: a schema knows neither roots nor used keys.
            case.call_and_validate(headers=basic, excluded_checks=[positive_data_acceptance])

        answered()
    assert len(operations) >= 7
