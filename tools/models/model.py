"""What the API promises, as plainly as it can be said: no log, no time, no persistence. Its source is the words of
DESIGN and `Schemas/openapi.yaml`; it shares nothing with the program.

Every method is one request. It returns `(status, expected)`: `expected` is a problem's code, or the members that the
answer must have. Mutants (see `MUTANTS`) are this model with one rule wrong: a run against them must fail.
"""

from dataclasses import dataclass, field

NOTHING_TO_CLAIM = (204, {})  # the one answer that a repeat under the same key need not get again
LIVE, SUSPENDED, REMOVED = "live", "suspended", "removed"
MAXIMUM_ATTEMPTS = 3
MUTANTS = ["last-in-first-out", "no-fencing", "no-build-once", "forgets-keys", "deploys-anything", "keeps-superseded"]


@dataclass
class Attempt:
    number: int
    worker: str
    counter: int = 0
    pack: tuple | None = None  # (manifest, region)


@dataclass
class Job:
    id: int
    app: str
    repository: str
    commit: str
    priority: int
    status: str = "queued"
    reason: str | None = None
    attempts: int = 0
    lost: int = 0
    cancelled: bool = False
    attempt: Attempt | None = None
    shown: int | None = None  # the attempt that the job's page names: none while it waits

    @property
    def key(self):
        return (self.app, self.repository, self.commit)

    @property
    def is_open(self):
        return self.status in ("queued", "running")


@dataclass
class Region:
    status: str = LIVE
    levels: dict = field(default_factory=dict)  # app -> (revision, selected, healthy)


@dataclass
class Worker:
    region: str
    draining: bool = False
    waiting: bool = False  # whether it is on record that it waits


@dataclass
class Build:
    id: int
    app: str
    attempt: int
    manifest: str
    stored: set


@dataclass
class Target:
    revision: tuple
    deployment: tuple
    build: int
    previous: int | None
    base: int | None = None


@dataclass
class Deployment:
    id: tuple
    app: str
    scope: str
    build: int
    status: str
    allow_empty: bool
    revision: tuple


