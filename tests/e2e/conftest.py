"""Starts the real binary and gives its address: `server` is shared, `serve` starts others with flags of their own."""
import os
import queue
import re
import resource
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import openai
import pytest

CACHE = tempfile.TemporaryDirectory(prefix="modelc-cache-")
os.environ["XDG_CACHE_HOME"] = CACHE.name  # not the schedules this machine's user has tuned
ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MODELC_BIN", ROOT / "build/release/bin/modelc"))
MODEL = "models/v3.2.mlir"


def modelc(*args, **kwargs):
    """Runs `modelc ARGS` to its end."""
    return subprocess.run([BINARY, *map(str, args)], cwd=ROOT, capture_output=True, text=True, timeout=120, **kwargs)


class Server:
    """`modelc run` on a port of its own. `limits`: (resource, soft limit) pairs it starts with."""

    def __init__(self, *flags, listen="127.0.0.1:0", limits=()):
        def lower():
            for name, soft in limits:
                resource.setrlimit(name, (soft, resource.getrlimit(name)[1]))

        command = [BINARY, "run", MODEL, "--listen", listen, *map(str, flags)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lower)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=120)
        except queue.Empty:
            self.process.kill()
            raise RuntimeError("the server did not say that it is ready")
        found = re.search(r"https?://\S+", line)
        if not found:
            self.process.kill()
            raise RuntimeError(f"the server did not start: {line}{self.process.stderr.read()}")
        self.url = found.group()
        self.port = int(self.url.rsplit(":", 1)[1])

    def client(self, **kwargs):
        return openai.OpenAI(base_url=self.url + "/v1", api_key=kwargs.pop("api_key", "none"), max_retries=0, **kwargs)

    def stop(self, number=signal.SIGTERM):
        """Ends the server; returns its exit status and what it wrote after the ready line."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out + err


@pytest.fixture
def serve():
    servers = []

    def start(*flags, **kwargs):
        servers.append(Server(*flags, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server():
    started = Server()
    yield started
    status, output = started.stop()
    assert status == 0, output
    assert "Sanitizer" not in output


@pytest.fixture
def client(server):
    return server.client()


CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluate an arithmetic expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}
