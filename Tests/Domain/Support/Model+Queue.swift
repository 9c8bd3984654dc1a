import Domain

extension Model {
    mutating func queue(_ command: QueueCommand, by actor: EventActor) -> Verdict {
        switch command {
        case .enqueue(let request): enqueue(request)
        case .cancel(let id, _): cancel(id)
        case .claim(let worker): claim(worker)
        case .heartbeat(let id, let attempt, let counter, _):
            attempted(id, attempt, by: actor) { model, place in
                let isNew = counter > model.jobs[place].counter
                if isNew {
                    model.jobs[place].counter = counter
                    model.jobs[place].heard = model.now
                }
                return .done(
                    .queue(.heartbeat(isCancelled: model.jobs[place].cancelled != nil)), changed: isNew)
            }
        case .reportUploaded(let id, let attempt, let pack): uploaded(id, attempt, pack, by: actor)
        case .reportFailed(let id, let attempt, let reason, _):
            attempted(id, attempt, by: actor) { model, place in model.end(place, .failed(reason)) }
        case .release(let id, let attempt, _):
            attempted(id, attempt, by: actor) { model, place in model.end(place, .queued) }
        case .expireLease(let id, let attempt):
            attempted(id, attempt, by: .system) { model, place in model.expire(place) }
        }
    }

    /// The job that answers a repeat: the latest of the same build that is open and wanted, or kept.
    private func repeated(_ request: JobRequest) -> Job? {
        jobs.last { job in
            guard job.request.app == request.app, job.request.commit == request.commit,
                job.request.recipePath == request.recipePath, repository(job.request) == repository(request)
            else { return false }
            return job.isOpen ? job.cancelled == nil : job.status == .succeeded && !job.isReleased
        }
    }

    private mutating func enqueue(_ request: JobRequest) -> Verdict {
        if !request.isForced, let job = repeated(request) {
            return .done(.queue(.enqueued(job.id, isReused: true)), changed: false)
        }
        if jobs.filter(\.isOpen).count >= Int(settings.maximumOpenJobs) { return .refused(.limitReached) }
        let id = JobID(rawValue: UInt64(jobs.count) + 1)
        jobs.append(Job(id: id, request: request))
        return .done(.queue(.enqueued(id, isReused: false)), changed: true)
    }

    private mutating func cancel(_ id: JobID) -> Verdict {
        guard let place = jobs.firstIndex(where: { $0.id == id }) else { return .refused(.unknownJob) }
        guard jobs[place].isOpen else { return .refused(.jobEnded) }
        if jobs[place].cancelled != nil { return .done(.queue(.done), changed: false) }
        jobs[place].cancelled = now
        if jobs[place].status == .queued { jobs[place].status = .failed(.cancelled) }
        return .done(.queue(.done), changed: true)
    }

    /// Queued jobs as they must be claimed.
    var line: [JobID] {
        jobs.filter { $0.status == .queued }
            .sorted { ($1.request.priority, $0.id) < ($0.request.priority, $1.id) }.map(\.id)
    }

    private mutating func claim(_ name: WorkerName) -> Verdict {
        guard let worker = workers.firstIndex(where: { $0.name == name }) else { return .refused(.unknownWorker) }
        if workers[worker].isDraining { return .refused(.workerDraining) }
        switch regions.first(where: { $0.name == workers[worker].region })?.status {
        case .removed: return .refused(.regionRemoved)
        case .silent, .suspended: return .refused(.regionSuspended)
        case .live, nil: break
        }
        guard let id = line.first, let place = jobs.firstIndex(where: { $0.id == id }) else {
            let isNew = !workers[worker].isWaiting
            workers[worker].isWaiting = true
            return .done(.queue(.nothingToClaim), changed: isNew)
        }
        workers[worker].isWaiting = false
        jobs[place].status = .running
        jobs[place].attempts += 1
        jobs[place].worker = name
        jobs[place].lease = Int64(settings.leaseSeconds) * 1000
        jobs[place].heard = now
        jobs[place].counter = 0
        jobs[place].pack = nil
        return .done(
            .queue(
                .claimed(
                    id, AttemptNumber(rawValue: jobs[place].attempts), jobs[place].request,
                    leaseSeconds: settings.leaseSeconds, heartbeatSeconds: settings.heartbeatSeconds)), changed: true)
    }

    private mutating func attempted(
        _ id: JobID, _ attempt: AttemptNumber, by actor: EventActor, _ body: (inout Model, Int) -> Verdict
    ) -> Verdict {
        guard let place = jobs.firstIndex(where: { $0.id == id }) else { return .refused(.unknownJob) }
        guard jobs[place].status == .running, jobs[place].attempts == attempt.rawValue else {
            return .refused(.staleAttempt)
        }
        if actor.kind == .worker, actor.name != jobs[place].worker?.rawValue { return .refused(.staleAttempt) }
        return body(&self, place)
    }

    private mutating func uploaded(
        _ id: JobID, _ attempt: AttemptNumber, _ pack: UploadedPack, by actor: EventActor
    ) -> Verdict {
        if let job = jobs.first(where: { $0.id == id }), job.status == .succeeded, job.attempts == attempt.rawValue,
            job.pack == pack
        {
            return .done(.queue(.done), changed: false)
        }
        return attempted(id, attempt, by: actor) { model, place in
            if let old = model.jobs[place].pack {
                return old == pack ? .done(.queue(.done), changed: false) : .refused(.artifactMismatch)
            }
            model.jobs[place].pack = pack
            model.jobs[place].heard = model.now
            model.jobs[place].uploaded = model.now
            if model.jobs[place].cancelled != nil { model.jobs[place].status = .failed(.cancelled) }
            return .done(.queue(.done), changed: true)
        }
    }

    /// A cancelled job ends as cancelled, whatever its attempt came to.
    private mutating func end(_ place: Int, _ status: Job.Status) -> Verdict {
        jobs[place].status = jobs[place].cancelled == nil ? status : .failed(.cancelled)
        return .done(.queue(.done), changed: true)
    }

    /// When the current attempt may be ended.
    func end(of job: Job) -> Int64 {
        var ends = [max(job.heard, floor) + job.lease]
        if let cancelled = job.cancelled {
            ends.append(max(cancelled, floor) + Int64(settings.cancelGraceSeconds) * 1000)
        }
        if let pack = job.pack {
            let isRemoved = regions.contains { $0.name == pack.region && $0.status == .removed }
            ends.append(
                isRemoved ? job.uploaded : max(job.uploaded, floor) + Int64(settings.jobTimeoutSeconds) * 1000)
        }
        return ends.min() ?? 0
    }

    private mutating func expire(_ place: Int) -> Verdict {
        if now < end(of: jobs[place]) { return .refused(.leaseNotOver) }
        jobs[place].lost += 1
        return end(place, jobs[place].lost >= settings.maximumAttempts ? .failed(.lost) : .queued)
    }
}