class Model:
    def __init__(self, mutant=None):
        self.mutant = mutant
        self.epoch, self.number = 1, 0
        self.jobs: dict[int, Job] = {}
        self.answering: dict[tuple, list[int]] = {}  # build-once key -> jobs that can answer it, the latest last
        self.regions: dict[str, Region] = {}
        self.workers: dict[str, Worker] = {}
        self.builds: dict[int, Build] = {}
        self.targets: dict[tuple, Target] = {}
        self.bases: dict[tuple, int] = {}
        self.deployments: dict[tuple, Deployment] = {}
        self.memory: dict[tuple, tuple] = {}  # (actor, key) -> (request, what was answered)

    # -- Requests under a key

    def keyed(self, actor, key, request, decide):
        """The answer to a request under a key: an accepted change is answered once and for all."""
        known = self.memory.get((actor, key))
        if known and self.mutant != "forgets-keys":
            if known[0] != request:
                return 422, "key-reused"
            if known[1] != NOTHING_TO_CLAIM:
                return known[1]
        answer, changed = decide()
        if changed:
            self.memory[(actor, key)] = (request, answer)
        return answer

    # -- The queue

    def enqueue(self, app, repository, commit, priority, force):
        key = (app, repository, commit)
        if not force and self.mutant != "no-build-once":
            known = [id for id in self.answering.get(key, []) if not self.jobs[id].cancelled or not self.jobs[id].is_open]
            if known:
                return (200, {"job": known[-1], "reused": True}), True
        job = Job(len(self.jobs) + 1, app, repository, commit, priority)
        self.jobs[job.id] = job
        self.answering.setdefault(key, []).append(job.id)
        return (201, {"job": job.id, "reused": False}), True

    def absent(self, id):
        return (410, "job-ended") if 0 < id <= len(self.jobs) else (404, "unknown-job")

    def end(self, job, status, reason=None):
        job.status, job.reason, job.attempt = status, reason, None
        if status == "failed":
            self.answering[job.key].remove(job.id)

    def requeue(self, job):
        job.status, job.attempt, job.shown = "queued", None, None

    def cancel(self, id):
        job = self.jobs.get(id)
        if not job or not job.is_open:
            return self.absent(id), False
        if job.cancelled:
            return (200, {}), False
        job.cancelled = True
        if job.status == "queued":
            self.end(job, "failed", "cancelled")
        return (200, {}), True

    def waiting(self):
        queued = [job for job in self.jobs.values() if job.status == "queued"]
        return sorted(queued, key=lambda job: (-job.priority, -job.id if self.mutant == "last-in-first-out" else job.id))

    def claim(self, name):
        worker = self.workers.get(name)
        if not worker:
            return (404, "unknown-worker"), False
        if worker.draining:
            return (409, "worker-draining"), False
        status = self.regions[worker.region].status
        if status != LIVE:
            return ((410, "region-removed") if status == REMOVED else (409, "region-suspended")), False
        if not self.waiting():
            begins, worker.waiting = not worker.waiting, True
            return NOTHING_TO_CLAIM, begins
        job = self.waiting()[0]
        job.attempts += 1
        job.status, job.attempt = "running", Attempt(job.attempts, name)
        job.shown, worker.waiting = job.attempts, False
        expected = {"job": job.id, "attempt": job.attempts, "app": job.app, "repository": job.repository,
                    "commit": job.commit}
        return (200, expected), True

    def current(self, id, number, worker):
        job = self.jobs.get(id)
        if job and job.attempt and self.mutant == "no-fencing":
            return job
        if job and job.attempt and job.attempt.number == number and job.attempt.worker == worker:
            return job
        return None

    def stale(self, id):
        return (409, "stale-attempt") if 0 < id <= len(self.jobs) else (404, "unknown-job")

    def heartbeat(self, id, number, worker, counter):
        job = self.current(id, number, worker)
        if not job:
            return self.stale(id)
        job.attempt.counter = max(job.attempt.counter, counter)
        return 200, {"cancelled": job.cancelled}

    def report_failed(self, id, number, worker, reason):
        job = self.current(id, number, worker)
        if not job:
            return self.stale(id), False
        self.end(job, "failed", "cancelled" if job.cancelled else reason)
        return (200, {}), True

    def release(self, id, number, worker):
        job = self.current(id, number, worker)
        if not job:
            return self.stale(id), False
        if job.cancelled:
            self.end(job, "failed", "cancelled")
        else:
            self.requeue(job)
        return (200, {}), True

    def uploaded(self, id, number, worker, region, manifest):
        """`manifest` is what the server answers with; the same manifest again has the same name."""
        if region not in self.regions:
            return (404, "unknown-region"), False
        build = self.builds.get(id)
        if build and build.attempt == number and build.manifest == manifest:
            return (200, {}), False
        job = self.current(id, number, worker)
        if not job:
            return self.stale(id), False
        if job.attempt.pack == (manifest, region):
            return (200, {}), False
        if job.attempt.pack:
            return (409, "artifact-mismatch"), False
        job.attempt.pack = (manifest, region)
        if job.cancelled:
            self.end(job, "failed", "cancelled")
        return (200, {}), True

    # -- Packs

    def stored(self, region, id, number, manifest):
        if region not in self.regions:
            return (404, "unknown-region"), False
        if self.regions[region].status == REMOVED:
            return (410, "region-removed"), False
        if id in self.builds:
            build = self.builds[id]
            if (build.attempt, build.manifest) != (number, manifest):
                return self.stale(id), False
            changed = region not in build.stored
            build.stored.add(region)
            return (200, {}), changed
        job = self.jobs.get(id)
        if not job or not job.attempt or job.attempt.number != number:
            return self.stale(id), False
        if not job.attempt.pack or job.attempt.pack[0] != manifest:
            return (409, "artifact-mismatch"), False
        self.builds[id] = Build(id, job.app, number, manifest, {region})
        self.end(job, "succeeded")
        return (200, {}), True

    def lost(self, region, id):
        if id not in self.builds:
            return (404, "unknown-build"), False
        changed = region in self.builds[id].stored
        self.builds[id].stored.discard(region)
        self.forget_gone()
        return (200, {}), changed

    def is_gone(self, build):
        return all(self.regions[name].status == REMOVED for name in build.stored)

    def forget_gone(self):
        """A build that nobody holds answers no request for its commit any more."""
        for build in self.builds.values():
            key = self.jobs[build.id].key
            if self.is_gone(build) and build.id in self.answering.get(key, []):
                self.answering[key].remove(build.id)

    def replication(self, build):
        if self.is_gone(build):
            return "gone"
        live = self.live("global")
        missing = [name for name in live if name not in build.stored]
        if live and not missing:
            return "complete"
        return "pending" if len(missing) == len(live) else "partial"

    # -- The fleet

    def live(self, scope):
        return [name for name, region in sorted(self.regions.items())
                if region.status == LIVE and scope in ("global", f"region/{name}")]

    def join_region(self, name):
        region = self.regions.get(name)
        if region and region.status == REMOVED:
            return (410, "region-removed"), False
        if not region:
            self.regions[name] = Region()
        return (200, {}), region is None

    def change_region(self, name, status):
        region = self.regions.get(name)
        if not region:
            return (404, "unknown-region"), False
        if region.status == status:
            return (200, {}), False
        if region.status == REMOVED and status == SUSPENDED:
            return (410, "region-removed"), False
        region.status = status
        if status == REMOVED:
            self.forget_gone()
        return (200, {}), True

    def report(self, name, app, revision, selected, healthy):
        region = self.regions.get(name)
        if not region:
            return 404, "unknown-region"
        if region.status == REMOVED:
            return 410, "region-removed"
        if app not in region.levels or revision >= region.levels[app][0]:
            region.levels[app] = (revision, selected, healthy)
        return 200, {}

    def join_worker(self, name, region):
        if region not in self.regions:
            return (404, "unknown-region"), False
        if self.regions[region].status == REMOVED:
            return (410, "region-removed"), False
        worker = self.workers.get(name)
        if worker and worker.region == region:
            return (200, {}), False
        if worker:
            worker.region = region
        else:
            self.workers[name] = Worker(region)
        return (200, {}), True

    def drain(self, name, draining):
        worker = self.workers.get(name)
        if not worker:
            return (404, "unknown-worker"), False
        changed = worker.draining != draining
        worker.draining = draining
        worker.waiting = worker.waiting and not draining
        return (200, {}), changed

    # -- Targets

    def effective(self, app, scope):
        """What machines of the scope act on: its own target, or the global one where that is the newer."""
        own, whole = self.targets.get((app, scope)), self.targets.get((app, "global"))
        if own and whole:
            return max(own, whole, key=lambda target: target.revision)
        return own or whole

    def deploy(self, app, build, scope, when_replicated, allow_empty, expected):
        if scope != "global" and scope.removeprefix("region/") not in self.regions:
            return (404, "unknown-region"), False
        now = self.targets.get((app, scope))
        if expected is not None and expected != (now.revision if now else (0, 0)):
            return (412, "revision-conflict"), False
        if build is None:
            target = self.effective(app, scope)
            build = target.previous if target else None
            if build is None:
                return (409, "no-previous"), False
        if build not in self.builds or self.builds[build].app != app:
            return (404, "unknown-build"), False
        live = self.live(scope)
        if not live:
            return (409, "no-region"), False
        missing = [name for name in live if name not in self.builds[build].stored]
        if missing and self.mutant != "deploys-anything":
            if self.is_gone(self.builds[build]):
                return (410, "build-gone"), False
            if not when_replicated:
                return (409, "not-replicated"), False
        waits = bool(missing) and self.mutant != "deploys-anything"
        self.number += 1
        id = (self.epoch, self.number)
        deployment = Deployment(id, app, scope, build, "waiting" if waits else "running", allow_empty, id)
        self.deployments[id] = deployment
        self.supersede(deployment, only_waiting=waits)
        if not waits:
            self.begin(deployment)
        skipped = [name for name, region in sorted(self.regions.items())
                   if region.status == SUSPENDED and scope in ("global", f"region/{name}")]
        return (201, {"deployment": text(id), "status": deployment.status, "skipped": skipped}), True

    def supersede(self, by, only_waiting):
        if self.mutant == "keeps-superseded":
            return
        for other in self.deployments.values():
            is_open = other.status == "waiting" or (other.status == "running" and not only_waiting)
            if other.id != by.id and other.app == by.app and is_open and by.scope in ("global", other.scope):
                other.status = "superseded"

    def begin(self, deployment):
        place = (deployment.app, deployment.scope)
        old = self.effective(*place)
        previous = old and (old.previous if old.build == deployment.build else old.build)
        self.targets[place] = Target(deployment.revision, deployment.id, deployment.build, previous)

    def settle(self):
        """What the projectors do of themselves, in the order of the deployments, until nothing is left to do."""
        self.reap()
        moved = True
        while moved:
            moved = False
            for deployment in sorted(self.deployments.values(), key=lambda one: one.id):
                moved = self.start(deployment) or self.converge(deployment) or moved

    def reap(self):
        """An upload to a region that is removed meanwhile will never be confirmed: the attempt is lost."""
        for job in self.jobs.values():
            if job.attempt and job.attempt.pack and self.regions[job.attempt.pack[1]].status == REMOVED:
                job.lost += 1
                if job.cancelled:
                    self.end(job, "failed", "cancelled")
                elif job.lost >= MAXIMUM_ATTEMPTS:
                    self.end(job, "failed", "lost")
                else:
                    self.requeue(job)

    def start(self, deployment):
        live = self.live(deployment.scope)
        if deployment.status != "waiting" or not live:
            return False
        if any(name not in self.builds[deployment.build].stored for name in live):
            return False
        if deployment.id != (self.epoch, self.number):
            self.number += 1
            deployment.revision = (self.epoch, self.number)
        deployment.status = "running"
        self.supersede(deployment, only_waiting=False)
        self.begin(deployment)
        return True

    def converge(self, deployment):
        live = self.live(deployment.scope)
        if deployment.status != "running" or not live:
            return False
        levels = [self.regions[name].levels.get(deployment.app) for name in live]
        if any(level is None or level[0] < deployment.revision or level[2] < level[1] for level in levels):
            return False
        if sum(level[1] for level in levels) == 0 and not deployment.allow_empty:
            return False
        deployment.status = "succeeded"
        return True

    def open_deployments(self):
        return {text(one.id): one.status for one in self.deployments.values() if one.status in ("waiting", "running")}

    def new_epoch(self):
        """Every target that is not overtaken is issued again under the new epoch: a global one with the regions' own
        newer ones behind it."""
        self.epoch += 1
        for app, scope in sorted(self.targets):
            target = self.targets[(app, scope)]
            if target.revision[0] == self.epoch or self.effective(app, scope) is not target:
                continue
            again = [(app, scope)]
            if scope == "global":
                newer = [place for place in self.targets if place[0] == app and place[1] != "global"
                         and self.targets[place].revision > target.revision]
                again += sorted(newer, key=lambda place: self.targets[place].revision)
            for place in again:
                self.number += 1
                self.reissue(self.targets[place])

    def reissue(self, target):
        target.revision = (self.epoch, self.number)
        deployment = self.deployments[target.deployment]
        if deployment.status in ("waiting", "running"):
            deployment.revision = target.revision


def text(revision):
    return f"{revision[0]}.{revision[1]}"
