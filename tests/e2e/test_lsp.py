"""modelc-lsp, spoken to as an editor does: over stdin and stdout."""
import json
import subprocess
from pathlib import Path

import pytest

from conftest import BINARY

SERVER = Path(BINARY).with_name("modelc-lsp")
MODEL = Path("models/v3.2.mlir").read_text()


class Editor:
    def __init__(self):
        self.server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ids = 0

    def send(self, method, params, **more):
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.server.stdin.flush()

    def receive(self):
        length = 0
        while line := self.server.stdout.readline().strip():
            name, value = line.split(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return json.loads(self.server.stdout.read(length))

    def ask(self, method, params):
        self.ids += 1
        self.send(method, params, id=self.ids)
        while (message := self.receive()).get("id") != self.ids:
            pass
        return message["result"]

    def open(self, uri, text):
        """The diagnostics of a file once it is open."""
        self.send("textDocument/didOpen",
                  {"textDocument": {"uri": uri, "languageId": "mlir", "version": 1, "text": text}})
        while (message := self.receive()).get("method") != "textDocument/publishDiagnostics":
            pass
        assert message["params"]["uri"] == uri
        return message["params"]["diagnostics"]


@pytest.fixture
def editor():
    editor = Editor()
    capabilities = editor.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["capabilities"]
    assert capabilities["definitionProvider"] and capabilities["hoverProvider"]
    editor.send("initialized", {})
    yield editor
    editor.ask("shutdown", None)
    editor.send("exit", None)
    assert editor.server.wait(timeout=30) == 0


def test_a_model_has_no_diagnostics(editor):
    assert editor.open("file:///good.mlir", MODEL) == []


def test_a_wrong_op_is_shown_where_it_is(editor):
    lines = MODEL.splitlines()
    row = next(i for i, line in enumerate(lines) if "lm.dsa.select" in line)
    lines[row] = lines[row].replace("lm.dsa.select", "lm.dsa.choose")
    (diagnostic,) = editor.open("file:///bad.mlir", "\n".join(lines))
    assert "lm.dsa.choose" in diagnostic["message"]
    assert diagnostic["range"]["start"]["line"] == row


def test_a_value_leads_to_its_op(editor):
    uri = "file:///good.mlir"
    editor.open(uri, MODEL)
    lines = MODEL.splitlines()
    use = next(i for i, line in enumerate(lines) if "lm.mla.attend" in line)
    made = next(i for i, line in enumerate(lines) if "%sel =" in line)
    found = editor.ask("textDocument/definition", {"textDocument": {"uri": uri},
                                                   "position": {"line": use, "character": lines[use].index("%sel") + 1}})
    assert [place["range"]["start"]["line"] for place in found] == [made]


def test_a_plugin_that_is_not_there():
    result = subprocess.run([SERVER, "--load-dialect-plugin=none.so"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert result.stderr.startswith("modelc-lsp: ") and "none.so" in result.stderr
