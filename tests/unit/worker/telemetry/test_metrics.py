"""A process serves its measurements to Prometheus."""

import urllib.request

import pytest
from prometheus_client import REGISTRY

from worker.demo.embedded_redis import free_port
from worker.telemetry import metrics


def test_a_scrape_answers_with_what_was_measured():
    """The process that does the work serves them."""
    port = free_port()
    metrics.serve("127.0.0.1", port)

    before = REGISTRY.get_sample_value("thoraq_predict_seconds_count")
    metrics.decoding.observe(0.03)
    with metrics.predicting.time():
        pass
    metrics.count_batch(30, ["corrupt", "blank"])
    metrics.name_loaded_model("v3-1", "tensorflow cpu")
    metrics.name_loaded_model("v3-2", "tensorflow cpu")

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for line in (
        'thoraq_decode_seconds_bucket{le="0.05"} ',
        f"thoraq_predict_seconds_count {before + 1}",
        'thoraq_batch_films_bucket{le="32.0"} ',
        "thoraq_record_seconds_count ",
        'thoraq_films_rejected_total{reason="corrupt"} ',
        'thoraq_loaded_model_info{device="tensorflow cpu",version="v3-2"} 1.0',
    ):
        assert line in text
    assert 'version="v3-1"' not in text


def test_a_port_in_use_is_a_warning(caplog):
    """A second worker on the same host works without metrics."""
    port = free_port()
    metrics.serve("127.0.0.1", port)

    metrics.serve("127.0.0.1", port)

    assert f"no metrics on 127.0.0.1:{port}" in caplog.text


@pytest.mark.parametrize("delivered", [True, False])
def test_wakeups_are_counted_delivered_or_not(delivered):
    """Many that are not delivered mean that the broker is out. The old name stays for one version."""
    metrics.count_wakeup("thoraq.test", delivered=delivered)

    value = str(delivered).lower()
    new, old = {"task": "thoraq.test", "delivered": value}, {"task": "thoraq.test", "heard": value}
    assert 1 == REGISTRY.get_sample_value("thoraq_wakeups_total", new)
    assert 1 == REGISTRY.get_sample_value("thoraq_bells_total", old)
