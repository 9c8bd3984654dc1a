"""Many callers at once on one global process that is killed again and again; what they were told must be one history
that a queue without any concurrency could have had."""

import random
import threading
import time
import uuid

from linearizable import INFINITE, Operation, check
from server import Caller, Server, Unanswered

ENQUEUERS, WORKERS = 4, 8
PRIORITIES = [0, 0, 0, 7, -7]


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.operations = []

    def add(self, call, back, name, arguments, result):
        with self.lock:
            self.operations.append(Operation(call, back, name, arguments, result))


class Client:
    """One caller: each request has a key of its own and is repeated under it until it is answered, so that a crash in
    the middle leaves no doubt, only a longer operation."""

    def __init__(self, server, history, stop, seed, actor):
        self.caller = Caller(server)
        self.history, self.stop, self.actor = history, stop, actor
        self.random = random.Random(seed)

    def ask(self, name, arguments, path, body, read):
        call = time.monotonic()
        key = None if name == "heartbeat" else uuid.uuid4().hex
        deadline = call + 120
        while True:
            try:
                answer = self.caller.call("POST", path, body=body, actor=self.actor, key=key)
                if answer.status != 503:
                    break
            except Unanswered:
                pass
            if time.monotonic() > deadline:
                self.history.add(call, INFINITE, name, arguments, None)
                raise AssertionError(f"{name} was not answered within two minutes")
            time.sleep(0.002)
        result = read(answer)
        self.history.add(call, time.monotonic(), name, arguments, result)
        return result

    def enqueue(self):
        while not self.stop.is_set():
            priority = self.random.choice(PRIORITIES)
            body = {"app": "load", "repository": "/srv/load", "commit": uuid.uuid4().hex + "0" * 8,
                    "priority": priority}
            self.ask("enqueue", (priority,), "/v1/jobs", body, lambda answer: answer.body["job"])
            time.sleep(self.random.random() * 0.01)

    def work(self):
        name = self.actor.removeprefix("worker:")
        self.caller.persist("POST", f"/v1/workers/{name}/join", body={"region": "one"}, actor=self.actor)
        late = None
        while not self.stop.is_set():
            claimed = self.ask("claim", (), f"/v1/workers/{name}/claim", {"wait": "20ms"}, claim_result)
            if claimed == "nothing":
                continue
            if self.random.random() < 0.3:
                self.report("heartbeat", *claimed)
            if late and self.random.random() < 0.3:
                self.report(self.random.choice(["heartbeat", "failed", "released"]), *late)
            end = "released" if self.random.random() < 0.3 else "failed"
            self.report(end, *claimed)
            late = claimed

    def report(self, name, job, attempt):
        body = {"heartbeat": {"counter": 1, "stage": "build"}, "failed": {"reason": "exit", "detail": ""},
                "released": {"detail": ""}}[name]
        self.ask(name, (job, attempt), f"/v1/jobs/{job}/attempts/{attempt}/{name}", body, report_result)


def claim_result(answer):
    assert answer.status in (200, 204), answer
    return (answer.body["job"], answer.body["attempt"]) if answer.status == 200 else "nothing"


def report_result(answer):
    if answer.status == 200:
        return "done"
    assert answer.code in ("stale-attempt", "job-ended"), answer
    return "stale"


def record(rounds, seed):
    """A history of so many crashes."""
    server, history, stop = Server(), History(), threading.Event()
    server.start()
    try:
        Caller(server).persist("POST", "/v1/regions/one/join", body={"endpoint": "http://one"}, actor="region:one")
        failures = []

        def guarded(run):
            try:
                run()
            except BaseException as error:
                failures.append(error)
                stop.set()

        clients = [Client(server, history, stop, f"{seed}/e{n}", f"person:p{n}") for n in range(ENQUEUERS)]
        threads = [threading.Thread(target=guarded, args=(one.enqueue,)) for one in clients]
        clients = [Client(server, history, stop, f"{seed}/w{n}", f"worker:w{n}") for n in range(WORKERS)]
        threads += [threading.Thread(target=guarded, args=(one.work,)) for one in clients]
        for thread in threads:
            thread.start()
        pause = random.Random(f"{seed}/kills")
        for _ in range(rounds):
            time.sleep(0.05 + pause.random() * 0.5)
            server.kill()
            server.start()
        stop.set()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return history.operations
    finally:
        server.close()


def mutations(history):
    """Histories that no queue has: each one must be found."""
    claims = [one for one in history if one.name == "claim" and isinstance(one.result, tuple)]
    enqueued = {one.result: one for one in history if one.name == "enqueue"}
    told = {one.arguments for one in history if one.name in ("failed", "released") and one.result == "done"}
    # Two claims of jobs that waited together may well be exchanged: the second's job must come after the first is over.
    first, second = next((a, b) for a in sorted(claims, key=lambda one: one.back) if a.result in told
                         for b in claims if a.back < enqueued[b.result[0]].call)

    def with_result(operation, result):
        changed = Operation(operation.call, operation.back, operation.name, operation.arguments, result)
        return [changed if one is operation else one for one in history]

    swapped = [Operation(one.call, one.back, one.name, one.arguments,
                         second.result if one is first else first.result if one is second else one.result)
               for one in history]
    yield "two claims with each other's jobs", swapped
    yield "one attempt given to two workers", with_result(second, first.result)
    yield "a job claimed behind its turn", with_result(first, "nothing")
    done = next(one for one in history if one.name == "failed" and one.result == "done")
    yield "an end that was refused", with_result(done, "stale")
    stale = next((one for one in history if one.name != "claim" and one.result == "stale"), None)
    if stale:
        yield "a late worker's word that was taken", with_result(stale, "done")
    known = next(one for one in history if one.name == "enqueue")
    end = max(one.back for one in history)
    yield "an acknowledged job whose number was given again", [
        *history, Operation(end + 1, end + 2, "enqueue", (0,), known.result)]


def run(rounds, seed):
    history = record(rounds, seed)
    kinds = {name: sum(one.name == name for one in history)
             for name in ("enqueue", "claim", "heartbeat", "failed", "released")}
    print(f"claims: {len(history)} operations over {rounds} crashes: "
          + ", ".join(f"{count} {name}" for name, count in kinds.items()))
    stuck = check(history)
    if stuck:
        print("no order of these operations explains what was told:")
        for operation in stuck:
            print(f"  {operation}")
        raise SystemExit(f"the history is not linearizable; again: tools/model-test --claims-seed {seed}")
    print("claims: the history is linearizable")
    for name, wrong in mutations(history):
        if check(wrong) is None:
            raise SystemExit(f"the checker is blind: it takes {name}")
        print(f"claims: the checker finds {name}")
