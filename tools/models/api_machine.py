"""Hypothesis drives the HTTP API against the model, with kill -9 in between and in the middle of requests."""

import collections
import hashlib
import json
import os
import random
import threading
import time

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model import LIVE, REMOVED, SUSPENDED, Model, text
from server import Caller, Server, Unanswered

APPS, REGIONS = ["web", "api"], ["one", "two"]
REPOSITORIES = ["/srv/web", "https://example.org/api"]
MUTANT = os.environ.get("MODEL_MUTANT")

# How often which kind of change was answered how, over all examples: what the run has reached.
REACHED = collections.Counter()

apps, regions, workers = st.sampled_from(APPS), st.sampled_from(REGIONS), st.sampled_from(["w1", "w2"] * 3 + ["w3"])
commits = st.sampled_from([digit * 40 for digit in "0123"] + ["ab" * 32])
scopes = st.sampled_from(["global", "global", "region/one", "region/two"])
crashes = st.sampled_from([False] * 7 + [True])


class APIMachine(RuleBasedStateMachine):
    """Each rule asks the model first, then the server, and compares. A rule with a crash sends its request, kills the
    process a moment later, starts it again and repeats the request under its key until it is answered: the change was
    made once, whenever the process died."""

    def __init__(self):
        super().__init__()
        self.server = Server()
        self.server.start()
        self.caller = Caller(self.server)
        self.model = Model(MUTANT)
        self.keys = 0
        self.sent = []  # requests under a key that can be repeated: (actor, key, path, body, ask)
        self.manifests = {}  # (job, attempt, variant) -> the name that the server gave it
        self.cancelled_at = {}

    def teardown(self):
        try:
            self.everything()
        finally:
            self.server.close()

    # -- Sending

    def change(self, path, body, ask, actor="person:model", key=None, crash=False, repeatable=True, headers=None):
        """One change under a key of its own (or a used one), compared with what the model says of it."""
        if key is None:
            self.keys += 1
            key = f"key-{self.keys}"
        request = json.dumps([path, body, headers], sort_keys=True)
        expected = self.model.keyed(actor, key, request, ask)
        if crash:
            answer = self.through_a_crash("POST", path, body=body, actor=actor, key=key, headers=headers)
        else:
            answer = self.caller.persist("POST", path, body=body, actor=actor, key=key, headers=headers)
        self.compare(path, answer, expected)
        REACHED[f"{path.rsplit('/', 1)[-1]} {answer.code or answer.status}{' through a crash' if crash else ''}"] += 1
        if repeatable:
            self.sent.append((actor, key, path, body, headers, ask))
        self.settle()
        return answer

    def through_a_crash(self, *arguments, **named):
        pause = random.Random(self.keys).random() * 0.004
        first = threading.Thread(target=self.abandon, args=(arguments, named))
        first.start()
        time.sleep(pause)
        self.server.kill()
        first.join()
        self.server.start()
        return self.caller.persist(*arguments, **named)

    def abandon(self, arguments, named):
        caller = Caller(self.server)
        try:
            caller.call(*arguments, **named)
        except Unanswered:
            pass
        finally:
            caller.close()

    def compare(self, what, answer, expected):
        status, body = expected
        if isinstance(body, str):
            assert (answer.status, answer.code) == (status, body), f"{what}: {answer}, not {status} {body}"
            return
        assert answer.status == status, f"{what}: {answer}, not {status} {body}"
        for name, value in body.items():
            assert answer.body.get(name) == value, f"{what}: {name} is {answer.body.get(name)}, not {value}"

    def get(self, path):
        answer = self.caller.persist("GET", path)
        assert answer.status == 200, f"{path}: {answer}"
        return answer.body

    def settle(self):
        """The projectors act of themselves: waits until they have done what the model says they do."""
        self.model.settle()
        deadline = time.monotonic() + 60
        while True:
            body = self.get("/v1/deployments?open=true&limit=1000")
            seen = {one["id"]: one["status"] for one in body["deployments"]}
            status = self.get("/v1/status")["jobs"]
            wanted = {name: sum(job.status == name for job in self.model.jobs.values()) for name in status}
            if (seen, status) == (self.model.open_deployments(), wanted):
                return
            assert time.monotonic() < deadline, (
                f"open deployments {seen}, not {self.model.open_deployments()}; jobs {status}, not {wanted}")
            time.sleep(0.01)

    # -- Rules

    @initialize()
    def regions_and_workers(self):
        for name in REGIONS:
            self.join_region(name, False)
        for name, region in [("w1", "one"), ("w2", "two")]:
            self.join_worker(name, region, False)

    @rule(app=apps, name=st.sampled_from(["w1", "w2"]), everywhere=st.booleans(), crash=crashes)
    def build(self, app, name, everywhere, crash):
        """The whole road of whatever is first in line, as far as the fleet lets it."""
        commit = hashlib.sha1(f"build {self.keys}".encode()).hexdigest()
        self.enqueue(app, "/srv/web", commit, 0, False, False)
        before = {id for id, job in self.model.jobs.items() if job.attempt}
        self.claim(name, crash)
        begun = [job for id, job in self.model.jobs.items() if job.attempt and id not in before]
        for job in begun:
            home = self.model.workers[name].region
            body, pack = self.manifest(job, job.attempts, home, 0)
            self.report_uploaded(job.id, job.attempts, name, home, body, pack, crash)
            for region in REGIONS if everywhere else [home]:
                self.report_stored(region, pack, pack, crash)

    @rule(name=regions, crash=crashes)
    def join_region(self, name, crash):
        self.change(f"/v1/regions/{name}/join", {"endpoint": f"http://{name}"},
                    lambda: self.model.join_region(name), f"region:{name}", crash=crash)

    @rule(name=workers, region=regions, crash=crashes)
    def join_worker(self, name, region, crash):
        self.change(f"/v1/workers/{name}/join", {"region": region},
                    lambda: self.model.join_worker(name, region), f"worker:{name}", crash=crash)

    @rule(name=workers, draining=st.booleans())
    def drain(self, name, draining):
        self.change(f"/v1/workers/{name}/{'drain' if draining else 'resume'}", {},
                    lambda: self.model.drain(name, draining))

    @rule(app=apps, repository=st.sampled_from(REPOSITORIES), commit=commits,
          priority=st.sampled_from([0, 0, 5, -1000, 1000]), force=st.booleans(), crash=crashes)
    def enqueue(self, app, repository, commit, priority, force, crash):
        body = {"app": app, "repository": repository, "commit": commit, "priority": priority, "force": force}
        self.change("/v1/jobs", body, lambda: self.model.enqueue(app, repository, commit, priority, force), crash=crash)

    @rule(data=st.data(), crash=crashes)
    def cancel(self, data, crash):
        id = self.some_job(data)
        self.cancelled_at.setdefault(id, time.monotonic())
        self.change(f"/v1/jobs/{id}/cancel", {"reason": "enough"}, lambda: self.model.cancel(id), crash=crash)

    @rule(name=workers, crash=crashes)
    def claim(self, name, crash):
        self.change(f"/v1/workers/{name}/claim", {}, lambda: self.model.claim(name), f"worker:{name}", crash=crash)

    @rule(data=st.data(), counter=st.integers(1, 5))
    def heartbeat(self, data, counter):
        job, number, name = self.some_attempt(data)
        expected = self.model.heartbeat(job, number, name, counter)
        answer = self.caller.persist("POST", f"/v1/jobs/{job}/attempts/{number}/heartbeat",
                                     body={"counter": counter, "stage": "build"}, actor=f"worker:{name}")
        self.compare("heartbeat", answer, expected)

    @rule(data=st.data(), reason=st.sampled_from(["exit", "timeout", "artifact", "recipe", "snapshot"]), crash=crashes)
    def failed(self, data, reason, crash):
        job, number, name = self.some_attempt(data)
        self.change(f"/v1/jobs/{job}/attempts/{number}/failed", {"reason": reason, "detail": "as told"},
                    lambda: self.model.report_failed(job, number, name, reason), f"worker:{name}", crash=crash)

    @rule(data=st.data(), crash=crashes)
    def released(self, data, crash):
        job, number, name = self.some_attempt(data)
        self.change(f"/v1/jobs/{job}/attempts/{number}/released", {"detail": "going home"},
                    lambda: self.model.release(job, number, name), f"worker:{name}", crash=crash)

    @rule(data=st.data(), region=regions, variant=st.sampled_from([0, 0, 0, 1]), crash=crashes)
    def uploaded(self, data, region, variant, crash):
        job, number, name = self.some_attempt(data)
        known = self.model.jobs.get(job)
        if known is None:
            return
        body, pack = self.manifest(known, number, region, variant)
        self.report_uploaded(job, number, name, region, body, pack, crash)

    def report_uploaded(self, job, number, name, region, body, pack, crash):
        answer = self.change(f"/v1/jobs/{job}/attempts/{number}/uploaded", body,
                             lambda: self.model.uploaded(job, number, name, region, pack), f"worker:{name}",
                             crash=crash, repeatable=False)
        if answer.status == 200:
            self.manifests[pack] = answer.body["manifest"]

    @precondition(lambda self: self.manifests)
    @rule(data=st.data(), region=regions, wrong=st.sampled_from([False] * 5 + [True]), crash=crashes)
    def stored(self, data, region, wrong, crash):
        pack = data.draw(st.sampled_from(sorted(self.manifests)))
        self.report_stored(region, pack, "another" if wrong else pack, crash)

    def report_stored(self, region, pack, asked, crash):
        job, number = pack[0], pack[1]
        body = {"attempt": number, "manifest": self.manifests.get(asked, "f" * 64)}
        self.change(f"/v1/regions/{region}/packs/{job}/stored", body,
                    lambda: self.model.stored(region, job, number, asked), f"region:{region}", crash=crash)

    @precondition(lambda self: self.model.builds)
    @rule(data=st.data(), region=regions)
    def lost(self, data, region):
        build = data.draw(st.sampled_from(sorted(self.model.builds)))
        self.change(f"/v1/regions/{region}/packs/{build}/lost", {"detail": "the disk"},
                    lambda: self.model.lost(region, build), f"region:{region}")

    @rule(name=regions, status=st.sampled_from([LIVE] * 4 + [SUSPENDED] * 2 + [REMOVED]), crash=crashes)
    def change_region(self, name, status, crash):
        verb = {LIVE: "resume", SUSPENDED: "suspend", REMOVED: "remove"}[status]
        self.change(f"/v1/regions/{name}/{verb}", {"reason": "because"},
                    lambda: self.model.change_region(name, status), crash=crash)

    @rule(data=st.data(), app=apps, scope=scopes, foreign=st.sampled_from([False] * 5 + [True]),
          rollback=st.sampled_from([False, False, False, True]), when_replicated=st.booleans(), allow_empty=st.booleans(),
          match=st.sampled_from([None, None, "now", "zero"]), crash=crashes)
    def deploy(self, data, app, scope, foreign, rollback, when_replicated, allow_empty, match, crash):
        build = None if rollback else data.draw(st.sampled_from(sorted(self.model.builds) or [1]))
        if build in self.model.builds and not foreign:
            app = self.model.builds[build].app
        now = self.model.targets.get((app, scope))
        expected = {None: None, "zero": (0, 0), "now": now.revision if now else (0, 0)}[match]
        body = {"app": app, "scope": scope, "reason": "a try", "when_replicated": when_replicated,
                "allow_empty": allow_empty}
        body |= {"rollback": True} if rollback else {"build": build}
        headers = {} if expected is None else {"If-Match": f'"{text(expected)}"'}
        self.change("/v1/deployments", body,
                    lambda: self.model.deploy(app, build, scope, when_replicated, allow_empty, expected),
                    headers=headers, crash=crash)

    @rule(name=regions, app=apps, selected=st.integers(0, 2), sick=st.sampled_from([0, 0, 1]), old=st.booleans())
    def report(self, name, app, selected, sick, old):
        target = self.model.effective(app, f"region/{name}")
        revision = target.revision if target and not old else (1, 1)
        healthy = max(0, selected - sick)
        level = {"app": app, "revision": text(revision), "selected": selected, "healthy": healthy, "failed": 0,
                 "silent": 0, "detail": ""}
        expected = self.model.report(name, app, revision, selected, healthy)
        answer = self.caller.persist("POST", f"/v1/regions/{name}/report", body={"levels": [level]},
                                     actor=f"region:{name}")
        self.compare("report", answer, expected)
        self.settle()

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), crash=crashes)
    def repeat(self, data, crash):
        """A late duplicate of an earlier request."""
        actor, key, path, body, headers, ask = data.draw(st.sampled_from(self.sent[-12:]))
        self.change(path, body, ask, actor, key, crash, repeatable=False, headers=headers)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def reuse_a_key(self, data):
        """Another request under a key that was used: refused, or decided anew where nothing had changed."""
        actor, key, _, _, _, _ = data.draw(st.sampled_from(self.sent[-12:]))
        commit = hashlib.sha1(f"{key}{len(self.sent)}".encode()).hexdigest()
        body = {"app": "web", "repository": "/srv/other", "commit": commit, "priority": 0, "force": False}
        self.change("/v1/jobs", body, lambda: self.model.enqueue("web", "/srv/other", commit, 0, False), actor, key,
                    repeatable=False)

    @rule()
    def kill(self):
        self.server.kill()
        self.server.start()

    @rule()
    def restart_with_a_new_epoch(self):
        self.server.stop()
        self.server.start("--new-epoch", "--new-epoch-reason", "the model wants it")
        self.model.new_epoch()
        self.settle()
        deadline = time.monotonic() + 60
        while self.targets_seen() != self.targets_wanted():
            assert time.monotonic() < deadline, f"targets {self.targets_seen()}, not {self.targets_wanted()}"
            time.sleep(0.01)

    # -- What must be so at any time

    @invariant()
    def jobs_are_as_the_model_says(self):
        seen = self.get("/v1/jobs?limit=1000")["jobs"]
        assert [job["id"] for job in seen] == sorted(self.model.jobs, reverse=True)
        for body in seen:
            job = self.model.jobs[body["id"]]
            self.overdue(job, body)
            wanted = (job.status, job.reason, job.app, job.repository, job.commit, job.priority, job.shown)
            have = (body["status"], body.get("reason"), body["app"], body["repository"], body["commit"],
                    body["priority"], body.get("attempt"))
            assert have == wanted, f"job {job.id} is {have}, not {wanted}"

    def overdue(self, job, body):
        """A cancelled attempt that stays mute for a minute is ended by the server: the one clock that a slow machine
        can come across."""
        if job.attempt and job.cancelled and body["status"] == "failed":
            if time.monotonic() - self.cancelled_at[job.id] > 50:
                self.model.end(job, "failed", "cancelled")

    @invariant()
    def targets_are_as_the_model_says(self):
        assert self.targets_seen() == self.targets_wanted()

    def targets_seen(self):
        return {(one["app"], one["scope"]): (one["revision"], one["build"], one.get("previous_build"))
                for one in self.get("/v1/targets")["targets"]}

    def targets_wanted(self):
        return {place: (text(target.revision), target.build, target.previous)
                for place, target in self.model.targets.items()}

    def everything(self):
        """All of it, once more, after one more crash."""
        self.server.kill()
        self.server.start()
        self.jobs_are_as_the_model_says()
        self.targets_are_as_the_model_says()
        builds = {one["id"]: (one["attempt"], one["replication"], one["stored"])
                  for one in self.get("/v1/builds?limit=1000")["builds"]}
        wanted = {one.id: (one.attempt, self.model.replication(one), sorted(one.stored))
                  for one in self.model.builds.values()}
        assert builds == wanted, f"builds {builds}, not {wanted}"
        ends = {one["id"]: one["status"] for one in self.get("/v1/deployments?limit=1000")["deployments"]}
        assert ends == {text(one.id): one.status for one in self.model.deployments.values()}
        fleet = {one["name"]: one["status"] for one in self.get("/v1/regions")["regions"]}
        assert fleet == {name: region.status for name, region in self.model.regions.items()}
        staff = {one["name"]: (one["region"], one["draining"]) for one in self.get("/v1/workers")["workers"]}
        assert staff == {name: (one.region, one.draining) for name, one in self.model.workers.items()}

    # -- Choices

    def some_job(self, data):
        return data.draw(st.sampled_from([*sorted(self.model.jobs), len(self.model.jobs) + 1]))

    def some_attempt(self, data):
        """Mostly a current attempt and its worker; sometimes an older number, another worker, or no such job."""
        running = [job for job in self.model.jobs.values() if job.attempt]
        if running and data.draw(st.sampled_from([True, True, True, False])):
            job = data.draw(st.sampled_from(running))
            return job.id, job.attempt.number, job.attempt.worker
        job = self.some_job(data)
        return job, data.draw(st.integers(1, 3)), data.draw(workers)

    def manifest(self, job, number, region, variant):
        """The body of an `uploaded` report: a small pack's manifest, as `Schemas/formats.md` describes it. And what
        tells this manifest from others."""
        digest = hashlib.sha256(f"{job.id}/{number}/{variant}".encode()).hexdigest()
        lines = [
            {"kind": "pack", "app": job.app, "attempt": number, "build": job.id, "commit": job.commit, "format": 1,
             "piece_length": 65536, "raw_length": 100, "repository": job.repository,
             "run": {"arguments": [], "environment": [], "grace_seconds": 10,
                     "health": {"kind": "alive", "within_seconds": 2}, "stop_signal": "TERM"},
             "segment_length": 64 << 20, "zstd_level": 3, "zstd_version": "1.5.4"},
            {"kind": "segment", "digest": digest, "offset": 0, "packed": 60, "raw": 100},
            {"kind": "pieces", "hashes": digest},
            {"kind": "end", "build_command": "make", "built_at": 0, "packed_length": 60,
             "raw_digest": hashlib.sha256(bytes.fromhex(digest)).hexdigest(), "recipe": "0" * 64, "region": region,
             "root": digest, "worker": "w1"},
        ]
        manifest = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
        body = {"region": region, "raw_bytes": 100, "packed_bytes": 60, "manifest": manifest}
        return body, (job.id, number, variant, region)
