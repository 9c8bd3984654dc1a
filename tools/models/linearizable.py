"""Whether a concurrent history of the queue could have happened one operation at a time (Wing and Gong's search with
Lowe's cache of configurations: "Testing for linearizability", 2017).

An operation is (call, back, name, arguments, result): it took effect at one moment between its call and its return, or,
if it was never answered (`back` is infinite), later or never. The model is the queue's promises about claims: jobs are
claimed by priority, then id; an attempt is current until it ends; an older one's calls are refused.
"""

import heapq
from dataclasses import dataclass
from typing import Any

INFINITE = float("inf")


@dataclass(frozen=True)
class Operation:
    call: float
    back: float
    name: str
    arguments: tuple
    result: Any


class Queue:
    """The queue that one operation after another would leave. `apply` says whether an operation may have had its result
    here, and changes the state if so; `undo` takes back the latest change. `hash` is the state's, kept up by changes."""

    def __init__(self):
        self.jobs = 0
        self.waiting = {}  # job -> priority
        self.order = []  # heap of (-priority, job); holds jobs that wait no more, too
        self.running = {}  # job -> attempt
        self.attempts = {}  # job -> attempts claimed
        self.priorities = {}
        self.hash = 0
        self.undone = []

    def apply(self, operation):
        name, given, result = operation.name, operation.arguments, operation.result
        if name == "enqueue":
            return self.enqueue(*given, result)
        if name == "claim":
            return self.claim(result)
        return self.report(name, *given, result)

    def enqueue(self, priority, result):
        if result is not None and result != self.jobs + 1:
            return False
        job = self.jobs = self.jobs + 1
        self.priorities[job] = priority
        self.wait(job)
        self.undone.append(lambda: (self.wait_no_more(job), self.set_jobs(job - 1)))
        return True

    def set_jobs(self, jobs):
        self.jobs = jobs

    def claim(self, result):
        first = self.first()
        if result is None:  # never answered: it may have got the first job
            if first is None:
                return True and self.unchanged()
            result = (first, self.attempts.get(first, 0) + 1)
        if result == "nothing":
            return first is None and self.unchanged()
        job, attempt = result
        if job != first or attempt != self.attempts.get(job, 0) + 1:
            return False
        self.wait_no_more(job)
        self.begin(job, attempt)
        self.undone.append(lambda: (self.end(job), self.set_attempts(job, attempt - 1), self.wait(job)))
        return True

    def report(self, name, job, attempt, result):
        is_current = self.running.get(job) == attempt
        if result is None:
            result = "done" if is_current else "stale"
        if result == "stale":
            return not is_current and self.unchanged()
        if not is_current:
            return False
        if name == "heartbeat":
            return self.unchanged()
        self.end(job)
        if name == "released":
            self.wait(job)
            self.undone.append(lambda: (self.wait_no_more(job), self.begin(job, attempt)))
        else:
            self.undone.append(lambda: self.begin(job, attempt))
        return True

    def undo(self):
        self.undone.pop()()

    def unchanged(self):
        self.undone.append(lambda: None)
        return True

    def first(self):
        while self.order and self.order[0][1] not in self.waiting:
            heapq.heappop(self.order)
        return self.order[0][1] if self.order else None

    def wait(self, job):
        self.waiting[job] = self.priorities[job]
        heapq.heappush(self.order, (-self.priorities[job], job))
        self.hash ^= hash(("waits", job, self.attempts.get(job, 0)))

    def wait_no_more(self, job):
        del self.waiting[job]
        self.hash ^= hash(("waits", job, self.attempts.get(job, 0)))

    def begin(self, job, attempt):
        self.running[job] = attempt
        self.attempts[job] = attempt
        self.hash ^= hash(("runs", job, attempt))

    def end(self, job):
        self.hash ^= hash(("runs", job, self.running.pop(job)))

    def set_attempts(self, job, attempts):
        self.attempts[job] = attempts


class Entry:
    """A call or a return in the order of time; calls know their returns. Linked, so that one can be taken out and put
    back where it was."""

    __slots__ = ("operation", "number", "match", "previous", "next")

    def __init__(self, operation, number):
        self.operation, self.number, self.match = operation, number, None
        self.previous = self.next = None

    def take(self):
        self.previous.next = self.next
        if self.next:
            self.next.previous = self.previous

    def put_back(self):
        self.previous.next = self
        if self.next:
            self.next.previous = self


def entries(history):
    moments = []
    for number, operation in enumerate(history):
        call, back = Entry(operation, number), Entry(operation, number)
        call.match = back
        moments += [((operation.call, 0, number), call), ((operation.back, 1, number), back)]
    head = last = Entry(None, -1)
    for _, entry in sorted(moments, key=lambda moment: moment[0]):
        last.next, entry.previous = entry, last
        last = entry
    return head


def check(history):
    """Nil (`None`) when the history is linearizable; else the operations that no order explains: those that were under
    way where the search came furthest."""
    head = entries(history)
    answered = sum(operation.back != INFINITE for operation in history)
    queue, done, done_answered = Queue(), 0, 0
    seen, stack = set(), []
    furthest, stuck = -1, []
    entry = head.next
    while done_answered < answered:
        if entry.match is not None:
            after = done | 1 << entry.number
            if queue.apply(entry.operation):
                if (after, queue.hash) not in seen:
                    seen.add((after, queue.hash))
                    stack.append((entry, done))
                    done = after
                    done_answered += entry.operation.back != INFINITE
                    entry.take()
                    entry.match.take()
                    entry = head.next
                    continue
                queue.undo()
            entry = entry.next
            continue
        # A return whose call was not placed: what is placed so far cannot be right.
        if done_answered > furthest:
            furthest = done_answered
            stuck = under_way(head, entry)
        if not stack:
            return stuck
        entry, done = stack.pop()
        done_answered -= entry.operation.back != INFINITE
        queue.undo()
        entry.match.put_back()
        entry.put_back()
        entry = entry.next
    return None


def under_way(head, end):
    found, entry = [], head.next
    while entry is not end:
        if entry.match is not None:
            found.append(entry.operation)
        entry = entry.next
    return found
