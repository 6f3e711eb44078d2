"""What is refused, and how: OpenAI's error objects for everything, and a server that stays sound."""
import json
import os
import random
import resource
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

HELLO = [{"role": "user", "content": "Who are you?"}]
COUNT = [{"role": "user", "content": "What is 347 + 586?"}]


def post(server, **kwargs):
    return httpx.post(server.url + "/v1/chat/completions", timeout=60, **kwargs)


def error(response, status):
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    return body["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"messages": }', b"\xff\xfe", b'{"messages": "\xc3\x28"}',
                                  b'{"a":' * 5000, b"[" * 100000])
def test_bad_json(server, body):
    assert error(post(server, content=body), 400)["code"] == "invalid_json"


@pytest.mark.parametrize("field, value", [
    ("messages", "Hi"), ("messages", []), ("messages", [5]), ("messages", [{"role": "critic", "content": "x"}]),
    ("messages", [{"role": "user", "content": 5}]), ("messages", [{"role": "user"}]),
    ("model", 7), ("temperature", "hot"), ("temperature", -1), ("temperature", 99), ("top_p", 2), ("n", 0), ("n", "two"),
    ("max_tokens", -1), ("max_tokens", 1.5), ("max_tokens", 10**30), ("stream", "yes"), ("stop", 5), ("stop", [""]),
    ("seed", "lucky"), ("logprobs", "all"), ("top_logprobs", 99), ("logit_bias", {"x": 1}), ("logit_bias", {"999999": 1}),
    ("tools", {}), ("tools", [{}]), ("tools", [{"type": "function"}]), ("tool_choice", 5), ("tool_choice", "required"),
    ("response_format", "json"), ("response_format", {"type": "yaml"}), ("thinking", "on"), ("thinking", {"type": 1}),
    ("chat_template_kwargs", []), ("presence_penalty", 9), ("min_p", -1), ("top_k", 0.5),
])
def test_wrong_fields_are_named(server, field, value):
    failure = error(post(server, json={"messages": HELLO, field: value}), 400)
    assert failure["param"].startswith(field)
    assert failure["type"] == "invalid_request_error"


def test_unknown_fields_are_ignored(server):
    body = {"messages": HELLO, "max_tokens": 1, "frobnicate": [1], "user": "x", "metadata": {}, "temperature": None}
    assert post(server, json=body).status_code == 200


def test_the_client_raises_its_own_errors(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-4", messages=HELLO)
    assert raised.value.code == "model_not_found" and raised.value.param == "model"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="nano", messages=HELLO, temperature=9)
    assert raised.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "one two " * 20000}])
    assert raised.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="nano", messages=HELLO, max_tokens=100000)
    assert raised.value.code == "context_length_exceeded"


def test_routes_and_methods(server):
    assert error(httpx.get(server.url + "/nowhere"), 404)["code"] == "not_found"
    response = httpx.get(server.url + "/v1/chat/completions")
    assert error(response, 405) and response.headers["allow"] == "POST"
    assert httpx.get(server.url + "/health").json() == {"status": "ok"}
    assert httpx.head(server.url + "/health").status_code == 200


def test_too_large(server):
    assert error(post(server, content=b"x" * (9 << 20)), 413)["code"] == "request_too_large"

    def endless():
        while True:
            yield b" " * 65536

    try:
        assert post(server, content=endless()).status_code == 413
    except httpx.TransportError:
        pass  # the connection may be gone before the client looks for an answer
    assert httpx.get(server.url + "/health").status_code == 200


@pytest.mark.parametrize("text", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"SSH-2.0-x\r\n\r\n",
                                  b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                                  b"GET / HTTP/1.1\r\nX: " + b"x" * 30000])
def test_what_is_no_http(server, text):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(text)
        reply = client.recv(4096)
    assert reply.startswith(b"HTTP/1.1 4")


def test_a_slow_header_is_bounded(server):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(60):
                client.sendall(b"X: y\r\n")
                client.settimeout(0.5)
                try:
                    if client.recv(1) == b"":
                        raise OSError("closed")
                except TimeoutError:
                    pass
    assert time.monotonic() - start < 25


def figure(client, name):
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError("no such metric")


def running(server):
    with httpx.Client(base_url=server.url) as client:
        return figure(client, "modelc_engine_running_requests")


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


