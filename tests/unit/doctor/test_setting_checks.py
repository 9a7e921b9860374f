import base64
import hashlib

import pytest

from inferq.doctor.finding import Level
from inferq.doctor.setting_checks import (
    check_combinations,
    check_keys,
    check_traces,
    check_variables,
    check_webhooks,
)
from inferq.settings import Settings, load_valid_settings

DIGEST = hashlib.sha256(b"key").hexdigest()
RANDOM = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def levels(findings):
    return {(one.check, one.level.value) for one in findings}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lease_seconds": 5.0}, "INFERQ_LEASE_SECONDS is 5"),
        ({"lease_seconds": 10.0, "redis_timeout_seconds": 12.0}, "may wait 12 s"),
        ({"heartbeat_seconds": 20.0}, "counts as alive for 60 s"),
        (
            {"run_timeout_seconds": 60.0, "max_run_timeout_seconds": 30.0},
            "INFERQ_MAX_RUN_TIMEOUT_SECONDS, 30",
        ),
        ({"max_body_bytes": 2000, "max_inflight_bytes": 1000}, "INFERQ_MAX_INFLIGHT_BYTES"),
        ({"result_ttl_seconds": 5.0}, "results vanish"),
        ({"simulated_run_seconds": 3.0}, "every job takes so long"),
        ({"allowed_origins": "*"}, "every web page"),
    ],
)
def test_values_that_do_not_fit_together_are_named(values, words):
    [finding] = check_combinations(Settings(**values))
    assert finding.level is Level.WARNING
    assert words in finding.message
    assert finding.remedy


def test_defaults_fit_together():
    assert [*check_combinations(Settings()), *check_keys(Settings()), *check_webhooks(Settings())] == []


def test_variable_that_is_misspelt_or_renamed_or_not_valid_is_named(monkeypatch):
    monkeypatch.setenv("INFERQ_LEASE_SECONDS", "soon")
    monkeypatch.setenv("INFERQ_API_KEYS", "me:secret")
    settings, errors = load_valid_settings()
    assert (settings.lease_seconds, settings.api_keys) == (10.0, "")
    environment = {"INFERQ_REDIS_TIMOUT_SECONDS": "1", "INFERQ_JOB_TTL": "9", "INFERQ_PORT": "1", "PATH": "x"}
    found = list(check_variables(environment, errors))
    shown = "\n".join(f"{one.level} {one.message} {one.remedy}" for one in found)
    assert len(found) == 4
    assert "error INFERQ_LEASE_SECONDS is not valid" in shown
    assert "error INFERQ_API_KEYS is not valid" in shown
    assert "secret" not in shown
    assert "Did you mean INFERQ_REDIS_TIMEOUT_SECONDS?" in shown
    assert "INFERQ_JOB_TTL is now called INFERQ_JOB_TTL_SECONDS." in shown


def test_environment_without_faults_is_ok():
    assert levels(check_variables({"INFERQ_REDIS_URL": "redis://x", "HOME": "/"}, [])) == {("settings", "ok")}


def test_key_that_is_empty_is_an_error_and_a_name_given_twice_a_warning():
    nothing = hashlib.sha256(b"").hexdigest()
    [twice, empty] = check_keys(Settings(api_keys=f"a:{DIGEST},b:{nothing},a:{'0' * 64}"))
    assert (twice.level, empty.level) == (Level.WARNING, Level.ERROR)
    assert "'a'" in twice.message
    assert "'b'" in empty.message


def test_keys_for_metrics_must_exist():
    [finding] = check_keys(Settings(api_keys=f"a:{DIGEST}", metrics_keys="a, b"))
    assert "names b," in finding.message


def test_key_that_clients_send_must_be_one_that_the_proxy_knows():
    assert list(check_keys(Settings(api_keys=f"a:{DIGEST}", api_key="key"))) == []
    [finding] = check_keys(Settings(api_keys=f"a:{DIGEST}", api_key="other"))
    assert "none of INFERQ_API_KEYS" in finding.message


def test_traces_that_are_asked_for_and_cannot_be_made_are_warned_of():
    assert list(check_traces({"OTEL_SERVICE_NAME": "x"})) == []
    assert levels(check_traces({"OTEL_TRACES_EXPORTER": "otlp"})) == {("traces", "ok")}
    assert levels(check_traces({"OTEL_TRACES_EXPORTER": "zipkin"})) == {("traces", "warning")}


@pytest.mark.parametrize(
    "secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + base64.b64encode(b"abc" * 8).decode()]
)
def test_webhook_secret_that_can_be_guessed_is_an_error(secret):
    found = list(check_webhooks(Settings(webhook_secret=f"{RANDOM} {secret}", webhook_allowed_hosts="a.com")))
    assert levels(found) == {("webhooks", "error")}
    assert secret[6:] not in str(found)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"webhook_secret": RANDOM}, "any public host"),
        ({"webhook_secret": RANDOM, "webhook_private_addresses": True}, "any address of this network"),
        ({"webhook_allowed_hosts": "a.com"}, "Webhooks are off"),
    ],
)
def test_webhook_settings_that_let_much_through_or_do_nothing_are_warned_of(values, words):
    *_, finding = check_webhooks(Settings(**values))
    assert finding.level is Level.WARNING
    assert words in finding.message


def test_random_secret_with_named_receivers_is_ok():
    found = check_webhooks(Settings(webhook_secret=RANDOM, webhook_allowed_hosts="a.com"))
    assert levels(found) == {("webhooks", "ok")}
