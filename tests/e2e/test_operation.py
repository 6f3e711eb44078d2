"""Keys, limits, TLS, metrics, and what never leaves the server."""
import os
import re
import socket
import ssl
import subprocess
import time

import httpx
import openai
import pytest
from conftest import CALCULATOR, MODEL, modelc

HELLO = [{"role": "user", "content": "Who are you?"}]
SUM = [{"role": "user", "content": "What is 347 + 586?"}]


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\nkey-of-alice alice\nkey-of-bob bob\n")
    return path


def test_keys(serve, keys):
    server = serve("--api-keys", keys)
    with pytest.raises(openai.AuthenticationError) as raised:
        server.client(api_key="wrong-key").chat.completions.create(model="nano", messages=HELLO)
    assert raised.value.code == "invalid_api_key"
    assert httpx.get(server.url + "/v1/models").status_code == 401
    assert httpx.get(server.url + "/health").status_code == 200
    long = [{"role": "user", "content": "Codes:\n" + "".join(f"k{i}: {i}\n" for i in range(80)) + "\nWhat is the code for k3?"}]

    def cached(key):
        answer = server.client(api_key=key).chat.completions.create(model="nano", messages=long, max_tokens=1)
        return answer.usage.prompt_tokens_details.cached_tokens

    assert cached("key-of-alice") == 0
    assert cached("key-of-alice") > 0
    assert cached("key-of-bob") == 0, "tenants do not share cached prompts"


def test_rate_limits_are_per_key(serve, keys):
    server = serve("--api-keys", keys, "--rate-limit", 2)
    alice = server.client(api_key="key-of-alice").chat.completions
    for _ in range(2):
        alice.create(model="nano", messages=HELLO, max_tokens=1)
    with pytest.raises(openai.RateLimitError) as raised:
        alice.create(model="nano", messages=HELLO, max_tokens=1)
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 30
    server.client(api_key="key-of-bob").chat.completions.create(model="nano", messages=HELLO, max_tokens=1)


@pytest.fixture
def certificate(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_tls(serve, certificate, tmp_path):
    cert, key = certificate
    server = serve("--tls-cert", cert, "--tls-key", key)
    assert server.url.startswith("https://")
    context = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(verify=context, timeout=60) as http:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", http_client=http)
        chunks = client.chat.completions.create(model="nano", messages=HELLO, stream=True)
        assert "nano" in "".join(c.choices[0].delta.content or "" for c in chunks)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{server.port}/health", timeout=20)
    wrong = modelc("run", MODEL, "--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", key)
    assert wrong.returncode == 2 and "--tls-cert" in wrong.stderr


def test_chat_over_tls(serve, certificate):
    cert, key = certificate
    server = serve("--tls-cert", cert, "--tls-key", key)
    asked = "/thinking off\nWho are you?\n"
    trusting = modelc("chat", server.url, input=asked, env={**os.environ, "SSL_CERT_FILE": str(cert)})
    assert trusting.returncode == 0 and "nano" in trusting.stdout, trusting.stderr
    wary = modelc("chat", server.url, input=asked)
    assert wary.returncode == 2 and wary.stdout == ""
    assert "certificate" in wary.stderr and "SSL_CERT_FILE" in wary.stderr and wary.stderr.count("\n") == 1
    for address in (f"https://localhost:{server.port}", f"http://127.0.0.1:{server.port}"):  # not in the certificate; not plain
        result = modelc("chat", address, input=asked, env={**os.environ, "SSL_CERT_FILE": str(cert)})
        assert result.returncode == 2 and result.stdout == "" and result.stderr.count("\n") == 1, result.stderr


def test_ipv6(serve):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:  # no IPv6 here: then the server says so
            result = modelc("run", MODEL, "--listen", "[::1]:0")
            assert result.returncode == 2 and "cannot listen on ::1" in result.stderr
            return
    server = serve(listen="[::1]:0")
    assert server.url.startswith("http://[::1]:")
    assert "nano" in server.client().chat.completions.create(model="nano", messages=HELLO).choices[0].message.content
    assert "nano" in modelc("chat", server.url, input="/thinking off\nWho are you?\n").stdout


def figures(server):
    """All of /metrics, once the engine is at rest: it counts a turn after it has handed the turn's tokens over."""
    deadline = time.monotonic() + 20
    while True:
        text = httpx.get(server.url + "/metrics").text
        found = {name: float(value) for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.M)}
        if found["modelc_engine_running_requests"] == 0:
            return found
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def test_metrics_add_up(server):
    before = figures(server)
    usage = server.client().chat.completions.create(model="nano", messages=SUM).usage
    after = figures(server)

    def grew(name):
        return after[name] - before.get(name, 0)

    assert grew("modelc_prompt_tokens_total") == usage.prompt_tokens
    assert grew("modelc_completion_tokens_total") == usage.completion_tokens
    assert grew("modelc_cached_tokens_total") == usage.prompt_tokens_details.cached_tokens
    assert grew("modelc_time_to_first_token_seconds_count") == 1
    assert grew("modelc_time_per_output_token_seconds_count") == usage.completion_tokens - 1
    assert grew('modelc_requests_total{route="/v1/chat/completions",status="200"}') == 1
    assert after["modelc_engine_pages_total"] > 0
    steps, accepted = grew("modelc_engine_steps_total"), grew("modelc_engine_accepted_tokens_total")
    assert usage.completion_tokens == steps + accepted, "a step gives one token, and one more where a guess was right"
    assert 0 < accepted <= grew("modelc_engine_drafted_tokens_total") < steps
    assert grew("modelc_engine_weight_read_bytes_total") > steps * 1e6
    assert grew("modelc_engine_cache_read_bytes_total") > steps * 656


def test_presets(serve):
    client = serve("--config", "models/speciale.json").client()
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="nano", messages=HELLO, tools=[CALCULATOR])
    assert raised.value.param == "tools"
    hard = [{"role": "user", "content": "What is 9876 * 7654?"}]     # nothing so small can do it in its head: it guesses digits
    answers = {client.chat.completions.create(model="nano", messages=hard, seed=s, max_tokens=30,
                                              extra_body={"thinking": {"type": "disabled"}}).choices[0].message.content for s in range(6)}
    assert len(answers) > 1, "it samples, where the checkpoint alone is greedy"


def test_nothing_said_is_written(serve):
    server = serve()
    secret = "xyzzy-4711"
    server.client().chat.completions.create(model="nano", messages=[{"role": "user", "content": secret}], max_tokens=5)
    httpx.post(server.url + "/v1/chat/completions", content=secret.encode())
    assert secret not in httpx.get(server.url + "/metrics").text
    assert secret not in server.stop()[1]


def test_bad_flags(tmp_path):
    for flags in (["--listen", "nowhere"], ["--listen", "127.0.0.1:99999"], ["--api-keys", tmp_path / "none"],
                  ["--rate-limit", "-1"], ["--tls-cert", tmp_path / "none"], ["--thinking", "on"],
                  ["--prompt", "a", "--messages", "b"], ["--messages", tmp_path / "none"]):
        result = modelc("run", MODEL, *flags)
        assert result.returncode == 2, flags
        assert result.stderr.count("\n") == 1 and result.stdout == "", flags