LONG = {"messages": COUNT, "max_tokens": 6000, "logit_bias": {"1": -100}, "stream": True}  # the end token is forbidden


def test_a_client_that_leaves_frees_the_engine(server):
    with httpx.stream("POST", server.url + "/v1/chat/completions", json=LONG, timeout=60) as response:
        lines = response.iter_lines()  # kept: without it the client closes the connection
        next(lines)
        wait_until(lambda: running(server) >= 1)
    wait_until(lambda: running(server) == 0)
    body = json.dumps({**LONG, "stream": False}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait_until(lambda: running(server) >= 1)
    wait_until(lambda: running(server) == 0)


def test_many_clients_at_once(server):
    alone = post(server, json={"messages": COUNT}).json()["choices"][0]["message"]

    def one(i):
        if i % 3 == 0:
            with httpx.stream("POST", server.url + "/v1/chat/completions", json={"messages": COUNT, "stream": True}, timeout=120) as r:
                return sum(1 for line in r.iter_lines() if line.startswith("data: ")) > 10
        return post(server, json={"messages": COUNT}).json()["choices"][0]["message"] == alone

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(48)))


def test_idle_connections_do_not_keep_others_out(server):
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    try:
        assert post(server, json={"messages": HELLO, "max_tokens": 1}).status_code == 200
    finally:
        for s in sockets:
            s.close()


def test_more_connections_than_allowed(serve):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    server = serve(limits=[(resource.RLIMIT_NOFILE, 256)])  # the soft limit a shell may give it: it raises its own
    first = httpx.Client(base_url=server.url)
    first.get("/health")
    sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(999)]
    try:
        wait_until(lambda: figure(first, "modelc_connections") == 1000)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as one_more:
            assert one_more.recv(1) == b"", "closed without a word"
        body = {"messages": HELLO, "max_tokens": 1}
        assert first.post("/v1/chat/completions", json=body, timeout=60).status_code == 200, "who is in is served"
    finally:
        for s in sockets:
            s.close()
    wait_until(lambda: figure(first, "modelc_connections") == 1)
    assert post(server, json={"messages": HELLO, "max_tokens": 1}).status_code == 200


def test_clients_that_come_and_go_leave_nothing_behind(serve):
    server = serve()
    random_ = random.Random(7)

    def one(seed):
        dice = random.Random(seed)
        body = {"messages": [{"role": "user", "content": f"What is {seed} + 586?"}], "stream": dice.random() < 0.8,
                "n": dice.choice([1, 1, 2]), "max_tokens": dice.choice([1, 40, 4000])}
        try:
            with httpx.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=dice.choice([0.05, 0.5, 30])) as r:
                for _ in zip(r.iter_raw(), range(dice.randrange(30))):
                    pass
        except httpx.TransportError:
            pass

    client = httpx.Client(base_url=server.url)
    for _ in range(3):
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(one, [random_.randrange(900) for _ in range(64)]))
        for name in ("running_requests", "waiting_requests", "pages_used"):
            wait_until(lambda: figure(client, "modelc_engine_" + name) == 0)
        wait_until(lambda: figure(client, "modelc_connections") == 1)
    assert post(server, json={"messages": COUNT}).json()["choices"][0]["message"]["content"] == "347 + 586 = 933."
    status, output = server.stop()
    assert (status, output) == (0, "")


def test_shutdown_lets_answers_end(serve):
    server = serve()
    replies = []
    asking = threading.Thread(target=lambda: replies.append(post(server, json={"messages": COUNT})))
    asking.start()
    wait_until(lambda: running(server) >= 1 or replies)
    status, output = server.stop(signal.SIGTERM)
    asking.join()
    assert status == 0, output
    assert replies[0].status_code == 200 and "933" in replies[0].text


def test_an_interrupt_is_told_apart(serve):
    assert serve().stop(signal.SIGINT)[0] == 130


def test_weights_cut_short_under_a_server(serve, tmp_path):
    weights = shutil.copytree("models/nano/checkpoint", tmp_path / "nano")
    server = serve("--weights", weights)
    shard = weights / "model-00002-of-00002.safetensors"
    os.truncate(shard, 100000)
    with pytest.raises(httpx.TransportError):
        post(server, json={"messages": COUNT})
    status, output = server.stop()
    assert status == 2
    assert output == f"modelc: '{shard}' cannot be read any more: it was cut short while in use, or its disk failed; " \
                     "restore it and start again\n"
