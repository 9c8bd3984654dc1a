import Domain

extension QueueEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .enqueued(let job, let request):
            var message = Drover_V1_JobEnqueued()
            (message.job, message.request) = (job.rawValue, Drover_V1_JobRequest(request))
            return try EventType.jobEnqueued.seal(message)
        case .claimed(let job, let attempt, let worker, let leaseSeconds):
            var message = Drover_V1_JobClaimed()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            (message.worker, message.leaseSeconds) = (worker.rawValue, leaseSeconds)
            return try EventType.jobClaimed.seal(message)
        case .heartbeat(let job, let attempt, let counter, let stage):
            var message = Drover_V1_JobHeartbeat()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            (message.counter, message.stage) = (counter, Drover_V1_AttemptStage(stage))
            return try EventType.jobHeartbeat.seal(message)
        case .uploaded(let job, let attempt, let pack):
            var message = Drover_V1_PackUploaded()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            message.pack = Drover_V1_UploadedPack(pack)
            return try EventType.packUploaded.seal(message)
        case .succeeded(let job, let attempt):
            var message = Drover_V1_JobSucceeded()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            return try EventType.jobSucceeded.seal(message)
        case .attemptFailed(let job, let attempt, let reason, let detail):
            var message = Drover_V1_AttemptFailed()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            (message.reason, message.detail) = (Drover_V1_FailureReason(reason), detail)
            return try EventType.attemptFailed.seal(message)
        case .attemptReleased(let job, let attempt, let detail):
            var message = Drover_V1_AttemptReleased()
            (message.job, message.attempt, message.detail) = (job.rawValue, attempt.rawValue, detail)
            return try EventType.attemptReleased.seal(message)
        case .leaseExpired(let job, let attempt):
            var message = Drover_V1_LeaseExpired()
            (message.job, message.attempt) = (job.rawValue, attempt.rawValue)
            return try EventType.leaseExpired.seal(message)
        case .requeued(let job):
            var message = Drover_V1_JobRequeued()
            message.job = job.rawValue
            return try EventType.jobRequeued.seal(message)
        case .cancelRequested(let job, let reason):
            var message = Drover_V1_CancelRequested()
            (message.job, message.reason) = (job.rawValue, reason)
            return try EventType.cancelRequested.seal(message)
        case .failed(let job, let reason, let detail):
            var message = Drover_V1_JobFailed()
            (message.job, message.reason, message.detail) = (job.rawValue, Drover_V1_FailureReason(reason), detail)
            return try EventType.jobFailed.seal(message)
        case .enqueueReused(let job, let request):
            var message = Drover_V1_EnqueueReused()
            (message.job, message.request) = (job.rawValue, Drover_V1_JobRequest(request))
            return try EventType.enqueueReused.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .jobEnqueued:
            let message: Drover_V1_JobEnqueued = try type.open(payload)
            let request = try required(message.hasRequest, message.request, "request").value()
            self = .enqueued(JobID(rawValue: message.job), request)
        case .jobClaimed:
            let message: Drover_V1_JobClaimed = try type.open(payload)
            self = .claimed(
                JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt),
                worker: try name(message.worker, "worker"), leaseSeconds: message.leaseSeconds)
        case .jobHeartbeat:
            let message: Drover_V1_JobHeartbeat = try type.open(payload)
            self = .heartbeat(
                JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt), counter: message.counter,
                stage: try message.stage.value("stage"))
        case .packUploaded:
            let message: Drover_V1_PackUploaded = try type.open(payload)
            let pack = try required(message.hasPack, message.pack, "pack").value()
            self = .uploaded(JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt), pack)
        case .jobSucceeded:
            let message: Drover_V1_JobSucceeded = try type.open(payload)
            self = .succeeded(JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt))
        case .attemptFailed:
            let message: Drover_V1_AttemptFailed = try type.open(payload)
            self = .attemptFailed(
                JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt),
                try message.reason.value("reason"), detail: message.detail)
        case .attemptReleased:
            let message: Drover_V1_AttemptReleased = try type.open(payload)
            self = .attemptReleased(
                JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt), detail: message.detail)
        case .leaseExpired:
            let message: Drover_V1_LeaseExpired = try type.open(payload)
            self = .leaseExpired(JobID(rawValue: message.job), AttemptNumber(rawValue: message.attempt))
        case .jobRequeued:
            let message: Drover_V1_JobRequeued = try type.open(payload)
            self = .requeued(JobID(rawValue: message.job))
        case .cancelRequested:
            let message: Drover_V1_CancelRequested = try type.open(payload)
            self = .cancelRequested(JobID(rawValue: message.job), reason: message.reason)
        case .jobFailed:
            let message: Drover_V1_JobFailed = try type.open(payload)
            self = .failed(
                JobID(rawValue: message.job), try message.reason.value("reason"), detail: message.detail)
        case .enqueueReused:
            let message: Drover_V1_EnqueueReused = try type.open(payload)
            let request = try required(message.hasRequest, message.request, "request").value()
            self = .enqueueReused(JobID(rawValue: message.job), request)
        default: throw type.misplaced(in: "the queue")
        }
    }
}
