"""The built `projector global`, started as a user would, and one plain HTTP call to it."""

import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

PRODUCT = os.path.join(os.path.dirname(__file__), "..", "..", ".build", "debug", "projector")

# Long enough that no clock ends anything while a history is made: time has tests of its own.
SETTINGS = [
    "--lease-seconds", "86400", "--heartbeat-seconds", "3600", "--region-silent-seconds", "86400",
    "--deployment-deadline-seconds", "86400", "--log-level", "error",
]


class Unanswered(Exception):
    """The connection ended before an answer: what became of the request is not known."""


@dataclass
class Answer:
    status: int
    body: dict

    @property
    def code(self):
        """A problem's code; None for an answer that is none."""
        return self.body.get("code") if self.status >= 400 else None


class Server:
    """One global process over one data directory. `kill` and `start` as often as one likes; the address stays."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="drover-model-")
        self.data = os.path.join(self.home.name, "data")
        self.listen = "127.0.0.1:0"
        self.process = None
        self.starts = 0

    def start(self, *more):
        self.starts += 1
        ready = os.path.join(self.home.name, f"ready-{self.starts}")
        with open(os.path.join(self.home.name, "output.log"), "ab") as output:
            self.process = subprocess.Popen(
                [PRODUCT, "global", "--data", self.data, "--listen", self.listen, "--ready-file", ready,
                 *SETTINGS, *more],
                stdout=output, stderr=output)
        deadline = time.monotonic() + 120
        while not (os.path.exists(ready) and os.path.getsize(ready)):
            if self.process.poll() is not None:
                raise AssertionError(f"the global process ended with {self.process.returncode}: {self.output()}")
            assert time.monotonic() < deadline, f"the global process is not ready: {self.output()}"
            time.sleep(0.005)
        with open(ready) as file:
            self.listen = file.read().strip().removeprefix("http://")

    def output(self):
        with open(os.path.join(self.home.name, "output.log"), errors="replace") as file:
            return file.read()[-2000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.home.cleanup()


class Caller:
    """One connection, made again when it has ended."""

    def __init__(self, server, timeout=60):
        self.server = server
        self.timeout = timeout
        self.connection = None

    def call(self, method, path, body=None, actor="person:model", key=None, headers=None):
        """One request, sent once. Raises Unanswered where the connection ended instead of an answer."""
        fields = {"Drover-Actor": actor, "Connection": "keep-alive", **(headers or {})}
        if method != "GET":
            fields["Content-Type"] = "application/json"
        if key:
            fields["Idempotency-Key"] = key
        text = None if body is None else json.dumps(body)
        try:
            if self.connection is None:
                host, port = self.server.listen.rsplit(":", 1)
                self.connection = http.client.HTTPConnection(host, int(port), timeout=self.timeout)
            self.connection.request(method, path, body=text, headers=fields)
            response = self.connection.getresponse()
            data = response.read()
            if response.getheader("Connection", "").lower() == "close":
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(str(error)) from error
        return Answer(response.status, json.loads(data) if data else {})

    def persist(self, *arguments, seconds=120, **named):
        """The same request until it is answered: what it asks for must bear that."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.call(*arguments, **named)
                if answer.status != 503:
                    return answer
            except Unanswered:
                pass
            assert time.monotonic() < deadline, f"never answered: {arguments}"
            time.sleep(0.005)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
