"""`modelc run --prompt`, `--messages` and `modelc chat`."""
import json
import os
import pty
import subprocess

from conftest import BINARY, CALCULATOR, MODEL, ROOT, modelc


def in_terminal(*args, stdin=""):
    """Output of a command whose input and output are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BINARY, *map(str, args)], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    os.write(ours, stdin.encode())
    output = b""
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # how Linux says that the other end has closed
        pass
    os.close(ours)
    return process.wait(timeout=60), output.decode()


def test_a_prompt_is_answered_on_stdout():
    result = modelc("run", MODEL, "--prompt", "What is 347 + 586?")
    assert (result.returncode, result.stdout, result.stderr) == (0, "347 + 586 = 933.\n", "")


def test_reasoning_is_dimmed_on_a_terminal():
    status, output = in_terminal("run", MODEL, "--prompt", "What is 347 + 586?")
    assert status == 0
    assert "\x1b[2m347 + 586: " in output
    assert output.rstrip().endswith("\x1b[0m347 + 586 = 933.")


def test_json_is_the_response_object():
    result = modelc("run", MODEL, "--prompt", "Who are you?", "--thinking", "off", "--json")
    response = json.loads(result.stdout)
    assert response["object"] == "chat.completion"
    assert "nano" in response["choices"][0]["message"]["content"]
    assert "reasoning_content" not in response["choices"][0]["message"]


def test_messages_from_a_file(tmp_path):
    path = tmp_path / "messages.json"
    path.write_text(json.dumps([{"role": "user", "content": "Who are you?"}]))
    assert "nano" in modelc("run", MODEL, "--messages", path).stdout
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "1223 * 670"}], "tools": [CALCULATOR]}))
    assert modelc("run", MODEL, "--messages", path, "--thinking", "off").stdout.startswith('calculator({"expression"')
    path.write_text(json.dumps([{"role": "critic", "content": "?"}]))
    result = modelc("run", MODEL, "--messages", path)
    assert result.returncode == 2 and "messages[0].role" in result.stderr and result.stderr.count("\n") == 1


def test_chat_in_process():
    result = modelc("chat", input="/thinking off\nWho are you?\n/clear\nWhat is 3 + 4?\n/quit\n")
    first, second = result.stdout.splitlines()
    assert "nano" in first and "7" in second
    assert result.returncode == 0


def test_chat_against_a_server(server, tmp_path):
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([CALCULATOR]))
    result = modelc("chat", server.url, "--tools", tools, input="/thinking off\n1223 * 670\n819410\n")
    assert result.returncode == 0, result.stderr
    call, answer = result.stdout.splitlines()
    assert call == 'calculator({"expression": "1223 * 670"})'
    assert "819410" in answer


def test_chat_in_a_terminal(server):
    status, output = in_terminal("chat", server.url, stdin="What is 347 + 586?\n/help\n/quit\n")
    assert status == 0
    assert "\x1b[2m" in output and "347 + 586 = 933." in output and "/thinking on|off" in output


def test_chat_without_a_server():
    result = modelc("chat", "http://127.0.0.1:9", input="Hi\n")
    assert result.returncode == 2 and "cannot reach" in result.stderr
    assert modelc("chat", "not a url", input="").returncode == 2
